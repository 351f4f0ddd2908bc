#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ABI suite held against itself: the backends of the tree and the simulated accelerator pass it, in workers and in process,
and of a plugin built once for each rule it can break every rule that is broken is found, whatever it does to its worker."""
import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from suite import Suite, check, failures

HERE = Path(__file__).resolve().parent
# What a broken plugin is found by: the mode of plugins/abi_plugin.c, cases that must be bad, and how.
BROKEN = {
    "null_weights": (("run/again", "run/eight-threads"), {"crash"}),
    "shares": (("create/twice",), {"crash", "fail"}),
    "leaks": (("compile/allocation-fails", "create/life-without-memory"), {"fail"}),
    "sizeless": (("entry/short-module", "create/short", "device_info/short", "op_supported/short", "compile/short", "run/args-short"),
                 {"crash", "fail"}),
    "zeroes_tail": (("device_info/long-tail",), {"fail"}),
    "races": (("run/eight-threads|run/eight-at-speed",), {"fail"}),
    "miscounts": (("instance_create/eight-threads|instance_create/eight-at-speed",), {"fail", "crash"}),
    "stale": (("device_close/abandoned", "device_open/anew"), {"crash"}),
    "half_blob": (("deserialize/truncated", "deserialize/flipped", "deserialize/longer"), {"fail"}),
    "blind_blob": (("deserialize/truncated",), {"crash"}),
    "hangs_on_blob": (("deserialize/garbage",), {"timeout"}),
    "overruns": (("run/again",), {"fail", "crash"}),
    "silent": (("run/no-output", "device_open/beyond"), {"fail"}),
    "sets_out": (("instance_create/other-sizes",), {"fail"}),
    "other_status": (("compile/allocation-fails",), {"fail"}),
    "any_version": (("entry/older", "entry/newer", "entry/backward"), {"fail"}),
    "sulks": (("run/small-input",), {"fail"}),
    "deaf": (("run/cancelled",), {"fail"}),
    "keeps_constant": (("compile/constants-gone",), {"crash"}),
    "hoards": (("compile/again", "run/again"), {"fail"}),
}



class Attacks(Suite):
    def report(self, device, *flags):
        done, lines, sums = super().report("--device", device, "--suite", "abi", *flags)
        return done, {case.removeprefix("abi/"): line for case, line in lines.items()}, sums


def check_passes(suite, devices):
    for device, least in devices:
        for flags in ((), ("--in-process",)) if device in ("ref:0", "right:0", "sim:0") else ((),):
            done, lines, sums = suite.report(device, *flags)
            bad = {name: line.get("message", line["result"]) for name, line in lines.items() if line["result"] not in ("pass", "not-claimed")}
            check(done.returncode == 0 and not bad, f"{device} {flags}: {done.returncode} {bad} {done.stderr[-1000:]}")
            check(sums.get("pass", 0) >= least, f"{device} {flags} passes {sums}, at least {least} wanted")
            check(all(line["result"] == "pass" or line.get("message") for line in lines.values()), f"{device}: not claimed without a reason")


def check_loss(suite, module):
    suite.manifest("sim", module, "lost_at_call=6")
    for device in ("sim:0", "trace(sim:0)", "check(trace(sim:0))"):
        _, lines, sums = suite.report(device, "--case", "abi/run/again")
        check(sums.get("fail") == 1 and "DEVICE_LOST" in lines["run/again"]["message"], f"{device} by its manifest's options: {lines}")
    suite.manifest("sim", module)
    for device in ("sim:0", "sim:2"):
        _, lines, sums = suite.report(device, "--case", "abi/lost/latches", "--lose", "lost_at_call=%")
        check(sums.get("pass") == 1, f"{device} when it is lost: {lines}")
    _, lines, sums = suite.report("null", "--case", "abi/lost/latches", "--lose", "lost_at_call=%")
    check(sums.get("fail") == 1, f"null cannot be lost, and yet: {lines}")


def check_names(suite):
    names = suite.conform("--suite", "abi", "--list").stdout.split()
    check(len(names) >= 150 and len(set(names)) == len(names), f"{len(names)} cases, {len(set(names))} names")
    everything = suite.conform("--suite", "all", "--list").stdout.split()
    check(set(names) < set(everything), "--suite all has not all of abi")
    done = suite.conform("--device", "null", "--case", "abi/no/such")
    check(done.returncode == 4 and "no such attack" in done.stderr, f"no such attack: {done.returncode} {done.stderr}")
    done = suite.conform("--device", "null", "--repro", "abi/run/small-input")
    again = subprocess.run(["sh", "-c", done.stdout.replace("ferrule", shlex.quote(suite.command), 1)], capture_output=True, text=True, env=suite.env,
                           timeout=600)
    check(done.returncode == 0 and again.returncode == 0 and again.stdout.startswith("pass 1 "), f"--repro: {done} {again}")
    _, lines, _ = suite.report("null", "--dtype", "al*", "--op", "abi")
    check(lines and all(name.startswith("alloc/") for name in lines), f"--dtype selects slots: {list(lines)}")


def build(suite, mode, include, compiler):
    module = suite.folder / f"libferrule-{mode}.so"
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-std=c11", "-D_GNU_SOURCE", f"-I{include}", f"-DPLUGIN_MODE={mode}",
                    f'-DPLUGIN_NAME="{mode}"', HERE / "plugins/abi_plugin.c", "-o", module], check=True)
    suite.manifest(mode, module)


def check_broken(suite, include, compiler):
    for mode, (cases, results) in BROKEN.items():
        build(suite, mode, include, compiler)
        done, lines, sums = suite.report(mode, *(("--timeout", "2") if "timeout" in results else ()))
        check(done.returncode == 1 and all(line["result"] != "not run" for line in lines.values()),
              f"{mode}: {done.returncode}, not a whole report: {sums} {done.stderr[-300:]}")
        for case in cases:
            found = [lines[name]["result"] for name in case.split("|") if lines.get(name, {}).get("result") in results]
            check(found, f"{mode} is not found by {case}: {[lines.get(name) for name in case.split('|')]}")
        check(sums.get("pass", 0) > 20, f"{mode}: nothing else passed: {sums}")


def check_expectations(suite):
    path = suite.folder / "known.txt"
    path.write_text("abi run cancelled fail it never asks\nabi run again fail it does not\n* * * unsupported of ops alone\n")
    done, lines, sums = suite.report("deaf", "--expectations", path, "--case", "abi/run/[ac]*")
    check(lines["run/cancelled"]["result"] == "waived", f"a known failure is {lines['run/cancelled']}")
    check(lines["run/again"]["result"] == "fail" and done.returncode == 1, f"a line that does not hold: {lines['run/again']}")
    check(sums["surprises"] == 1, f"patterns of ops match attacks: {sums}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    parser.add_argument("--include", default="include")
    parser.add_argument("--modules", default="build/backends", help="folder of libferrule-null.so and its like")
    parser.add_argument("--sim", help="the simulated accelerator's module")
    parser.add_argument("--sane-only", action="store_true", help="leave out plugins that crash: a sanitizer's build takes long to die")
    parser.add_argument("compiler", nargs="*", default=["cc"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ferrule-abi-") as folder:
        suite = Attacks(args.command, folder)
        devices = [("ref:0", 100), ("right:0", 110), ("five:0", 100)]
        for name, device, least in (("null", "null:0", 90), ("trace", "trace(ref:0)", 120), ("check", "check(ref:0)", 120)):
            if (Path(args.modules) / f"libferrule-{name}.so").exists():
                suite.manifest(name, Path(args.modules) / f"libferrule-{name}.so")
                devices.append((device, least))
        if args.sim:
            suite.manifest("sim", args.sim)
            devices += [("sim:0", 155), ("sim:2", 155), ("trace(sim:0)", 145), ("check(sim:0)", 145), ("check(trace(sim:0))", 130)]
        build(suite, "right", args.include, args.compiler)
        subprocess.run([*args.compiler, "-shared", "-fPIC", "-O1", "-std=c11", f"-I{args.include}", HERE.parents[1] / "examples/plugin/five.c",
                        "-o", suite.folder / "libferrule-five.so"], check=True)
        suite.manifest("five", suite.folder / "libferrule-five.so")
        check_names(suite)
        check_passes(suite, devices)
        if args.sim:
            check_loss(suite, args.sim)
        if not args.sane_only:
            check_broken(suite, args.include, args.compiler)
            check_expectations(suite)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
