"""The test that `--target` names: its file in the repository, and the folder in which pytest is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError


@dataclass(frozen=True)
class LocatedTest:
    """A test of a repository.

    Attributes:
        name: its node id, relative to `start_folder`.
        file: its file, relative to the top folder.
        start_folder: the folder in which pytest is started, relative to the top folder.
    """

    name: str
    file: Path
    start_folder: Path


def locate_test(target: str, folder: Path, top: Path) -> LocatedTest:
    """Locate a test whose path is given from the current folder, as for pytest, or from the top folder.

    Args:
        target: the test's node id.
        folder: the current folder, in the repository.
        top: the top folder of the repository.

    Raises:
        UserError: neither folder has the file.
    """
    name, colons, test = target.partition("::")
    for start in dict.fromkeys((folder.resolve(), top)):
        file = (start / name).resolve()
        if file.is_file() and file.is_relative_to(top):
            relative = file.relative_to(start) if file.is_relative_to(start) else Path(name)
            return LocatedTest(f"{relative}{colons}{test}", file.relative_to(top), start.relative_to(top))
    raise UserError(f"cannot compare: the working tree has no {name}: give its path in the repository {top.name}")
