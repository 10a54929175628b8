"""The stored result of `bench tune`: a file for each case, `results/<UTC>-tune/tuned-variants/<case>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.records.checksummed_json import read_checksummed_folder, to_checksummed_json
from bench.records.result_kinds import FOLDERS

SCHEMA = 1
KIND = "tune"
FOLDER = FOLDERS["tune"]


class StoredTune(BaseModel):
    """What a tune found for one case.

    Attributes:
        about: the machine and its software, of `bench.machine.environment.describe_environment`; in `run`, the command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    about: dict[str, Any]
    tuned: TunedVariant

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.tuned.backend}-{self.tuned.task}-{self.tuned.task_hash}"


def write(folder: Path, one: StoredTune) -> None:
    """Write what was found for a case.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    path = folder / FOLDER / f"{one.name}.json"
    store.write_text(path, to_checksummed_json(KIND, one) + "\n", finished_in=folder)


def read_all(folder: Path) -> tuple[list[StoredTune], list[str]]:
    """Read all results of a tune's folder, and a line for each file that was left out."""
    return read_checksummed_folder(KIND, folder / FOLDER, StoredTune, SCHEMA)
