# SPDX-License-Identifier: Apache-2.0
"""What check_conform.py and check_abi.py share: the command run over a folder of its own, its report read, failures kept."""
import json
import os
import subprocess
from pathlib import Path

failures = []


def check(good, what):
    if not good:
        failures.append(what)
        print("FAIL", what, flush=True)


class Suite:
    def __init__(self, command, folder):
        self.command, self.folder = command, Path(folder)
        self.env = {**os.environ, "FERRULE_BACKEND_PATH": str(folder)}

    def conform(self, *flags, command="conform"):
        line = [self.command, command, *map(str, flags)]
        return subprocess.run(line, capture_output=True, text=True, errors="replace", env=self.env, timeout=600)

    def report(self, *flags):
        """(exit status, lines by case, sums)"""
        path = self.folder / "report.jsonl"
        path.unlink(missing_ok=True)
        done = self.conform(*flags, "--report", path)
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [{"sums": {}}]
        return done, {line["case"]: line for line in lines[:-1]}, lines[-1]["sums"]

    def manifest(self, name, module, options=""):
        (self.folder / f"{name}.backend").write_text(
            f"name={name}\nmodule={Path(module).resolve()}\nabi_min=1\nabi_max=1\noptions={options}\n")
