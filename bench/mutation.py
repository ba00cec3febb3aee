"""Change one thing after another in the code, and see whether the tests notice: mutation testing, by mutmut.

python -m bench.mutation [--again] [group ...]

`make mutation`. Each group of `GROUPS` is tested in a copy of the repository in `runs/mutation/`, where `mutmut browse`
shows its mutants. Writes `results/reliability/mutation.json`: for each module, the mutants, how many of them the tests
killed, and each survivor as the line before and after.
"""

import argparse
import ast
import datetime
import difflib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from recipe.hub.provenance import describe_hardware, find_commit

RESULT = Path("results/reliability/mutation.json")
WORK = Path("runs/mutation")
TABLE = "[tool.mutmut]\n"  # in pyproject.toml
STATISTICS = "mutants/mutmut-stats.json"  # which tests reach which functions
SURVIVED, TIMED_OUT = {0, 5, 33}, {24, -24, 36, 152, 255}  # exit codes, 5 and 33 if there is no test; others: killed

# Of the tests of pushes, those that differ in the code that they reach: each surviving mutant passes all of them.
PUSHED = (
    "saved_checkpoint or held or wait or names_the_command or passes or under_way or hard_links or licence or owner "
    "or of_its_folder or first_process or of_the_end or without_a_checkpoint or only_where or without_the_check "
    "or by_hand or its_branch or three_times or tried_again or link or weights or no_header or offline_mode "
    "or not_there or unless_asked or tensorboard or though_it or a_role or is_refused_before"
)

READERS = ("column_checks", "conll", "layouts", "rows", "schemes", "spans", "spelling", "tag_conversion", "words")

# group -> modules, and pytest's arguments for the tests that belong to them
GROUPS = {
    "reading": (
        [f"recipe/data/{name}.py" for name in READERS],
        [
            *(
                f"tests/data/test_{name}.py"
                for name in ("conll", "rows", "schemes", "spans", "spelling", "splits", "words")
            ),
            *("-k", "not both_readers"),
        ],
    ),
    "scoring": (["recipe/evaluation/scoring.py"], ["tests/evaluation/test_scoring.py"]),
    "decoding": (
        ["recipe/inference/decoding.py"],
        ["tests/inference/test_decoding.py", "tests/inference/test_posteriors.py"],
    ),
    "windows": (
        ["recipe/inputs/windows.py"],
        ["tests/inputs/test_windows.py", "tests/inputs/test_case_markers.py::test_a_marked_word_is_labelled_once"],
    ),
    "checkpoints": (["recipe/training/checkpoints.py"], ["tests/training/test_checkpoints.py"]),
    "pushes": (["recipe/hub/pushes.py"], ["tests/hub/test_pushes.py", "-k", PUSHED]),
}


def run_group(name: str, again: bool = False) -> Path:
    """Test all mutants of a group in a copy of the repository. Returns the folder of the mutated modules.

    again: only the survivors of the last run, with the tests as they are now, and the functions that have changed.
    """
    modules, tests = GROUPS[name]
    copy = WORK / name
    shutil.rmtree(copy, ignore_errors=True) if not again else (copy / STATISTICS).unlink(missing_ok=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    for file in filter(os.path.exists, listed.stdout.decode().split("\0")[:-1]):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy / file)
    settings = f"only_mutate = {modules}\npytest_add_cli_args_test_selection = {tests}\n"
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace(TABLE, TABLE + settings))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)  # would lead to the code as it is
    command = [Path(sys.executable).with_name("mutmut"), "run", "--max-children", "1"]
    subprocess.run(command, cwd=copy, env=environment, check=True)
    mutants = copy / "mutants"
    survivors = [key for module in modules for key in list_survivors(read_codes(mutants, module))]
    if again and survivors:
        subprocess.run([*command, *survivors], cwd=copy, env=environment, check=True)
    return mutants


def read_codes(folder: Path, module: str) -> dict[str, int]:
    """The exit code of the tests for each mutant of a module."""
    return json.loads((folder / f"{module}.meta").read_text())["exit_code_by_key"]


def list_survivors(codes: dict[str, int]) -> list[str]:
    """The mutants that no test notices or reaches."""
    return [name for name, code in codes.items() if code in SURVIVED]


def summarize(folder: Path, module: str) -> dict:
    """The counts of one module, and its survivors."""
    codes = read_codes(folder, module)
    survivors = list_survivors(codes)
    timed_out = sum(code in TIMED_OUT for code in codes.values())
    killed = len(codes) - len(survivors) - timed_out
    counts = {"mutants": len(codes), "killed": killed, "timed_out": timed_out, "survived": len(survivors)}
    return counts | {"survivors": list(list_changes(folder / module, survivors))}


def list_changes(mutated: Path, names: list[str]) -> Iterator[dict]:
    """What each of the mutants `names` changes: the function, and its lines before and after."""
    lines = mutated.read_text().splitlines()
    functions = {node.name: node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef)}

    def read_source(name: str) -> list[str]:
        node = functions[name]
        return [line.strip().replace(name, "") for line in lines[node.lineno - 1 : node.end_lineno]]

    for name in names:
        mutant = name.rpartition(".")[2]
        function = mutant.rpartition("__mutmut_")[0]
        before, after = read_source(f"{function}__mutmut_orig"), read_source(mutant)
        changed = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        gone, new = (" ".join(line[1:] for line in changed if line[0] == sign) for sign in "-+")
        yield {"function": function[2:].replace("ǁ", "."), "before": gone, "after": new}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", help=f"of {' '.join(GROUPS)} (default: all)")
    parser.add_argument("--again", action="store_true", help="only survivors of the last run, and changed functions")
    args = parser.parse_args()
    groups = json.loads(RESULT.read_text()) if RESULT.exists() and args.groups else {}
    facts = {"date": datetime.date.today().isoformat(), "commit": find_commit(), "hardware": describe_hardware(0)}
    for name in args.groups or GROUPS:
        started = time.perf_counter()
        folder = run_group(name, args.again)
        modules = {module: summarize(folder, module) for module in GROUPS[name][0]}
        minutes = (time.perf_counter() - started) / 60 + (groups[name]["minutes"] if args.again else 0)
        groups[name] = {**facts, "minutes": round(minutes, 1), "modules": modules}
        RESULT.write_text(json.dumps(groups, indent=2, ensure_ascii=False) + "\n")
        for module, row in modules.items():
            print(module, {key: value for key, value in row.items() if key != "survivors"}, flush=True)


if __name__ == "__main__":
    main()
