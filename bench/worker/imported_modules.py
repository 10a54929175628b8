"""Whether a worker runs the files that it should: modules that were imported from elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from bench.worker.target_worker import SUITE_PACKAGES

#: Modules that build backends add to an editable install, to find the project's own: setuptools'
#: `__editable___NAME_finder`, hatchling's `_editable_impl_NAME`, meson-python's `_NAME_editable_loader` and
#: scikit-build-core's `_NAME_editable`. They are of the project's distribution, and none of its modules.
EDITABLE_LOADER = re.compile(r"_\w*editable\w*")


def find_suite_modules_outside(root: Path) -> dict[str, str]:
    """Find modules of this suite that were imported from outside the folder `root`; returns their files by name."""
    return _find(lambda name, file: _is_of_suite(name) and not file.is_relative_to(root))


def find_project_modules_outside(
    root: Path, source_folders: Iterable[Path], repository: Path, distributions: Iterable[str]
) -> dict[str, str]:
    """Find modules of a project that were imported from outside its folder `root`; returns their files by name.

    A module belongs to the project if one of its source folders has it, if it lies in the working tree and is no
    installed package, or if it was installed as a part of the project.

    Args:
        root: the folder with the revision's files.
        source_folders: the folders in `root` in which the project's packages are.
        repository: the top folder of the working tree.
        distributions: the names under which the project may be installed.
    """
    folders = [folder.resolve() for folder in source_folders]
    installed = {file for name in distributions for file in _list_installed_files(name)}

    def is_foreign(name: str, file: Path) -> bool:
        if file.is_relative_to(root) or EDITABLE_LOADER.fullmatch(name):
            return False
        in_working_tree = file.is_relative_to(repository) and not {"site-packages", "dist-packages"} & set(file.parts)
        return in_working_tree or file in installed or any(_has_module(folder, name) for folder in folders)

    return _find(is_foreign)


def _list_installed_files(distribution: str) -> list[Path]:
    try:
        files = metadata.files(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return []
    return [Path(file.locate()).resolve() for file in files or [] if file.suffix in (".py", ".so", ".pyd")]


def _find(is_wanted: Callable[[str, Path], bool]) -> dict[str, str]:
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return {
        name: file
        for name, file in sorted(files.items())
        if file and name not in ("__main__", "__mp_main__") and is_wanted(name, Path(file).resolve())
    }


def _is_of_suite(name: str) -> bool:
    return name.partition(".")[0] in SUITE_PACKAGES


def _has_module(folder: Path, name: str) -> bool:
    """Whether a source folder has a module: its file, or the regular package that it would be in."""
    top, *_ = parts = name.split(".")
    if top in sys.stdlib_module_names:
        return False
    if (folder / top / "__init__.py").is_file():
        return True
    path = folder.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
