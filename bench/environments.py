"""How large an environment is that tags: with an export's runtime alone, with torch, and with all of the recipe.

python -m bench.environments

Installs each into a new environment by pip, and writes `results/serving/environments.json`.
"""

import importlib.metadata
import json
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipe.export import RUNNING, RUNTIMES
from recipe.files import write_whole
from recipe.hub.provenance import find_commit

RESULT = Path("results/serving/environments.json")
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"


def list_pins(runtime: str) -> list[str]:
    """The packages that run a tagger on `runtime`, as installed here."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*RUNNING, runtime)]


def measure_environment(arguments: list[str]) -> dict[str, Any]:
    """The size of a new environment without pip itself, and its largest packages, after `pip install` with `arguments`.

    In MB, files only.
    """
    with TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-qq", *arguments], check=True)
        versions = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
        subprocess.run([python, "-m", "pip", "uninstall", "-qq", "--yes", "pip"], check=True)
        sizes = {path.name: measure_size(path) for path in Path(folder).glob("lib/python*/site-packages/*")}
        largest = dict(sorted(sizes.items(), key=lambda pair: -pair[1])[:5])
        return {"mb": sum(sizes.values()), "largest": largest, "packages": versions.stdout.split("\n")[:-1]}


def measure_size(path: Path) -> float:
    """The size of a file or of all files in a folder, in MB; compiled bytecode left out."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(one.stat().st_size for one in files if one.is_file() and one.suffix != ".pyc") / 1e6


def main() -> None:
    """The command line: none."""
    kinds = {name: list_pins(runtime) for name, runtime in (RUNTIMES | {"torch": "torch"}).items()}
    kinds["the recipe"] = ["-r", str(REQUIREMENTS)]
    result: dict[str, Any] = {"commit": find_commit(), "python": sys.version.split()[0], "environments": {}}
    for name, arguments in kinds.items():
        result["environments"][name] = measure_environment(arguments)
        write_whole(RESULT, json.dumps(result, indent=2) + "\n")
        print(f"{name}: {result['environments'][name]['mb']:,.0f} MB")


if __name__ == "__main__":
    main()
