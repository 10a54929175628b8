"""The stored result of `bench explain`: a file for each case, `results/<UTC>-explain/explanations/<case>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from backends.task import Task
from bench.records import store
from bench.records.checksummed_json import read_checksummed_folder, to_checksummed_json
from bench.records.result_kinds import FOLDERS
from bench.tune.explanation import Explanation

SCHEMA = 1
KIND = "explanation"
FOLDER = FOLDERS["explain"]


class StoredExplanation(BaseModel):
    """The explanation of one case, with what its tables and its plot show.

    Attributes:
        measured: when, UTC.
        about: the machine and its software, of `bench.machine.environment.describe_environment`; in `run`, the command.
        steps_in_epoch: training steps of an epoch.
        launches, rounds: launches, and rounds of each variant in a launch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    measured: str
    about: dict[str, Any]
    backend: str
    task: Task
    steps_in_epoch: int
    launches: int
    rounds: int
    explanation: Explanation

    @property
    def title(self) -> str:
        """The case, and what its figures depend on."""
        return f"{self.backend}, {self.task.name}, batch size {self.task.batch_size}"

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.backend}-{self.task.name}-{self.task.hash}"


def write(folder: Path, one: StoredExplanation) -> None:
    """Write an explanation.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    path = folder / FOLDER / f"{one.name}.json"
    store.write_text(path, to_checksummed_json(KIND, one) + "\n", finished_in=folder)


def read_all(folder: Path) -> tuple[list[StoredExplanation], list[str]]:
    """Read all explanations of a folder, and a line for each file that was left out."""
    return read_checksummed_folder(KIND, folder / FOLDER, StoredExplanation, SCHEMA)
