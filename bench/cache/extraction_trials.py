"""What trials of the forms of extraction found, kept in the home, so that no trial is repeated.

A trial is one JSON file, `extraction/<key>.json`: by the name of each form, what it took. A file that cannot be read or
written only costs another trial.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bench.cache.home import get_home

FOLDER = "extraction"


class FormTime(BaseModel):
    """What a form took in a trial.

    Attributes:
        making_s: seconds of building and compiling it.
        image_s: seconds for an image; None if the form could not be made, or computed other features.
        unfinished: how often the process ended while it made the form; written before, and taken back afterwards.
    """

    model_config = ConfigDict(frozen=True)

    making_s: float
    image_s: float | None
    unfinished: int = 0


Trial = Mapping[str, FormTime]
_TRIAL: TypeAdapter[dict[str, FormTime]] = TypeAdapter(dict[str, FormTime])


def get_folder() -> Path:
    """The folder of the trials."""
    return get_home() / FOLDER


def make_key(conditions: Mapping[str, object]) -> str:
    """The key of a trial: 16 hex digits of a hash of all that its times depend on."""
    return hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()[:16]


def read(key: str) -> Trial:
    """Read a trial; empty if there is none that can be read."""
    try:
        return _TRIAL.validate_json(_get_file(key).read_bytes())
    except (OSError, ValidationError):
        return {}


def write(key: str, trial: Trial) -> None:
    """Write a trial, if that is possible."""
    file = _get_file(key)
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(_TRIAL.dump_json(dict(trial), indent=1))
        unfinished.replace(file)


def clear() -> None:
    """Remove all trials."""
    for file in get_folder().glob("*"):
        with contextlib.suppress(OSError):
            file.unlink()


def _get_file(key: str) -> Path:
    return get_folder() / f"{key}.json"
