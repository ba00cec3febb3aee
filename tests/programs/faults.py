"""Runs a script again and again, and lets the disk fail at another write each time: faults.py folder stride script ...

Started with the library of faults.c preloaded. After each failure the folder must hold whole checkpoints and results,
the status must be 2 with one line, and the same command must end with the weights of an undisturbed run. Prints one
line of JSON: the writes of an undisturbed run, the faults tried, and what went wrong.
"""

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path

import torch  # noqa: F401 - what a forked run needs is imported once, before

import run_mlm
import run_ner
from conftest import fingerprint
from recipe.errors import exit_with
from recipe.training.checkpoints import find_damage, list_checkpoints

LAST = 2**31
faults = ctypes.CDLL(None)
faults.faults_count.restype = ctypes.c_long
faults.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long]


def run(script, flags: list[str], folder: Path, first: int = 0, last: int = LAST) -> tuple[int, str, int]:
    """Run a script in a process of its own; returns its status, its standard error, and the number of its writes."""
    log, counter = folder.with_suffix(".log"), folder.with_suffix(".count")
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        faults.faults_arm(str(folder).encode(), first, last)
        status = 0
        try:
            exit_with(lambda: script.main(flags))
        except SystemExit as end:
            status = end.code or 0
        finally:
            count = faults.faults_count()
            faults.faults_arm(b"", 0, 0)
            counter.write_text(str(count))
            sys.stderr.flush()
            os._exit(status if isinstance(status, int) else 1)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), log.read_text(errors="replace"), int(counter.read_text())


def find_fault(folder: Path, status: int, errors: str) -> str | None:
    """What is wrong after a failed run."""
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if status != 2 or len(lines) != 1 or "Traceback" in errors:
        return f"status {status}: {errors[-300:]}"
    for path in list_checkpoints(folder):
        if damage := find_damage(path):
            return f"{path.name}: {damage}"
    for name in ("report.json", "metrics.json", "trainer_state.json", "config.json"):
        if (folder / name).exists():
            try:
                json.loads((folder / name).read_text())
            except ValueError as error:
                return f"{name}: {error}"
    return None


def main() -> None:
    folder, stride, name, *flags = sys.argv[1:]
    out, script = Path(folder), {"run_ner.py": run_ner, "run_mlm.py": run_mlm}[name]
    flags = [*flags, f"--output_dir={out}"]
    shutil.rmtree(out, ignore_errors=True)
    status, errors, writes = run(script, flags, out)
    assert status == 0, errors
    expected, wrong, tried = fingerprint(out), [], 0
    for number in range(1, writes + 1, int(stride)):
        for last in (number, LAST):  # one write fails, or all from this one on
            shutil.rmtree(out)
            tried += 1
            status, errors, _ = run(script, flags, out, number, last)
            fault = None if status == 0 and last == number else find_fault(out, status, errors)
            if fault is None:
                status, errors, _ = run(script, flags, out)
                if status or fingerprint(out) != expected:
                    fault = f"afterwards status {status}: {errors[-300:]}" if status else "other weights"
            if fault:
                wrong.append({"write": number, "lasting": last == LAST, "fault": fault})
    print(json.dumps({"writes": writes, "tried": tried, "wrong": wrong}))


if __name__ == "__main__":
    main()
