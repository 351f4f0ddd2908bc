#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does the suite find bugs? Deliberate ones, one at a time, in a copy of the tree: how many do the generated cases catch?

A mutant is (file of ref or path, what is there, what stands there instead, ops it concerns). The ops only choose which generated cases run,
for time; --all runs every case. A mutant whose text is not found once in its file is stale, and an error.
"""
import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REF = "backends/ref/ref_"
MUTANTS = [
    ("binary.c", "{ return a * b; }", "{ return b * b; }", "Mul"),
    ("binary.c", "static double f_sub(double a, double b) { return a - b; }", "static double f_sub(double a, double b) { return b - a; }", "Sub"),
    ("binary.c", "static int64_t i_less_equal(int64_t a, int64_t b) { return a <= b; }", "static int64_t i_less_equal(int64_t a, int64_t b) { return a < b; }", "LessOrEqual"),
    ("binary.c", "{ return (uint64_t)a > (uint64_t)b; }", "{ return a > b; }", "Greater"),
    ("binary.c", "return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;\n}\nstatic int64_t u_mod", "return rest;\n}\nstatic int64_t u_mod", "Mod"),
    ("binary.c", "return a < 0 ? a * b : a;", "return a <= 1 ? a * b : a;", "PRelu"),
    ("unary.c", "return x > 0 || x != x ? x : 0;", "return x > 0 ? x : 0;", "Relu"),
    ("unary.c", "FERI_REF_ROW(Round, rint)", "FERI_REF_ROW(Round, round)", "Round"),
    ("unary.c", "(x < 0 ? a[0] != 0 : a[1] != 0)", "(x < 0 ? a[1] != 0 : a[0] != 0)", "IsInf"),
    ("unary.c", "return x < 0 ? a[0] * x : x;", "return x < 0 ? x : a[0] * x;", "LeakyRelu"),
    ("unary.c", "0.044715", "0.044175", "Gelu"),
    ("unary.c", "return x > 0 ? 1 : x < 0 ? -1 : x;", "return x >= 0 ? 1 : -1;", "Sign"),
    ("reduce.c", "*sum = v > *sum || isnan(v) ? v : *sum;", "*sum = v > *sum ? v : *sum;", "ReduceMax"),
    ("reduce.c", "sum->f /= (double)(int64_t)r->folded;", "sum->f /= (double)(int64_t)(r->folded + 1);", "ReduceMean"),
    ("reduce.c", "*sum += fabs(v);", "*sum += v;", "ReduceL1"),
    ("reduce.c", "values[i] < sum->i) ? v : sum->u;", "values[i] <= sum->i - 1) ? sum->u : v;", "ReduceMin"),
    ("argreduce.c", "(is_last && key == found.key)", "(key == found.key)", "ArgM*"),
    ("argreduce.c", "(a.key == b.key && a.index < b.index)", "(a.key == b.key && a.index > b.index)", "TopK"),
    ("argreduce.c", "sum.f = FERI_REF_IS(op, CumProd) ? 1.0 : 0.0;", "sum.f = 1.0;", "CumSum"),
    ("move.c", "move.from_strides[d] = strides[perm[d] - '0'];", "move.from_strides[d] = strides[d];", "Transpose"),
    ("move.c", "int64_t high = step > 0 ? dim : dim - 1;", "int64_t high = step > 0 ? dim : dim - 2;", "Slice"),
    ("move.c", "from_offset += slices[d].start * *stride;", "from_offset += 0 * *stride;", "Slice"),
    ("elements.c", "*out_index = index < 0 ? index + dim : index;", "*out_index = index < 0 ? index + dim - 1 : index;", "Gather"),
    ("gather.c", "int64_t from = at.offset[0] + i * walk.step[0] + index * axis_stride;", "int64_t from = at.offset[0] + i * walk.step[0] + index;", "GatherElements"),
    ("scatter.c", "return a_is_less ? b : a;", "return a_is_less ? a : b;", "Scatter*"),
    ("scatter.c", "to += (uint64_t)(index * strides[k]);", "to += (uint64_t)(index * strides[0]);", "ScatterND"),
    ("pad.c", "return at < kept ? at : period - at;", "return at < kept ? at : period - at - 1;", "Pad"),
    ("pad.c", ".low = begin < 0 ? -begin : 0,", ".low = 0,", "Pad"),
    ("generate.c", "+ k + (is_upper ? 0 : 1);", "+ k;", "Trilu"),
    ("window.c", "w->begin[i] = less_first ? total / 2 : total - total / 2;", "w->begin[i] = total / 2;", "*Conv*"),
    ("window.c", "w->begin[i] = kind == GIVEN ? pads[i] : 0;", "w->begin[i] = kind == GIVEN ? pads[w->rank + i] : 0;", "Conv"),
    ("conv.c", "c.in_channel = image * p->group * p->in_channels + c.in_weight;", "c.in_channel = image * p->group * p->in_channels;", "Conv"),
    ("conv.c", "row[j] += added;", "row[j] -= added;", "Conv*"),
    ("pool.c", "int64_t low = counted ? -w->begin[i] : 0,", "int64_t low = 0,", "AveragePool"),
    ("pool.c", "if (!is_column_major) {", "if (is_column_major) {", "MaxPool"),
    ("matmul.c", "p->b_steps[trans_b] = (uint64_t)b->dims[1];", "p->b_steps[trans_b] = p->k;", "Gemm"),
    ("matmul.c", "(p->c ? p->beta * c[j].f : 0.0)", "(p->c ? c[j].f : 0.0)", "Gemm"),
    ("norm.c", "if (!is_rms) {", "if (is_rms) {", "LayerNormalization"),
    ("quantize.c", "values[i] = rint(values[i]);", "values[i] = round(values[i]);", "QuantizeLinear"),
    ("sample.c", "x = p->taps == 1 ? rint(x) : x;", "x = p->taps == 1 ? round(x) : x;", "GridSample"),
    ("sample.c", "x < low ? low - x : x - high;", "x < low ? low - x : high - x;", "GridSample"),
    ("order.c", "(float)(common / together) > (float)s->overlap", "(float)(common / together) >= (float)s->overlap", "NonMaxSuppression"),
    ("spectral.c", "out->factors[2 * k + 1] = is_inverse ? sin(angle) : -sin(angle);", "out->factors[2 * k + 1] = sin(angle);", "*FT"),
    ("linear_attention.c", "v[c] = beta ? rate * (v[c] - dot_column(p, k, state, c)) : v[c];", "v[c] = beta ? rate * v[c] - dot_column(p, k, state, c) : v[c];", "LinearAttention"),
    ("unpool.c", "int64_t at = place[i] + p->pads[i] - tap[i] * p->dilation[i];", "int64_t at = place[i] + p->pads[i] - tap[i];", "Col2Im"),
    ("lib/op/expand_attention.c", 'feri_infer_in(call, 4) ? "Shape(past_key, start=2, end=3)" : "{i64: 0}"', '"{i64: 0}"', "Attention"),
    ("lib/op/expand_losses.c", "gw = Gather(%s, safe)\\nw = Where(skip, {0: gw}, gw)", "w = Gather(%s, safe)", "*Loss"),
    ("binary.c", "{ return a > b ? b : a; }", "{ return a > b ? a : b; }", "Clip"),
    ("old_trees.c", "return x <= n->value;", "return x < n->value;", "*.TreeEnsemble*"),
    ("svm.c", "votes[scores[pair] > 0 ? i : j] += 1;", "votes[scores[pair] > 0 ? j : i] += 1;", "*.SVMClassifier"),
    ("lib/op/expand_contrib.c", "order[i] = i + 2 < rank ? i + 1 : 0;", "order[i] = i + 1 < rank ? i : 0;", "*.FusedMatMul"),
    ("lib/op/expand_contrib_attention.c", "And(sees0, Greater(columns,", "And(sees0, GreaterOrEqual(columns,", "*.GroupQueryAttention"),
    ("lib/host/sequence.c", "*out = position < 0 ? count - (0 - (uint64_t)position) : (uint64_t)position;",
     "*out = position < 0 ? count - 1 - (0 - (uint64_t)position) : (uint64_t)position;", "Sequence*"),
    ("lib/host/scan.c", "(is_reversed ? s->length - 1 - r->trips : r->trips)", "(is_reversed ? s->length - r->trips : r->trips)", "Scan"),
]


def run(line, **more):
    return subprocess.run([str(part) for part in line], capture_output=True, text=True, **more)


def make_copy(folder):
    """The tree without what is built, configured for the command alone."""
    source, build = folder / "source", folder / "build"
    shutil.copytree(ROOT, source, ignore=lambda at, names:
                    [name for name in names if name in (".git", "__pycache__") or (name == "build" and Path(at) == ROOT)])
    done = run(["meson", "setup", build, source, "-Dtests=disabled", "-Ddefault_library=static", "-Dwerror=false", "--buildtype=release"])
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return source, build


def built(build):
    done = run(["ninja", "-C", build, "-j2", "tools/ferrule"])
    return done.returncode == 0, done.stdout[-1500:]


def caught_by(build, ops, args):
    """A line that failed, or None when everything passed."""
    line = [build / "tools/ferrule", "conform", "--device", "ref", "--jobs", "2", "--timeout", "60"]
    line += [] if args.all else ["--op", ops]
    line += ["--sample", str(args.sample)] if args.sample > 1 else []
    done = run(line)
    if done.returncode == 0:
        return None
    return next((text for text in done.stdout.splitlines() if text.split(" ")[0] in ("FAIL", "CRASH", "TIMEOUT")),
                f"status {done.returncode}: {done.stderr[-200:]}")


def try_one(number, mutant, source, build, args):
    """'caught', 'survived' or 'stale'."""
    name, before, after, ops = mutant
    path = source / (name if "/" in name else REF + name)
    text = path.read_text()
    if text.count(before) != 1:
        print(f"{number:2} STALE     {name}: {text.count(before)} times: {before[:70]!r}", flush=True)
        return "stale"
    path.write_text(text.replace(before, after))
    good, log = built(build)
    found = caught_by(build, ops, args) if good else f"does not build: {log}"
    path.write_text(text)
    verdict = "survived" if found is None else "caught" if good else "stale"
    print(f"{number:2} {verdict.upper():9} {name}: {before[:48]!r} by {(found or '-')[:110]}", flush=True)
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="run every generated case for each mutant")
    parser.add_argument("--sample", type=int, default=1, help="run every n-th case only")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mutants")
    parser.add_argument("--least", type=int, default=52, help="how many must be caught")
    args = parser.parse_args()
    begin = time.monotonic()
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="ferrule-mutants-") as folder:
        source, build = make_copy(Path(folder))
        good, log = built(build)
        if not good:
            sys.exit(log)
        for number, mutant in enumerate(MUTANTS, 1):
            if args.only is None or number in args.only:
                verdicts.append(try_one(number, mutant, source, build, args))
    caught, stale = verdicts.count("caught"), verdicts.count("stale")
    print(f"{caught} of {len(verdicts)} mutants caught, {stale} stale, in {time.monotonic() - begin:.0f} s")
    return 0 if stale == 0 and caught >= min(args.least, len(verdicts)) else 1


if __name__ == "__main__":
    sys.exit(main())
