"""A worker for another project's test: the project's own files come first, and this suite is not in its way."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from bench.worker import target_worker
from bench.worker.imported_modules import find_project_modules_outside
from bench.worker.target_worker import SourceFinder

#: Imports what a worker needs of this suite, and then what a project might have. It prints the files of both.
IMPORT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("target_worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
plugin = worker.import_suite()
print(plugin.__file__, plugin.TargetPlugin.__name__)
import bench, backends.sub
print(bench.__file__, backends.sub.__file__)
try:
    from tests.bench import processes
except ImportError as error:
    print("no", error.name)
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("_head_to_head.")))
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two folders that have the package `stepper_project`: a revision's and an installed one."""
    for name in ("revision", "installed"):
        package = tmp_path / name / "stepper_project"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "step.py").touch()
    (tmp_path / "installed/stepper_project/compiled.py").touch()
    before = set(sys.modules)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "installed"), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


class EditableInstall:
    """The import hook of an editable install: it knows every module's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("stepper_project"):
            return None
        return PathFinder.find_spec(name, [str(self.folder.joinpath(*name.split(".")[:-1]))])


def test_a_revisions_files_come_before_installed_ones_and_editable_hooks(places):
    sys.meta_path.insert(0, EditableInstall(places / "installed"))
    sys.meta_path.insert(0, SourceFinder([str(places / "revision")]))
    step = importlib.import_module("stepper_project.step")
    assert Path(step.__file__) == places / "revision/stepper_project/step.py"
    assert find_project_modules_outside(places / "revision", [places / "revision"], places / "tree", []) == {}


def test_a_package_whose_folder_has_another_name_is_found(places):
    folder = places / "revision/stepper_project"
    sys.meta_path.insert(0, SourceFinder([str(places / "revision")], {"renamed_project": str(folder)}))
    assert Path(importlib.import_module("renamed_project.step").__file__) == folder / "step.py"


def test_a_module_that_only_the_installed_copy_has_is_named(places):
    sys.meta_path.insert(0, EditableInstall(places / "installed"))
    sys.meta_path.insert(0, SourceFinder([str(places / "revision")]))
    importlib.import_module("stepper_project.compiled")
    found = find_project_modules_outside(places / "revision", [places / "revision"], places / "tree", [])
    assert found == {"stepper_project.compiled": str(places / "installed/stepper_project/compiled.py")}


def test_a_module_from_the_working_tree_or_of_the_installed_project_is_named(places, monkeypatch):
    importlib.import_module("stepper_project.step")
    nowhere = places / "revision/src"
    assert find_project_modules_outside(places / "revision", [nowhere], places / "tree", ["no-such"]) == {}
    named = {"stepper_project", "stepper_project.step"}
    assert find_project_modules_outside(places / "revision", [nowhere], places / "installed", []).keys() == named
    info = places / "installed/stepper-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stepper\nVersion: 1\n")
    (info / "RECORD").write_text("stepper_project/__init__.py,,\nstepper_project/step.py,,\n")
    assert find_project_modules_outside(places / "revision", [nowhere], places / "tree", ["stepper"]).keys() == named


def test_the_standard_library_and_namespaces_are_left_to_others(tmp_path):
    (tmp_path / "json.py").touch()
    (tmp_path / "google").mkdir()
    finder = SourceFinder([str(tmp_path)])
    assert finder.find_spec("json") is None
    assert finder.find_spec("google") is None


def test_a_project_has_its_own_bench_and_backends_and_never_our_tests(tmp_path):
    for name in ("bench", "backends"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "backends/sub.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT, target_worker.__file__],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    suite, own, tests, private = done.stdout.splitlines()
    assert suite == f"{target_worker.SUITE}/bench/worker/target_plugin.py TargetPlugin"
    assert own == f"{tmp_path}/bench/__init__.py {tmp_path}/backends/sub.py"
    assert tests == "no tests"
    for file in set(private.split()) - {target_worker.__file__}:  # which imports the others
        inner = [node for node in ast.walk(ast.parse(Path(file).read_text())) if isinstance(node, ast.FunctionDef)]
        late = [node for function in inner for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
        ours = [node.module for node in late if node.module.partition(".")[0] in target_worker.SUITE_PACKAGES]
        assert not ours, f"{file} imports {ours} when the suite can no longer be imported"
