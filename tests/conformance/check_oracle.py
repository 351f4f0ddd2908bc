#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An independent check of the oracle: generated cases are written as ONNX tests and ONNX Runtime and onnx.reference are asked.

A case is confirmed when one of the two agrees with what the suite expects, within the op's kind of tolerance; disputed when
none does and at least one answers; unanswered when neither can run it. Every dispute is printed, by op, with both answers'
distance; those listed in docs/conformance-disagreements.md (an op, or a pattern of cases, in back quotes) are explained.
Exit status 1 when a case cannot be written, a dispute is not explained, or fewer than --least percent of all are confirmed.
"""
import argparse
import fnmatch
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import onnx
import onnx.numpy_helper

ROOT = Path(__file__).resolve().parents[2]


def read_value(path, kind):
    """A file of the test layout as an array, a list of them, or None for an empty optional; kind as TypeProto names it."""
    holder = {"sequence_type": onnx.SequenceProto, "optional_type": onnx.OptionalProto}.get(kind, onnx.TensorProto)()
    holder.ParseFromString(path.read_bytes())
    if kind == "sequence_type":
        return onnx.numpy_helper.to_list(holder) if holder.elem_type else []
    return onnx.numpy_helper.to_optional(holder) if kind == "optional_type" else onnx.numpy_helper.to_array(holder)


def read_values(data, stem, values):
    return [read_value(data / f"{stem}_{i}.pb", value.type.WhichOneof("value")) for i, value in enumerate(values)]


def older(model):
    """The model under the revision before of its one op, when that has the same attributes: ONNX Runtime's kernels lag behind
    revisions that only added dtypes. None when there is no such revision."""
    node = model.graph.node[0]
    try:
        new = onnx.defs.get_schema(node.op_type, model.opset_import[0].version, node.domain)
        old = onnx.defs.get_schema(node.op_type, new.since_version - 1, node.domain)
    except onnx.defs.SchemaError:
        return None
    if len(model.graph.node) > 1 or set(old.attributes) != set(new.attributes) or len(old.inputs) != len(new.inputs):
        return None
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid(node.domain, new.since_version - 1))
    return model


def ask_runtime(path, feeds):
    return ask_model(onnx.load(str(path)), feeds)


def unpacked(model, feeds):
    """MultiHeadAttention's query [batch, length, heads, 3, size], or key with 2 for 3, as operands of their own."""
    graph, node = model.graph, model.graph.node[0]
    which = next((i for i in (0, 1) if i < len(node.input) and node.input[i] in feeds and feeds[node.input[i]].ndim == 5), None)
    if which is None:
        return feeds
    name, parts = node.input[which], ["query", "key", "value"][which:]
    packed, feeds = feeds[name], dict(feeds)
    old = next(value for value in graph.input if value.name == name)
    elem = old.type.tensor_type.elem_type
    graph.input.remove(old)
    del feeds[name]
    node.input.extend([""] * (3 - len(node.input)))
    for at, part in enumerate(parts):
        feeds[part] = packed[:, :, :, at].reshape(*packed.shape[:2], -1)
        node.input[which + at] = part
        graph.input.append(onnx.helper.make_tensor_value_info(part, elem, feeds[part].shape))
    return feeds


def fill_zeros(model, places):
    """Zero points that are left out, of the first operand's dtype."""
    node = model.graph.node[0]
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    types.update({tensor.name: tensor.data_type for tensor in model.graph.initializer})
    for at in places:
        if not node.input[at]:
            node.input[at] = f"zero{at}"
            model.graph.initializer.append(onnx.helper.make_tensor(f"zero{at}", types[node.input[0]], [], [0]))


def spelled_out(model, feeds):
    """What the model is fed with; the model in words that ONNX Runtime's CPU kernels know, with the same meaning."""
    node = model.graph.node[0]
    for i, other in enumerate(model.graph.node):
        other.name = f"node{i}"
    if node.op_type == "Scan" and any(getattr(array, "size", 1) == 0 for array in feeds.values()):
        raise ValueError("ONNX Runtime divides by zero, and takes the process with it")
    if node.domain != "com.microsoft":
        return feeds
    if node.op_type in ("QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool") and len(node.input) == 4:
        node.input.append("")  # it reads the fifth operand without asking whether there is one
    if node.op_type == "SimplifiedLayerNormalization":
        node.domain = ""
    if node.op_type in ("QLinearAdd", "QLinearMul"):
        node.input.extend([""] * (8 - len(node.input)))
        fill_zeros(model, (2, 5, 7))
    if node.op_type == "QLinearGlobalAveragePool":
        fill_zeros(model, (2, 4))
    return unpacked(model, feeds) if node.op_type == "MultiHeadAttention" else feeds


def ask_model(model, feeds):
    feeds = spelled_out(model, feeds)
    while True:
        try:
            return ask_session(model.SerializeToString(), feeds)
        except Exception as error:
            if "NOT_IMPLEMENTED" not in str(error) or older(model) is None:
                raise


def ask_session(model, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def ask_reference(model, feeds):
    from onnx.reference import ReferenceEvaluator
    return ReferenceEvaluator(str(model)).run(None, feeds)


DOUBLE = {onnx.TensorProto.DOUBLE: "float64"}
WHOLE = {getattr(onnx.TensorProto, name.upper()): name for name in ("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32")}
NARROW = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}
# What ai.onnx.ml's models take beside f32; their results are f32 or labels whatever they are fed with.
MODELS = tuple("ai.onnx.ml." + name for name in ("Linear", "SVM", "TreeEnsemble"))
FEATURES = {onnx.TensorProto.DOUBLE: "float64", onnx.TensorProto.INT32: "int32", onnx.TensorProto.INT64: "int64"}


def widened(path, feeds, types):
    """The model and what it is fed with every dtype of types as f32 (or i64), a vector of features as a matrix of one row."""
    elem, array_type = (onnx.TensorProto.INT64, "i8") if types is WHOLE else (onnx.TensorProto.FLOAT, "f4")
    model = onnx.load(str(path))
    if types is FEATURES:
        for value in model.graph.input:
            if len(value.type.tensor_type.shape.dim) == 1:
                value.type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
        feeds = {name: array[None] if array.ndim == 1 else array for name, array in feeds.items()}
    outputs = model.graph.output if types is not FEATURES else ()
    for value in (*model.graph.input, *outputs, *model.graph.value_info):
        if value.type.tensor_type.elem_type in types:
            value.type.tensor_type.elem_type = elem
    held = [attr.t for node in model.graph.node for attr in node.attribute if attr.type == attr.TENSOR and types is not FEATURES]
    for tensor in (*model.graph.initializer, *held):
        if tensor.data_type in types:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(array_type), tensor.name))
    wide = {name: array.astype(array_type) if str(array.dtype) in types.values() else array for name, array in feeds.items()}
    return model, wide


def ask_wide(path, feeds, types):
    """Narrow floats are computed in f32 and rounded once, says the oracle; who has no kernels for them can be asked in f32."""
    from onnx.reference import ReferenceEvaluator
    model, wide = widened(path, feeds, types)
    answers = []
    for ask in (lambda: ask_model(model, wide), lambda: ReferenceEvaluator(widened(path, feeds, types)[0]).run(None, wide)):
        try:
            answers.append(ask())
        except Exception:
            continue
    return answers


def ask_dequantized(path, feeds):
    """DequantizeLinear with an f32 scale and result: onnx.reference has no output_dtype, and no arithmetic of f8e8m0."""
    from onnx.reference import ReferenceEvaluator
    model = onnx.load(str(path))
    node, name = model.graph.node[0], model.graph.node[0].input[1]
    kept = [attr for attr in node.attribute if attr.name != "output_dtype"]
    del node.attribute[:]
    node.attribute.extend(kept)
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype("f4"), name))
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (name, node.output[0]):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return ReferenceEvaluator(model).run(None, {key: array.astype("f4") if key == name else array for key, array in feeds.items()})


def same_text(a, b):
    """Equal, or two spellings of one number: how many digits is nobody's rule."""
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a == b
    return a == b or x == y or (x != x and y != y) or abs(x - y) <= 2e-7 * abs(y)


def distance(got, want):
    """0 when equal, else the worst error beside 2e-3 |want| + 1e-6 max |want| (f16: a few units); inf when shapes differ."""
    if isinstance(want, list):
        same = isinstance(got, list) and len(got) == len(want)
        return max((distance(a, b) for a, b in zip(got, want)), default=0.0) if same else float("inf")
    if want is None or got is None:
        return 0.0 if want is got else float("inf")
    got = numpy.asarray(got)
    if got.shape != want.shape:
        return float("inf")
    if want.dtype.kind in "OUS":
        return 0.0 if all(same_text(str(x), str(y)) for x, y in zip(got.ravel(), want.ravel())) else float("inf")
    if got.dtype != want.dtype and got.dtype.itemsize == want.dtype.itemsize and want.dtype.kind == "V":
        got = got.view(want.dtype)
    if want.dtype.kind in "biu":
        return float(numpy.max(got.astype("f8") != want.astype("f8"), initial=0))
    a, b = got.astype("c16" if want.dtype.kind == "c" else "f8"), want.astype("c16" if want.dtype.kind == "c" else "f8")
    with numpy.errstate(all="ignore"):
        finite = numpy.isfinite(b)
        if not numpy.array_equal(numpy.isnan(a), numpy.isnan(b)):
            return float("inf")
        same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
        size = numpy.max(numpy.abs(b[finite]), initial=0)
        rate = {2: 4e-3, 4: 1e-4, 8: 1e-9, 16: 1e-9}.get(want.dtype.itemsize, 0.1)
        rate = 1e-4 if str(want.dtype) == "complex64" else rate
        if str(want.dtype) == "bfloat16":
            rate = 2e-2
        allowed = rate * numpy.abs(b) + rate * 1e-2 * size + 1e-45
        over = numpy.where(same, 0, numpy.abs(a - b) / allowed)
    worst = float(numpy.max(numpy.nan_to_num(over, nan=numpy.inf), initial=0))
    return 0.0 if worst <= 1 else worst


DRAWN = ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def same_draws(got, want):
    """Equal dtypes and shapes, means and deviations that two samples of one law have; None: too few to tell a law from another."""
    got = numpy.asarray(got)
    if got.shape != want.shape or got.dtype != want.dtype:
        return False
    a, b = got.astype("f8"), want.astype("f8")
    if a.size < 500:
        return None
    spread = max(a.std(), b.std())
    limit = (9 / a.size ** 0.5 + 1e-3) * spread  # more than six standard errors of either difference: no run fails by chance
    return abs(a.mean() - b.mean()) <= limit and abs(a.std() - b.std()) <= limit


def judge(case, command, folder):
    """(case, 'confirmed' | 'disputed' | 'unanswered', details)"""
    test = folder / str(abs(hash(case)))
    done = subprocess.run([command, "conform", "--repro", case, "--output", str(test)], capture_output=True, text=True, timeout=120)
    if "have no file in ONNX's test layout" in done.stderr:
        return case, "unanswered", "a value that has no file"
    if done.returncode != 0:
        return case, "unwritten", done.stderr.strip()[-160:]
    model, data = test / "model.onnx", test / "test_data_set_0"
    answers = []
    try:
        graph = onnx.load(str(model)).graph
        feeds = dict(zip([value.name for value in graph.input], read_values(data, "input", graph.input)))
        wanted = read_values(data, "output", graph.output)
    except Exception as error:
        return case, "unanswered", f"files: {type(error).__name__} {str(error)[:80]}"
    for who, ask in (("onnxruntime", ask_runtime), ("onnx.reference", ask_reference)):
        try:
            got = ask(model, feeds)
            worst = max((distance(a, b) for a, b in zip(got, wanted)), default=0.0)
            alike = list(map(same_draws, got, wanted)) if case.split("/")[0] in DRAWN and worst > 0 else [False]
            if worst == 0 or all(alike):
                return case, "confirmed", who if worst == 0 else f"{who}, as a sample"
            answers.append((who, worst if False in alike else "too few draws to compare"))
        except Exception as error:
            answers.append((who, f"{type(error).__name__} {str(error)[:60]}"))
    is_narrow = case.split("/")[1] in ("bf16", "f16")
    is_model = case.startswith(MODELS) and (case.split("/")[1] in ("f64", "i32", "i64") or case.split("/")[2].isdigit())
    are_tensors = all(isinstance(array, numpy.ndarray) for array in feeds.values())
    if are_tensors and (is_narrow or is_model):
        for got in ask_wide(model, feeds, NARROW if is_narrow else FEATURES):
            with numpy.errstate(all="ignore"):
                if all(distance(numpy.asarray(a).astype(b.dtype), b) == 0 for a, b in zip(got, wanted)):
                    return case, "confirmed", "in f32"
    is_open = are_tensors and not any(isinstance(what, float) for _, what in answers)
    if case.split("/")[1] == "f64" and is_open:
        for got in ask_wide(model, feeds, DOUBLE):  # who has kernels for f32 alone says what is computed, not how exactly
            narrow = [b.astype("f4") if getattr(b, "dtype", None) == "f8" else b for b in wanted]
            if all(distance(a, b) == 0 for a, b in zip(got, narrow)):
                return case, "confirmed", "in f32"
    if case.startswith("DequantizeLinear/") and is_open:
        if distance(ask_dequantized(model, feeds)[0].astype(wanted[0].dtype), wanted[0]) == 0:
            return case, "confirmed", "in f32"
    if is_open:
        for got in ask_wide(model, feeds, WHOLE):
            if all(a.shape == b.shape and (a.dtype.kind == b.dtype.kind or a.dtype == "i8") and (a.astype(b.dtype) == b).all()
                   for a, b in zip(got, wanted)):
                return case, "confirmed", "in i64"
    # onnx.reference works in bf16 and f16 step by step: near misses of its own are no answer.
    numbers = [(who, what) for who, what in answers if isinstance(what, float)
               and not (is_narrow and who == "onnx.reference" and what < float("inf"))]
    return case, "disputed" if numbers else "unanswered", "; ".join(f"{who}: {what}" for who, what in answers)


def explained(case, patterns):
    return any(fnmatch.fnmatch(case, pattern) or case.split("/")[0] == pattern for pattern in patterns)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    parser.add_argument("--op", default="*")
    parser.add_argument("--sample", type=int, default=20, help="every n-th case")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--least", type=float, default=95)
    parser.add_argument("--output", help="writes every case and its verdict to this file")
    args = parser.parse_args()
    listed = subprocess.run([args.command, "conform", "--list", "--op", args.op], capture_output=True, text=True, check=True)
    cases = listed.stdout.split()[:: args.sample]
    document = ROOT / "docs/conformance-disagreements.md"
    patterns = re.findall(r"^- `([^`]+)`", document.read_text(), re.M) if document.exists() else []
    with tempfile.TemporaryDirectory(prefix="ferrule-oracle-") as folder, ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda case: judge(case, args.command, Path(folder)), cases))
    sums = Counter(verdict for _, verdict, _ in results)
    disputes = defaultdict(list)
    for case, verdict, details in results:
        if verdict == "disputed":
            disputes[case.split("/")[0]].append((case, details))
    surprises = sums["unwritten"]
    if args.sample == 1 and args.op == "*":
        steady = re.findall(r"^- `([^`]+)`(?! depends on the processor)", document.read_text(), re.M)
        idle = [pattern for pattern in steady if not any(explained(case, [pattern]) for lines in disputes.values() for case, _ in lines)]
        surprises += len(idle)
        print("".join(f"{pattern} explains no dispute: take the line out\n" for pattern in idle), end="")
    for case, verdict, details in results:
        if verdict == "unwritten":
            print(f"{case} cannot be written: {details}")
    for op, lines in sorted(disputes.items()):
        new = [line for line in lines if not explained(line[0], patterns)]
        surprises += len(new)
        print(f"{op}: {len(lines)} disputed, {len(new)} of them not explained")
        for case, details in new[:4]:
            print(f"  {case}  {details}")
    if args.output:
        Path(args.output).write_text("".join(f"{verdict}\t{case}\t{details}\n" for case, verdict, details in results))
    answered = sums["confirmed"] + sums["disputed"]
    share = 100 * sums["confirmed"] / max(1, answered)
    of_all = 100 * sums["confirmed"] / max(1, len(cases))
    print(f"{len(cases)} cases: {dict(sums)}; {of_all:.2f} % confirmed ({share:.2f} % of those answered), "
          f"{surprises} unwritten or disputed without an explanation")
    return 0 if surprises == 0 and of_all >= args.least else 1


if __name__ == "__main__":
    sys.exit(main())
