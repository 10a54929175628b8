"""The stored result of a gate: `results/<UTC>-gate/verdicts/gate.json`, from which its report can be made again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.errors import UserError
from bench.gate.gate_report import Comparison
from bench.gate.judgement import Judgement
from bench.records import store
from bench.records.checksummed_json import parse_checksummed_json, to_checksummed_json
from bench.records.result_kinds import FOLDERS

SCHEMA = 1
KIND = "gate"
FOLDER = FOLDERS["gate"]
FILE = f"{FOLDER}/gate.json"


class StoredGate(BaseModel):
    """Everything that the report of a gate is made from.

    Attributes:
        started: when, UTC.
        about: the machine and its software, of `bench.machine.environment.describe_environment`; in `run`, the command.
        against, details, margins, alpha, notes: as in `Comparison`.
        cases: the verdicts, with the figures of all launches.
        stopped: why there are no further cases; None if all were judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    started: str
    about: dict[str, Any]
    against: str
    details: dict[str, Any]
    margins: dict[str, float]
    alpha: float
    notes: tuple[str, ...]
    cases: tuple[Judgement, ...]
    stopped: str | None = None

    @property
    def comparison(self) -> Comparison:
        """What was compared."""
        return Comparison(self.against, self.details, self.margins, self.alpha, self.notes)


def create_folder(results: Path, started: datetime) -> Path:
    """Create the folder of a gate, which git ignores.

    Raises:
        UserError: it cannot be created.
    """
    return store.create_run(results, "gate", started, FOLDER, ignored=True)


def write(folder: Path, gate: StoredGate) -> None:
    """Write the result into a folder of `create_folder`, or of the launches against a baseline.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    store.make_folder(folder / FOLDER)
    store.write_text(folder / FILE, to_checksummed_json(KIND, gate) + "\n", finished_in=folder)


def read(folder: Path) -> StoredGate:
    """Read the result.

    Raises:
        UserError: it is cut off, edited, or of another version.
    """
    try:
        return parse_checksummed_json(KIND, (folder / FILE).read_bytes(), StoredGate, SCHEMA)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"the gate {folder} cannot be shown: {FILE}: {reason}: run the gate again") from None
