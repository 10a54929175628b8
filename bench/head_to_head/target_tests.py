"""The tests that `bench run --target` compares: their files, and their names in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError

EXAMPLE = "tests/test_steps.py::test_torch"


@dataclass(frozen=True)
class ComparedTest:
    """A test that is compared.

    Attributes:
        name: its node id, relative to the current folder.
        label: its name in tables: that of its function, if no other test has that.
    """

    name: str
    label: str


def find_tests(names: Sequence[str], folder: Path) -> list[ComparedTest]:
    """Find the tests by their node ids, as pytest takes them in `folder`.

    Raises:
        UserError: a file does not exist, two of them are the same test, or there are fewer than two.
    """
    found: dict[tuple[Path, str], str] = {}
    for name in names:
        file, _, test = name.partition("::")
        if not file.strip():
            raise UserError(f"--target {name!r} names no test: give one, as {EXAMPLE}")
        if not (folder / file).is_file():
            raise UserError(f"--target {name}: {file} is no file here: give the path of a test, as {EXAMPLE}")
        key = ((folder / file).resolve(), test)
        if key in found:
            raise UserError(f"--target {found[key]} and {name} are the same test: give two different ones")
        found[key] = name
    if len(found) < 2:
        raise UserError(
            f"--target {names[0]} is one test: give another one to compare it with, or compare two revisions of it "
            "with bench gate --target"
        )
    counts = Counter(map(_shorten, names))
    return [ComparedTest(name, _shorten(name) if counts[_shorten(name)] == 1 else name) for name in names]


def _shorten(name: str) -> str:
    """The function's name and parameters, as `test_step[large]`; without a function, the file's."""
    path, bracket, parameters = name.partition("[")
    return f"{path.rpartition('::')[2]}{bracket}{parameters}"
