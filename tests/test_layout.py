"""Who may import whom: the contracts in pyproject.toml hold for the code, and break where an import breaks them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="the extra `dev` is not installed")

PROJECT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the code that may be broken."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("backends", "bench"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", folder)
    return folder


def test_bench_holds_folders_and_three_files():
    files = {path.name for path in (PROJECT / "bench").iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "errors.py"}


def test_the_contracts_hold(tree):
    done = lint(tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("bench/trend/trend_tables.py", "from bench.gate import decision", "No feature imports another"),
        ("bench/records/record.py", "def f():\n    from bench.machine import memory", "only from rooms below it"),
        ("backends/base.py", "import bench.errors", "backends/ imports nothing of bench/"),
        ("backends/keras/model.py", "from backends.tensorflow import head", "Only Lightning imports another backend"),
    ],
    ids=["a feature of a feature", "within a function", "a backend of the harness", "a backend of a backend"],
)
def test_an_import_that_breaks_one_is_found(tree, file, line, contract):
    path = tree / file
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    try:
        done = lint(tree)
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert any(contract in row and "BROKEN" in row for row in done.stdout.splitlines()), done.stdout
