"""Suite: the cases that are measured, and with how much effort. The project's suites are in `bench/plan/suites/`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UserError, make_unknown_error

FOLDER = Path(__file__).with_name("suites")
#: What a suite measures if it names no backends: more take longer, and answer another question.
DEFAULT_BACKENDS = ("pytorch", "tensorflow", "keras")


class SuiteEntry(BaseModel):
    """One task of a suite, with the fields that it overrides.

    `devices` are those of the suite's numbers of devices that the task is trained on; empty is all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    override: dict[str, Any] = Field(default_factory=dict)
    fine_tune: bool = True
    devices: tuple[Annotated[int, Field(ge=1)], ...] = ()


class Suite(BaseModel):
    """A list of tasks, and the effort that they are measured with.

    Attributes:
        entries: the tasks; each is measured with every requested backend.
        launches: starts of a worker per case; the unit of replication.
        rounds: timed rounds of each kind per launch.
        round_seconds: the approximate duration of a round of the fastest case. Many short rounds are better than few
            long ones: if other guests of the machine slow it down for seconds, the rounds of all cases are affected.
            The first steps after a pause are slower, so each round begins with a run-in
            (`MIN_RUN_IN_STEPS` of the conductor).
        most_training_images: largest number of images in a fine-tune; None is the task's.
        most_test_images: largest number of images that accuracy is measured on; None is all.
        most_minutes: time of a task after which none of its launches begins, if there are enough for an interval
            (`bench.analysis.warnings.MIN_LAUNCHES`); None is no limit.
        proof_images, proof_steps: size of the short proof before measuring.
        backends: that are measured if the user names none; those that are not installed are skipped.
        devices: numbers of devices of each variant, if the user gives none; empty is one.
        communication: whether each variant on several devices is also measured without the exchange of gradients.
        variants, knobs: of each entry, if the user sets none; in the notation of `--variant` and `--knob`.
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
    backends: tuple[str, ...] = DEFAULT_BACKENDS
    variants: tuple[str, ...] = ()
    knobs: tuple[str, ...] = ()
    devices: tuple[Annotated[int, Field(ge=1)], ...] = ()
    communication: bool = False
    entries: tuple[SuiteEntry, ...] = Field(min_length=1)


def list_names() -> list[str]:
    """List the suites that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Suite:
    """Load the suite called `name`, or the one in the TOML file `name`.

    Raises:
        UserError: no such suite, or the file is not a suite; the line names the wrong field.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        if name.endswith(".toml"):
            raise UserError(
                f"suite file {name} does not exist: give the path of a TOML file, or one of {', '.join(list_names())}"
            )
        raise make_unknown_error("suite", name, list_names())
    try:
        return Suite(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"suite file {path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"suite {name}: {field}: {first['msg']}: correct the file {path}") from None
