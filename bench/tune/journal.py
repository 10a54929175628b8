"""The journal of an unfinished search: a file in the home with its launches, from which the search can resume."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from backends.task import Variant
from bench.errors import UserError
from bench.measure.resume import find_differences
from bench.records.checksummed_json import parse_checksummed_json, to_checksummed_json
from bench.records.store import check_writable, write_text
from bench.tune.crew_launch import CrewLauncher, LaunchResult

KIND = "unfinished"
SCHEMA = 1


class UnfinishedTune(BaseModel):
    """The content of the file: the conditions under which the search began, and its finished launches in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    conditions: dict[str, Any]
    launches: tuple[LaunchResult, ...]


class Journal:
    """A `CrewLauncher` that writes each launch to a file, and does not repeat launches of an interrupted search.

    A search decides from the results of its launches alone, so that it requests the same launches in the same order.

    Attributes:
        launches: the launches so far, those of the interrupted search included.
        resumed, resumed_s: how many launches of an interrupted search the file had, and the seconds that they took.
        problem: why an interrupted search cannot be resumed; None if it can, or if there is none.
        unwritten: why launches could not be written; None if all were.
    """

    def __init__(self, file: Path, conditions: Mapping[str, Any], launch: CrewLauncher) -> None:
        """Read the file, if there is one.

        Args:
            file: the journal.
            conditions: everything on which the search's figures and decisions depend, as JSON values. A search with
                other conditions is not resumed.
            launch: measures a crew.
        """
        self.file, self._launch = file, launch
        self.conditions = json.loads(json.dumps(conditions))  # in the form in which they are read
        self.launches: list[LaunchResult] = []
        self.problem: str | None = None
        self.unwritten: str | None = None
        self._remaining = deque(self._read())
        self.resumed = len(self._remaining)
        self.resumed_s = sum(launch.wall_s for launch in self._remaining)

    def launch(self, crew: Sequence[Variant], rounds: int, reverse_start: bool, start_within: float) -> LaunchResult:
        """Take the next launch of the interrupted search, or measure it, see `CrewLauncher`."""
        requested = tuple(variant.name for variant in crew), rounds
        if self._remaining and (self._remaining[0].names, self._remaining[0].rounds) == requested:
            self.launches.append(self._remaining.popleft())
            return self.launches[-1]
        self._remaining.clear()
        self.launches.append(self._launch(crew, rounds, reverse_start, start_within))
        try:
            self._write()
        except UserError as error:  # the search goes on, but cannot be resumed from here
            self.unwritten = str(error)
        return self.launches[-1]

    def check_writable(self) -> None:
        """Check before the search that the file can be written.

        Raises:
            UserError: it cannot.
        """
        self._make_folder()
        check_writable(self.file)

    def remove(self) -> None:
        """Delete the file, after the search has finished."""
        self.file.unlink(missing_ok=True)

    def _read(self) -> Sequence[LaunchResult]:
        if not self.file.is_file():
            return ()
        try:
            journal = parse_checksummed_json(KIND, self.file.read_bytes(), UnfinishedTune, SCHEMA)
        except (ValueError, OSError) as error:
            self.problem = str(error)
            return ()
        if changed := find_differences(journal.conditions, self.conditions):
            self.problem = changed[0]
            return ()
        return journal.launches

    def _make_folder(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write {self.file} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours"
            ) from None

    def _write(self) -> None:
        self._make_folder()
        write_text(
            self.file,
            to_checksummed_json(KIND, UnfinishedTune(conditions=self.conditions, launches=tuple(self.launches))) + "\n",
        )
