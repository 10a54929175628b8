"""Who imports what, and that the three folders read side by side."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

import backends
import bench
from backends.exported.network_graph import ATTRIBUTES

BACKENDS = Path(backends.__file__).parent
FOLDERS = ("pytorch", "tensorflow", "keras", "jax", "lightning")
FILES = sorted(path.name for path in (BACKENDS / "pytorch").glob("*.py"))
KERAS_FILES = ("__init__.py", "model.py", "optimizer.py", "preprocess.py", "trainer.py")
#: What is an engine's in Keras.
ENGINES = {"on_tensorflow.py", "on_torch.py", "on_jax.py"}
#: Those that build exported networks.
BUILDING = ("tensorflow", "keras", "jax")
#: The export computes what depends on constants alone with PyTorch.
EXPORT = {
    Path("networks") / f"{name}.py"
    for name in ("export", "translation", "two_batches", "aten_operations", "aten_resizing", "drawn_weights")
}
#: Processes of their own, which read PyTorch's files or networks.
PROGRAMS = {Path("weights/conversion.py"), Path("networks/timm_names.py"), *EXPORT}
FRAMEWORKS = {
    "torch",
    "torchvision",
    "timm",
    "tensorflow",
    "keras",
    "keras_hub",
    "jax",
    "flax",
    "optax",
    "pytorch_lightning",
}


def modules(package) -> list[str]:
    """Every module of a package, but the ones that are a program."""
    root = Path(package.__file__).parent
    names = [path.relative_to(root.parent).with_suffix("").parts for path in root.rglob("*.py")]
    return sorted(".".join(parts).removesuffix(".__init__") for parts in names if "__main__" not in parts)


def imported(path: Path) -> set[str]:
    """First parts of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_importing_backends_and_all_of_bench_imports_no_framework(in_fresh_interpreter):
    own = {f"bench.{'.'.join(path.with_suffix('').parts)}" for path in PROGRAMS}
    names = [name for name in modules(bench) if name not in {*own, "bench.worker.measure"}]
    assert {"bench.cli.app", "bench.measure.conductor", "bench.measure.run", "bench.parity.sameness_proof"} <= set(
        names
    )
    code = (
        f"import importlib, sys\nfor name in {['backends', 'backends.base', 'backends.task', *names]}:\n"
        f"    importlib.import_module(name)\nprint(sorted({FRAMEWORKS} & sys.modules.keys()))"
    )
    assert in_fresh_interpreter(code) == "[]\n"


def test_the_command_line_starts_without_heavy_modules(in_fresh_interpreter):
    heavy = {"numpy", "pandas", "sklearn", "pydantic", "matplotlib"}
    code = f"import sys, bench.cli.app; print({heavy} & sys.modules.keys())"
    assert in_fresh_interpreter(code) == "set()\n"


def test_missing_packages_are_found_without_importing_any(in_fresh_interpreter):
    code = (
        "import sys, backends; [backends.find_missing_packages(name) for name in backends.REGISTRY];"
        f"print({FRAMEWORKS} & sys.modules.keys())"
    )
    assert in_fresh_interpreter(code) == "set()\n"


@pytest.mark.parametrize("path", sorted(BACKENDS.rglob("*.py")), ids=lambda p: str(p.relative_to(BACKENDS)))
def test_a_backend_imports_nothing_of_the_harness_and_touches_no_file_or_clock(path):
    assert not imported(path) & {"bench", "pytest", "time", "pathlib", "random"}
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"open", "print"}


def test_nothing_outside_a_backend_imports_its_framework():
    root = Path(bench.__file__).parent
    offenders = [p for p in root.rglob("*.py") if imported(p) & FRAMEWORKS and p.relative_to(root) not in PROGRAMS]
    assert offenders == []


def test_the_folders_hold_the_same_files():
    for folder in FOLDERS:
        own = {path.name for path in (BACKENDS / folder).glob("*.py")}
        # What is an engine's is in a file for each engine of Keras; JAX' compiled steps need more than a function.
        others = {"keras": {*KERAS_FILES, "engine.py", "batches.py", *ENGINES}, "jax": {*FILES, "steps.py"}}
        built = {"operations.py", "exported_network.py"} if folder in BUILDING else set()
        assert own == others.get(folder, set(FILES)) | built


@pytest.mark.parametrize("folder", BUILDING)
def test_the_operations_of_a_neutral_graph_stand_in_the_order_of_its_format(folder):
    found = names(BACKENDS / folder / "operations.py")
    assert [name for name in found if not name.startswith("_")] == list(ATTRIBUTES)


def test_of_kerass_files_only_those_of_an_engine_import_one():
    engines = FRAMEWORKS - {"keras", "keras_hub"}
    importing = {path.name for path in (BACKENDS / "keras").glob("*.py") if imported(path) & engines}
    assert importing == ENGINES
    assert not [path for path in (BACKENDS / "graphs").glob("*.py") if imported(path) & engines]


@pytest.mark.parametrize(
    ("file", "pair"),
    [
        (file, pair)
        for pair in itertools.combinations(FOLDERS, 2)
        for file in (KERAS_FILES if "keras" in pair else FILES)
    ],
)
def test_what_two_backends_share_stands_in_the_same_order(file, pair):
    first, second = (names(BACKENDS / folder / file) for folder in pair)
    shared = set(first) & set(second)
    assert [n for n in first if n in shared] == [n for n in second if n in shared]
    if file == "trainer.py" and "lightning" not in pair:  # it inherits from PyTorch's
        assert len(shared) >= 20


def names(path: Path) -> list[str]:
    """Functions, classes and methods of a file in their order; the framework's own name is left out of them."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = node.name
            for framework in ("PyTorch", "TensorFlow", "Keras", "Jax", "Lightning"):
                name = name.replace(framework, "X")
            found.append(name)
            if isinstance(node, ast.ClassDef):
                found += [f"{name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)]
    return found
