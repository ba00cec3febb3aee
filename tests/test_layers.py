"""The library is built in layers: imports run downwards, in no circle, and load no more than a layer needs."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from conftest import ROOT, run_program

BASE = {"console", "errors", "files", "folders", "seeds", "precision", "settings", "launch", "connection"}
BASE |= {"command_line"}
TOP = {"arguments", "export", "exportable", "output_folder", "run", "summary", "__main__"}
LAYERS = ("base", "data", "inputs", "model", "evaluation", "inference", "training", "hub", "top")  # from the bottom up
HEAVY = ("torch", "transformers", "datasets")


def read_sources():
    """The text of each module of the library, by the module's name; `recipe` itself is the bottom."""
    paths = sorted((ROOT / "recipe").rglob("*.py"))
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    return {".".join(part for part in parts[path] if part != "__init__"): path.read_text() for path in paths}


def list_imported(text):
    """What a module imports, in functions and under TYPE_CHECKING too: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "write relative imports as absolute ones, which this test reads"
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def find_imports(sources):
    """The modules among `sources` that each of them imports."""
    return {name: {other for other in list_imported(text) if other in sources} for name, text in sources.items()}


def find_layer(name):
    """The height of a module's layer; a new module beside the folders has to be put into BASE or TOP."""
    part = name.split(".")[1]
    return LAYERS.index("base" if part in BASE else "top" if part in TOP else part)


def find_upward(imports):
    pairs = [(name, other) for name, others in imports.items() for other in others if "recipe" not in (name, other)]
    return sorted((name, other) for name, other in pairs if find_layer(other) > find_layer(name))


def test_no_module_imports_one_of_a_layer_above():
    imports = find_imports(read_sources())
    assert len(imports) > 40
    assert sum(map(len, imports.values())) > 100
    assert find_upward(imports) == []
    assert imports["recipe"] == set()  # each module runs it first


def test_modules_do_not_import_each_other_in_a_circle():
    TopologicalSorter(find_imports(read_sources())).prepare()  # raises CycleError, which names the circle


def test_the_library_imports_neither_a_script_nor_the_benchmarks():
    for name, text in read_sources().items():
        assert not {other.split(".")[0] for other in list_imported(text)} & {"run_mlm", "run_ner", "bench"}, name


@pytest.mark.parametrize(
    "bad",
    [
        "import recipe.training.trainer",
        "from recipe.training import trainer",
        "from recipe.training.trainer import RecipeTrainer",
        "def read():\n    from recipe.training.trainer import RecipeTrainer",
        "if TYPE_CHECKING:\n    from recipe.training.trainer import RecipeTrainer",
    ],
)
def test_an_import_upwards_would_be_found_wherever_it_stands(bad):
    sources = read_sources()
    sources["recipe.data.conll"] += f"\n{bad}\n"
    assert ("recipe.data.conll", "recipe.training.trainer") in find_upward(find_imports(sources))


def test_a_circle_would_be_found():
    sources = read_sources()
    sources["recipe.data.schemes"] += "\nfrom recipe.data.conll import read_conll\n"  # which imports schemes
    with pytest.raises(CycleError):
        TopologicalSorter(find_imports(sources)).prepare()


def test_every_module_can_be_imported_first():
    """The heavy libraries stay loaded from one module to the next, and nothing of the recipe does."""
    program = (
        "import importlib, sys, datasets, evaluate, torch, transformers\n"
        f"for name in {list(read_sources())}:\n"
        "    for loaded in [loaded for loaded in sys.modules if loaded.partition('.')[0] == 'recipe']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    assert run_program(program) == ""


def test_the_layer_of_data_needs_neither_torch_nor_transformers():
    names = [name for name in read_sources() if name.startswith("recipe.data")]
    assert len(names) > 5
    program = (
        "import importlib, sys\n"
        "sys.modules['torch'] = sys.modules['transformers'] = None\n"  # to import them raises ImportError
        f"for name in {names}: importlib.import_module(name)\n"
    )
    assert run_program(program) == ""


def list_loaded(program):
    """Which of the heavy libraries a program has loaded when it ends."""
    return run_program(f"{program}\nimport sys; print(sorted(set({HEAVY}) & sys.modules.keys()))").splitlines()[-1]


def test_importing_the_library_loads_nothing_heavy():
    assert list_loaded("import recipe") == "[]"


def test_scoring_a_file_loads_nothing_heavy(tmp_path):
    (tmp_path / "predictions.conll").write_text("Oslo B-LOC B-LOC\n")
    path = str(tmp_path / "predictions.conll")
    assert list_loaded(f"from recipe.__main__ import main; main(['score', {path!r}])") == "[]"
