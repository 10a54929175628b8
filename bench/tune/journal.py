"""Launches of a tune that is not finished, kept in home one by one: an interrupted one goes on from there."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from backends.task import Variant
from bench.errors import UserError
from bench.measure.resume import differences
from bench.records.checksummed_json import seal, unseal
from bench.records.store import write_text
from bench.tune.crew_launch import LaunchCrew, Launched

KIND = "unfinished"
SCHEMA = 1


class Unfinished(BaseModel):
    """What the file holds: under which conditions the search began, and its finished launches in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    conditions: dict[str, Any]
    launches: tuple[Launched, ...]


class Journal:
    """A `LaunchCrew` that measures nothing again that an interrupted search has measured.

    A search decides by what its launches told and by nothing else, so it asks for the same ones again.
    """

    def __init__(self, file: Path, conditions: Mapping[str, Any], launch: LaunchCrew) -> None:
        """Read what is kept.

        Args:
            file: where launches are kept.
            conditions: all that decides a figure, and what was asked for, JSON-ready.
            launch: measures.
        """
        self.file, self._measure = file, launch
        self.conditions = json.loads(json.dumps(conditions))  # as it is read back
        self.done: list[Launched] = []
        self.problem: str | None = None
        self._ahead = deque(self._read())
        self.found = len(self._ahead)

    @property
    def found_s(self) -> float:
        """Seconds that the launches took which are still to be used again."""
        return sum(launch.wall_s for launch in self._ahead)

    def launch(self, crew: Sequence[Variant], rounds: int, reverse_start: bool, start_within: float) -> Launched:
        """See `LaunchCrew`.

        Raises:
            UserError: it cannot be kept.
        """
        asked = tuple(variant.name for variant in crew), rounds
        if self._ahead and (self._ahead[0].names, self._ahead[0].rounds) == asked:
            self.done.append(self._ahead.popleft())
            return self.done[-1]
        self._ahead.clear()
        self.done.append(self._measure(crew, rounds, reverse_start, start_within))
        self._keep()
        return self.done[-1]

    def remove(self) -> None:
        """The search is finished."""
        self.file.unlink(missing_ok=True)

    def _read(self) -> Sequence[Launched]:
        if not self.file.is_file():
            return ()
        try:
            kept = unseal(KIND, self.file.read_bytes(), Unfinished, SCHEMA)
        except (ValueError, OSError) as error:
            self.problem = str(error)
            return ()
        if changed := differences(kept.conditions, self.conditions):
            self.problem = changed[0]
            return ()
        return kept.launches

    def _keep(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write {self.file} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours"
            ) from None
        write_text(self.file, seal(KIND, Unfinished(conditions=self.conditions, launches=tuple(self.done))) + "\n")
