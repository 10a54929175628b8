"""The suites: which cases are measured, and how thoroughly. A suite is a TOML file in `bench/plan/suites/`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UserError, unknown

FOLDER = Path(__file__).with_name("suites")


class Entry(BaseModel):
    """One task of a suite, with the fields that it overrides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    override: dict[str, Any] = Field(default_factory=dict)
    fine_tune: bool = True


class Suite(BaseModel):
    """A list of cases and how they are measured.

    Attributes:
        entries: the tasks; each is measured with every backend asked for.
        launches: starts of a worker per case; the unit of replication.
        rounds: timed rounds of each kind per launch.
        round_seconds: about how long the fastest case's round lasts. Many short rounds are better than few long
            ones: where other guests of a machine slow it down for seconds, rounds side by side see the same of it.
            The first steps after a rest are slower, so each round begins with a run-in (`RUN_IN` of the conductor).
        most_training_images: upper limit of images in a fine-tune; None is the task's own.
        most_test_images: upper limit of images that accuracy is measured on; None is all.
        most_minutes: of a task, after which no launch of it begins any more, once there are enough for an interval
            (`bench.analysis.warnings.LEAST_LAUNCHES`); None is no limit.
        proof_images, proof_steps: size of the short proof before measuring.
        variants, knobs: of each entry, where the user asks for none: as `--variant` and `--knob` take them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    launches: int = Field(ge=1)
    rounds: int = Field(ge=2)
    round_seconds: float = Field(gt=0)
    most_training_images: int | None = Field(default=None, ge=1)
    most_test_images: int | None = Field(default=None, ge=1)
    most_minutes: float | None = Field(default=None, gt=0)
    proof_images: int = Field(default=16, ge=1)
    proof_steps: int = Field(default=10, ge=1)
    variants: tuple[str, ...] = ()
    knobs: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = Field(min_length=1)


def names() -> list[str]:
    """The suites that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Suite:
    """The suite called `name`, or in the TOML file `name`.

    Raises:
        UserError: no such suite, or a file that is none; the line says which field is wrong.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        if name.endswith(".toml"):
            raise UserError(
                f"suite file {name} does not exist: give the path of a TOML file, or one of {', '.join(names())}"
            )
        raise unknown("suite", name, names())
    try:
        return Suite(name=path.stem, **tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"suite file {path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"suite {name}: {where}: {first['msg']}: correct the file {path}") from None
