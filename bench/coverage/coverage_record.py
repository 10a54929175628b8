"""What is known of one network: whether it exports, and how far each backend's features are from PyTorch's."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.cache.home import get_home
from bench.machine.environment import PROJECT
from bench.parity.tolerances import MOST_ROUNDING, ROUNDINGS
from bench.records.store import append_text, make_folder

#: The largest difference of a feature, relative to the largest feature, that is none: about 100 roundings of a float32.
#: GELU by tanh in place of the exact one, once in a small network, makes 4e-5.
TOLERANCE = 1e-5


class Evaluation(BaseModel):
    """One backend's answer: the largest difference relative to the largest feature, or the error.

    An error is transient if it may be another time, as on a machine that is less busy.
    """

    model_config = ConfigDict(frozen=True)
    difference: float | None = None
    seconds: float | None = None
    error: str | None = None
    transient: bool = False


class CoverageRecord(BaseModel):
    """One network.

    Attributes:
        family: timm's module.
        kinds: how many operations of each kind its graph has.
        rounding: how far PyTorch in single precision is from PyTorch in double precision.
        error: why it could not be exported; then nothing else is known.
        evaluations: by backend.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    family: str = ""
    parameters: int = 0
    kinds: Mapping[str, int] = {}
    rounding: float = 0.0
    export_seconds: float = 0.0
    error: str | None = None
    transient: bool = False
    evaluations: Mapping[str, Evaluation] = {}

    @property
    def tolerance(self) -> float:
        """The largest difference at which a backend's network is proven to be the same."""
        return max(TOLERANCE, ROUNDINGS * self.rounding)

    def is_proven(self, backend: str) -> bool:
        """Whether a backend computes the same features."""
        found = self.evaluations.get(backend)
        if found is None or found.difference is None or self.rounding > MOST_ROUNDING:
            return False
        return found.difference <= self.tolerance


def get_file() -> Path:
    """The file in the home that keeps what was found with this code, and these versions of the frameworks."""
    digest = hashlib.sha256()
    for path in sorted((*PROJECT.glob("bench/networks/*.py"), *PROJECT.glob("backends/exported/*.py"))):
        digest.update(path.read_bytes())
    for path in sorted(PROJECT.glob("backends/*/operations.py")):
        digest.update(path.read_bytes())
    for package in ("tensorflow", "keras", "jax"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            digest.update(f"{package} {metadata.version(package)}".encode())
    versions = f"timm-{metadata.version('timm')}-torch-{metadata.version('torch')}"
    return get_home() / "coverage" / f"{versions}-{digest.hexdigest()[:12]}.jsonl"


def read_records(file: Path) -> dict[str, CoverageRecord]:
    """The last record of each network; a line that is none, as after a kill, is left out."""
    return {record.name: record for record in _iterate(file)} if file.is_file() else {}


def keep_record(file: Path, record: CoverageRecord) -> None:
    """Append a record."""
    make_folder(file.parent)
    before = "" if not file.is_file() or file.read_bytes()[-1:] in (b"", b"\n") else "\n"  # cut off by a kill
    append_text(file, f"{before}{record.model_dump_json()}\n")


def _iterate(file: Path) -> Iterator[CoverageRecord]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield CoverageRecord.model_validate_json(line)
        except ValidationError:
            continue
