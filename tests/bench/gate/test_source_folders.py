"""Where a project's packages lie, and the names under which it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gate.source_folders import list_distributions, list_renamed_packages, list_source_folders


def list_names(root: Path, test: str = "tests/test_step.py") -> list[str]:
    return [str(folder.relative_to(root)) for folder in list_source_folders(root, root / test)]


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("tests", "src/p", "python/p", "lib/p", "code/p", "a/b/tests"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[tool.setuptools.package-dir]\n"" = "code"'),
        ("pyproject.toml", '[tool.setuptools.package-dir]\np = "code/p"'),
        ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["code"]'),
        ("pyproject.toml", '[tool.poetry]\npackages = [{ include = "p", from = "code" }]'),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\npackages = ["code/p"]'),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\nsources = ["code"]'),
        ("pyproject.toml", '[tool.maturin]\npython-source = "code"'),
        ("pyproject.toml", '[tool.pdm.build]\npackage-dir = "code"'),
        ("pyproject.toml", '[tool.uv.build-backend]\nmodule-root = "code"'),
        ("setup.cfg", "[options]\npackage_dir =\n    = code"),
        ("setup.cfg", "[options.packages.find]\nwhere = code"),
    ],
)
def test_a_declared_folder_comes_first_and_usual_ones_are_left_out(root, file, text):
    (root / file).write_text(text)
    assert list_names(root) == ["code", "."]


def test_without_a_declaration_the_usual_folders_are_taken(root):
    assert list_names(root) == ["src", "python", "lib", "."]


def test_a_folder_that_is_itself_a_package_is_none(root):
    (root / "lib/__init__.py").touch()
    assert list_names(root) == ["src", "python", "."]


def test_a_declared_folder_outside_of_the_revision_is_not_taken(root):
    (root / "pyproject.toml").write_text('[tool.setuptools.package-dir]\n"" = "../elsewhere"')
    (root.parent / "elsewhere").mkdir(exist_ok=True)
    assert list_names(root) == ["."]


def test_the_project_that_is_nearest_to_the_test_comes_first(root):
    (root / "a/b/setup.py").touch()
    (root / "a/b/src").mkdir()
    assert list_names(root, "a/b/tests/test_step.py") == ["a/b/src", "a/b", "src", "python", "lib", "."]


@pytest.mark.parametrize(
    "text",
    [
        "tool = 3",
        "[tool]\nsetuptools = 3\npoetry = 3\nhatch = 3",
        "[tool.setuptools]\npackage-dir = 'x'\npackages = { find = 3 }\n[tool.poetry]\npackages = 'x'",
        "[tool.setuptools]\npackage-dir = { '' = 3 }\npackages = { find = { where = [3] } }",
        "[tool.hatch.build.targets.wheel]\npackages = [3]\nsources = [3]\n[tool.setuptools.packages.find]\nwhere = 'p'",
    ],
)
def test_values_of_another_type_declare_nothing(root, text):
    (root / "pyproject.toml").write_text(text)
    assert list_names(root) == ["src", "python", "lib", "."]


def test_a_file_that_is_not_toml_declares_nothing(root):
    (root / "pyproject.toml").write_text("[tool")
    (root / "setup.cfg").write_text("no section")
    assert list_names(root) == ["src", "python", "lib", "."]


def test_a_package_whose_folder_has_another_name_is_listed_with_it(root):
    (root / "code/p/__init__.py").touch()
    (root / "pyproject.toml").write_text(
        '[tool.setuptools.package-dir]\nacme = "code/p"\np = "code/p"\nnone = "code/q"'
    )
    assert list_renamed_packages(root, root / "tests/test_step.py") == {"acme": root / "code/p"}


def test_the_names_of_a_project_are_those_of_all_its_files(root):
    (root / "pyproject.toml").write_text('[project]\nname = "one"\n[tool.poetry]\nname = "two"')
    (root / "setup.cfg").write_text("[metadata]\nname = three")
    assert list_distributions(root, root / "tests/test_step.py") == ["one", "two", "three"]
