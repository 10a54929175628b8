"""The source folders of a project: where its packages lie, as its own files declare it or as is usual."""

from __future__ import annotations

import configparser
import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

#: Folders that usually hold a project's packages, where no file declares another.
USUAL_FOLDERS = ("src", "python", "lib")
#: The files of which a project's folder has one.
PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
#: The keys below `tool` in pyproject.toml that name one folder.
FOLDER_KEYS = ("maturin.python-source", "pdm.build.package-dir", "uv.build-backend.module-root")


def list_source_folders(root: Path, test: Path) -> list[Path]:
    """List the folders from which a project's packages are imported, the nearest to the test first.

    Args:
        root: folder with the files of a revision.
        test: the test's file, in `root`.
    """
    found: dict[Path, None] = {}
    for project in dict.fromkeys([*_list_projects(root, test), root]):
        declared = list(_list_declared(project))
        folders = [(project / name).resolve() for name in (*(declared or USUAL_FOLDERS), ".")]
        found.update(dict.fromkeys(folder for folder in folders if _holds_packages(folder, root)))
    return list(found)


def list_renamed_packages(root: Path, test: Path) -> dict[str, Path]:
    """List the packages whose folder has another name, as setuptools' `package-dir` declares them, with that folder.

    The arguments are `list_source_folders`'. Of two projects with the same package, the nearest to the test counts.
    """
    found: dict[str, Path] = {}
    for project in reversed(_list_projects(root, test)):
        for package, name in _read_package_dir(project).items():
            folder = (project / name).resolve()
            is_renamed = package.isidentifier() and folder.name != package and folder.is_relative_to(root.resolve())
            if is_renamed and (folder / "__init__.py").is_file():
                found[package] = folder
    return found


def list_distributions(root: Path, test: Path) -> list[str]:
    """List the names under which the projects around a test are installed; the arguments are `list_source_folders`'."""
    names = []
    for project in _list_projects(root, test):
        tables = _read_toml(project / "pyproject.toml")
        names += [_read_key(tables, "project.name", str), _read_key(tables, "tool.poetry.name", str)]
        names.append(_read_setup_cfg(project).get("metadata", "name", fallback=None))
    return [name for name in names if name]


def _list_projects(root: Path, test: Path) -> list[Path]:
    """The folders above a test that have a project's files, the nearest first."""
    above = [folder for folder in test.parents if folder.is_relative_to(root)]
    return [folder for folder in above if any((folder / name).is_file() for name in PROJECT_FILES)]


def _holds_packages(folder: Path, root: Path) -> bool:
    """Whether a folder in `root` exists and is not itself a package."""
    return folder.is_relative_to(root.resolve()) and folder.is_dir() and not (folder / "__init__.py").exists()


def _list_declared(project: Path) -> Iterator[str]:
    """The folders that a project declares to its build backend: setuptools, Poetry, Hatch, PDM, Flit or maturin."""
    tool = _read_key(_read_toml(project / "pyproject.toml"), "tool", dict) or {}
    for package, folder in _read_package_dir(project).items():
        if not package:
            yield folder
        elif Path(folder).name == package:
            yield str(Path(folder).parent)
    yield from _read_list(tool, "setuptools.packages.find.where", str)
    for entry in _read_list(tool, "poetry.packages", dict):
        yield _read_key(entry, "from", str) or ""
    yield from (str(Path(name).parent) for name in _read_list(tool, "hatch.build.targets.wheel.packages", str))
    yield from _read_list(tool, "hatch.build.targets.wheel.sources", str)
    yield from filter(None, (_read_key(tool, key, str) for key in FOLDER_KEYS))
    parser = _read_setup_cfg(project)
    where = parser.get("options.packages.find", "where", fallback="")
    yield from filter(None, (line.strip() for line in where.splitlines()))


def _read_package_dir(project: Path) -> dict[str, str]:
    """Read setuptools' `package-dir`: the folder of each package that it names; that of all others is under ""."""
    lines = _read_setup_cfg(project).get("options", "package_dir", fallback="").splitlines()
    pairs = {name.strip(): folder.strip() for name, sign, folder in (line.partition("=") for line in lines) if sign}
    table = _read_key(_read_toml(project / "pyproject.toml"), "tool.setuptools.package-dir", dict) or {}
    return pairs | {package: folder for package, folder in table.items() if isinstance(folder, str)}


def _read_setup_cfg(project: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):
        parser.read(project / "setup.cfg")
    return parser


def _read_list(table: Mapping[str, Any], key: str, kind: type[Value]) -> list[Value]:
    """The elements of a type in the list at a dotted key; none if there is no list."""
    return [value for value in _read_key(table, key, list) or [] if isinstance(value, kind)]


def _read_key(table: Mapping[str, Any], key: str, kind: type[Value]) -> Value | None:
    """The value at a dotted key; None if there is none of this type."""
    value: Any = table
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, kind) else None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return {}
