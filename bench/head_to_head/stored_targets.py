"""The stored result of `bench run --target`: `results/<UTC>-targets/targets/comparison.json`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from bench.errors import UserError
from bench.parity.output_comparison import OutputComparison
from bench.records import store
from bench.records.checksummed_json import parse_checksummed_json, to_checksummed_json
from bench.records.launch_figures import LaunchFigures
from bench.records.record import Conditions
from bench.records.result_kinds import FOLDERS

SCHEMA = 1
KIND = "targets"
FOLDER = FOLDERS["run --target"]
FILE = f"{FOLDER}/comparison.json"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TargetLaunch(_Stored):
    """One launch of all tests, whose rounds took turns.

    Attributes:
        figures: of each test, in their order.
        conditions: what else the machine did meanwhile, by group of tests that took turns.
    """

    figures: tuple[LaunchFigures, ...]
    conditions: tuple[Conditions | None, ...]


class OutputCheck(_Stored):
    """The outcome of `--same-output`: each test but the first, compared with it; `tolerance` is relative."""

    tolerance: float
    comparisons: tuple[OutputComparison, ...]

    @property
    def differing(self) -> tuple[OutputComparison, ...]:
        """Those that differ."""
        return tuple(one for one in self.comparisons if one.problems)


class StoredTargets(_Stored):
    """Everything that tables, files and the report are made from.

    Attributes:
        started: when, UTC.
        about: the machine and its software, of `bench.machine.environment.describe_environment`; in `run`, the command.
        names: the node ids of the tests.
        labels: their names in tables.
        isolated: whether one test was measured at a time, so that rounds did not take turns.
        output: what `--same-output` has found; None without that option.
        launches: those in which every test was measured.
        stopped: why there are no further launches; None if there were to be no more.
    """

    schema_version: int = SCHEMA
    started: str
    about: dict[str, Any]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    isolated: bool = False
    output: OutputCheck | None = None
    launches: tuple[TargetLaunch, ...] = ()
    stopped: str | None = None

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        numbers = {len(self.labels), *(len(launch.figures) for launch in self.launches)}
        if numbers != {len(self.names)}:
            raise ValueError("a launch has the figures of every test")
        return self


@contextmanager
def prepare_results(results: Path) -> Iterator[None]:
    """Make the folder of all results, so that it is known that it can be written before anything is measured. If it is
    new and nothing is stored in it, it is removed at the end of the block.

    Raises:
        UserError: it cannot be created or written.
    """
    is_new = not results.exists()
    store.make_folder(results)
    try:
        store.check_writable(results / KIND)
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it has a result
                results.rmdir()


def create_folder(results: Path, started: datetime) -> Path:
    """Create the folder of a result, which git ignores.

    Raises:
        UserError: it cannot be created.
    """
    return store.create_run(results, KIND, started, FOLDER, ignored=True)


def write(folder: Path, result: StoredTargets) -> None:
    """Write the result into its folder.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    store.write_text(folder / FILE, to_checksummed_json(KIND, result) + "\n", finished_in=folder)


def read(folder: Path) -> StoredTargets:
    """Read the result.

    Raises:
        UserError: it is cut off, edited, or of another version.
    """
    try:
        return parse_checksummed_json(KIND, (folder / FILE).read_bytes(), StoredTargets, SCHEMA)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"the comparison {folder} cannot be shown: {FILE}: {reason}: measure again") from None
