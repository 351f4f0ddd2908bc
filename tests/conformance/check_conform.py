#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conformance suite held against itself: names remake cases, a sample passes on ref, expectations are judged line by line,
reports agree with each other, a written case runs, and a plugin that crashes, hangs, leaks or lies gets a whole report."""
import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

from suite import Suite, check, failures

HERE = Path(__file__).resolve().parent



def check_names(suite):
    names = suite.conform("--list").stdout.split()
    check(len(names) >= 20000, f"{len(names)} cases, at least 20000 wanted")
    check(len(set(names)) == len(names), "two cases have one name")
    first, again = (suite.report("--case", names[len(names) // 3])[1] for _ in range(2))
    check([line["result"] for line in first.values()] == ["pass"], f"a case by its name alone: {first}")
    check(first.keys() == again.keys(), "the same name made another case")
    for bad, word in (("Conv/f32", "op/dtype"), ("Nope/f32/odd/-/ints/1", "Nope"), ("Abs/f99/odd/-/ints/1", "f99"),
                      ("Abs/f32/3xx/-/ints/1", "shape"), ("Abs/f32/odd/alpha/ints/1", "key=value"), ("Abs/f32/odd/-/ints/x", "seed")):
        done = suite.conform("--case", bad)
        check(done.returncode == 4 and word in done.stderr, f"'{bad}' is no case: {done.returncode} {done.stderr.strip()}")


def check_sample(suite):
    done, lines, sums = suite.report("--sample", 100)
    bad = [name for name, line in lines.items() if line["result"] != "pass"]
    check(done.returncode == 0 and not bad, f"of a sample on ref {len(bad)} did not pass: {bad[:5]} {done.stderr[-300:]}")
    check(sums.get("cases") == len(lines) and sums["pass"] == len(lines) - len(bad), f"the sums are not those of the lines: {sums}")


def check_expectations(suite):
    path = suite.folder / "expectations.txt"
    path.write_text("# comment\nAbs f32 odd/* fail it never does\nAbs f32 odd/*\nNope f32 * fail no such op\nAbs f32 * pass never\n")
    done = suite.conform("--op", "Abs", "--dtype", "f32", "--expectations", path)
    check(done.returncode == 4, f"malformed expectations end with {done.returncode}")
    for line in (3, 4, 5):
        check(f"{path}:{line}: expected" in done.stderr, f"line {line} is not named: {done.stderr}")
    check("it passes, yet the expectations say fail" in done.stdout, "an unexpected pass is no failure")
    path.write_text("Abs f32 odd/* fail it never does\n")
    done = suite.conform("--op", "Abs", "--dtype", "f32", "--expectations", path, "--update-expectations")
    check(path.read_text() == "", f"--update-expectations kept a line that does not hold: {path.read_text()!r}")
    path.write_text("#" + "x" * 3000 + "\nAbs f32\n")
    done = suite.conform("--op", "Abs", "--dtype", "f32", "--expectations", path)
    check(all(f"{path}:{line}: expected" in done.stderr for line in (1, 2)) and f"{path}:3" not in done.stderr,
          f"a long line is one line: {done.stderr[-300:]}")
    done = suite.conform("--op", "Abs", "--dtype", "f32", "--expectations", suite.folder)
    check(done.returncode == 4 and "cannot be read" in done.stderr, f"a folder is no expectations: {done.returncode} {done.stderr}")
    done = suite.conform("--op", "Abs", "--dtype", "f32", "--expectations", "none", "--update-expectations")
    check(done.returncode == 2 and "needs" in done.stderr, f"none cannot be updated: {done.returncode} {done.stderr}")
    path.unlink()
    flags = ("--case", "vector:nowhere", "--expectations", path)
    done = suite.conform(*flags, "--update-expectations")
    check(path.read_text().startswith("vector: * nowhere fail new: "), f"a first line of a new file: {path.read_text()!r}")
    path.write_text("vector: * no* timeout a pattern that is wrong about this one\n" + path.read_text())
    check(suite.conform(*flags).returncode == 0, "a line that names the case goes before patterns")


def check_unwritable(suite):
    """A full disk, a closed ear, a signal and a name without end: never success, never half a line."""
    for flags in (("--list",), ("--limits",), ("--tap",)):
        with open("/dev/full", "w") as full:
            code = subprocess.run([suite.command, "conform", "--op", "Abs", *flags], stdout=full, stderr=subprocess.DEVNULL, env=suite.env,
                                  timeout=600).returncode
        check(code == 4, f"{flags} to a full disk ends with {code}")
    done = suite.conform("--case", "vector:" + "A" * 3000)
    check(done.returncode == 1 and "shorter than" in done.stdout, f"a name of 3000 bytes: {done.returncode} {done.stdout[-200:]}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        path = suite.folder / "stopped.jsonl"
        path.unlink(missing_ok=True)
        # A signal that whoever runs the tests ignores (as nohup does) would be ignored below too.
        process = subprocess.Popen([suite.command, "conform", "--report", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   env=suite.env, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
        while process.poll() is None and (not path.exists() or path.stat().st_size == 0):
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
        last = path.read_text().splitlines()[-1]
        check(process.returncode == 5 and "sums" in json.loads(last), f"{number.name}: {process.returncode} {errors[-200:]} {last[:80]}")


def check_known_failures(suite):
    """A backend's own expectations, beside its manifest, hold without being named."""
    for backends in Path(suite.command).resolve().parents:
        if (backends / "backends/manifests/null.expectations").exists():
            suite.env["FERRULE_BACKEND_PATH"] = str(backends / "backends/manifests")
            break
    else:
        return
    flags = ("--op", "Relu", "--case", "*/odd/*")
    for device in ("null", "check(null:0)"):
        done, _, sums = suite.report("--device", device, *flags)
        check(done.returncode == 0 and sums["waived"] > 0 and sums["unsupported"] == 0, f"{device} against its own: {sums} {done.stderr}")
    done, _, sums = suite.report("--device", "null", *flags, "--expectations", "none")
    check(done.returncode == 1 and sums["waived"] == 0 and sums["unsupported"] > 0, f"none of them: {sums}")
    suite.env["FERRULE_BACKEND_PATH"] = str(suite.folder)


def check_reports(suite):
    junit, badge = suite.folder / "junit.xml", suite.folder / "badge.svg"
    done, lines, _ = suite.report("--op", "N*", "--dtype", "f32", "--junit", junit, "--badge", badge, "--tap")
    tree = xml.etree.ElementTree.parse(junit).getroot()
    check(int(tree.get("tests")) == len(lines) == len(tree.findall("testcase")), "JUnit has other cases")
    check(f"1..{len(lines)}" in done.stdout and done.stdout.count("\nok ") == len(lines), "TAP has other cases")
    xml.etree.ElementTree.parse(badge)
    check(f"passed {len(lines)}/{len(lines)}" in badge.read_text(), "the badge has other numbers")


def check_repro(suite):
    for case in ("Conv/f32/image/group=2,M=6,pads=1:1:1:1/uniform/18", "Where/str/odd/bcast=b/bits/4", "Cast/f32/odd/to=i4/uniform/3",
                 "TopK/f16/odd/K=3:/ints/7"):
        folder = suite.folder / "repro"
        done = suite.conform("--repro", case, "--output", folder)
        data = folder / "test_data_set_0"
        ran = suite.conform(folder / "model.onnx", "--device", "ref", "--data", data, "--expect", data, command="run")
        check(done.returncode == 0 and ran.returncode == 0, f"{case} written and run: {done.stderr} {ran.stderr}")


def build_plugins(suite, include, compiler):
    """The example and its bad twins, a module each; a folder with their manifests becomes the backend path."""
    example = HERE.parents[1] / "examples/plugin"
    (suite.folder / "five.expectations").write_text((example / "manifests/five.expectations").read_text())
    for name in ("five", "crash", "hang", "leak", "lie", "lose", "forks", "babble"):
        module = suite.folder / f"libferrule-{name}.so"
        source = example / "five.c" if name == "five" else HERE / "plugins/bad_plugin.c"
        subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-std=c11", f"-I{include}", f"-DPLUGIN_MODE={name}",
                        f'-DPLUGIN_NAME="{name}"', source, "-o", module], check=True)
        suite.manifest(name, module)
    suite.env["FERRULE_BACKEND_PATH"] = str(suite.folder)


def has_process(words):
    """One whose command line has these words, once what was killed had time to go."""
    for _ in range(600):
        found = []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += [line] if words in line.read_bytes().replace(b"\0", b" ").decode(errors="replace") else []
            except OSError:
                pass
        if not found:
            return False
        time.sleep(0.1)
    return True


def check_plugins(suite, can_leak):
    flags = ("--op", "[AMNRS]*[dlgub]", "--dtype", "f32", "--case", "*/odd/*")
    done, lines, sums = suite.report("--device", "five", *flags)
    claimed = [line for line in lines.values() if line["op"] in ("Add", "Sub", "Mul", "Neg", "Relu")]
    check(sums.get("fail") == 0 and sums["pass"] > 0 and sums["native"] == sums["pass"], f"five right ops: {sums} {done.stderr}")
    check(sums.get("not-claimed") == len(lines) - len(claimed), f"what it does not claim: {sums}")
    check(claimed and all(line["result"] == "pass" for line in claimed), "a claimed op is not right")
    badge = suite.folder / "five.svg"
    done, _, sums = suite.report("--device", "five", "--case", "*/odd/*", "--badge", badge)
    check(done.returncode == 0 and sums["waived"] > 0 and f"passed {sums['pass']}/{sums['claimed']}" in badge.read_text(),
          f"the badge of the example: {sums} {done.stderr[-300:]}")
    for name, result, least in (("crash", "crash", 1), ("hang", "timeout", 1), ("leak", "fail", 1), ("lie", "fail", 1),
                                ("lose", "fail", 1), ("forks", "crash", 1), ("babble", "crash", 1)):
        if name == "leak" and not can_leak:
            continue
        junit = suite.folder / "junit.xml"
        done, lines, sums = suite.report("--device", name, *flags, "--case", "*/odd/-/ints/*", "--timeout", "5", "--junit", junit)
        xml.etree.ElementTree.parse(junit)
        bad = [line for line in lines.values() if line["result"] == result]
        check(done.returncode == 1 and len(bad) >= least and {line["op"] for line in bad} == {"Mul"},
              f"{name}: {done.returncode} {sums} {[line['case'] for line in bad]} {done.stderr[-200:]}")
        check(all(line["result"] != "not run" for line in lines.values()), f"{name}: the report is not whole")
        check(sums.get("pass", 0) > 0, f"{name}: nothing else passed")
        if name == "forks":
            check(not has_process(f"--worker --device {name} "), "a process that the device forked is still there")
    done = suite.conform("--device", "nobody")
    check(done.returncode == 6, f"a device that is not there: {done.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    parser.add_argument("--include", default="include")
    parser.add_argument("--no-leak", action="store_true", help="the command's allocator does not tell what is in use (ASan's)")
    parser.add_argument("compiler", nargs="*", default=["cc"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ferrule-conform-") as folder:
        suite = Suite(args.command, folder)
        for one in (check_names, check_sample, check_expectations, check_unwritable, check_known_failures, check_reports, check_repro):
            one(suite)
        build_plugins(suite, args.include, args.compiler)
        check_plugins(suite, not args.no_leak)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
