"""Runs a job of `bench gate --target` and `bench run --target`: `python -P bench/worker/target_worker.py JOB.json`.

The project under test may have packages of its own called `bench`, `backends` or `tests`. Therefore this suite is not
on the worker's path, and this file is started by its own path. It imports what it needs of the suite, takes these
modules out of `sys.modules`, and keeps them under a private name: whatever the project imports afterwards is its own.
Its source folders come first, before installed copies and before the import hooks of editable installs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

SUITE = Path(__file__).resolve().parents[2]
#: The packages of this suite, and the name under which a target worker keeps them.
SUITE_PACKAGES = ("bench", "backends")
PRIVATE_NAME = "_head_to_head"


class SourceFinder(MetaPathFinder):
    """Finds the modules of a project in its source folders, before every other finder.

    Namespace packages are left to the other finders, because parts of them may lie elsewhere.
    """

    def __init__(self, folders: Sequence[str], renamed_packages: Mapping[str, str] = MappingProxyType({})) -> None:
        self.folders = list(folders)
        self.renamed_packages = renamed_packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a top-level module in the source folders, or a submodule in that part of its package that lies there."""
        if path is None:
            if fullname in sys.stdlib_module_names:
                return None
            if folder := self.renamed_packages.get(fullname):
                return spec_from_file_location(
                    fullname, Path(folder) / "__init__.py", submodule_search_locations=[folder]
                )
            places = self.folders
        else:
            places = [place for place in path if any(Path(place).is_relative_to(folder) for folder in self.folders)]
        spec = PathFinder.find_spec(fullname, places, target) if places else None
        return spec if spec and spec.loader else None


def import_suite() -> Any:
    """Import `bench.worker.target_plugin` with all that it needs, and hide the suite from every later import."""
    projects_own = _take_out(lambda module: not _is_of_suite(module))
    sys.path.insert(0, str(SUITE))
    from bench.worker import target_plugin

    sys.path.remove(str(SUITE))
    for name, module in _take_out(_is_of_suite).items():
        sys.modules[f"{PRIVATE_NAME}.{name}"] = module
    sys.modules.update(projects_own)
    return target_plugin


def _take_out(is_wanted: Callable[[ModuleType], bool]) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] in SUITE_PACKAGES and is_wanted(sys.modules[name])]
    return {name: sys.modules.pop(name) for name in names}


def _is_of_suite(module: ModuleType) -> bool:
    return Path(getattr(module, "__file__", None) or "").resolve().is_relative_to(SUITE)


def main(job_file: str) -> int:
    """Run pytest on the test of a job; returns pytest's exit status."""
    target_plugin = import_suite()
    fields = json.loads(Path(job_file).read_text(encoding="utf-8"))
    sys.meta_path.insert(0, SourceFinder(fields["source_folders"], fields["renamed_packages"]))
    return int(target_plugin.run_job(fields))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
