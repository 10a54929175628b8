"""An environment variable that changes speed or results, and what a worker gets of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    """What a worker gets of a variable that the user has set.

    - `set`: a value of ours. Recorded.
    - `cleared`: nothing.
    - `obeyed`: the user's value. Recorded, as a condition of figures: `--resume` and `bench gate --baseline` refuse
      another value.
    - `passed`: the user's value, which changes no figure. Not recorded.
    """

    SET = "set"
    CLEARED = "cleared"
    OBEYED = "obeyed"
    PASSED = "passed"


#: Stands for the number of threads of an operation.
THREADS = "--threads"


@dataclass(frozen=True)
class Variable:
    """An entry of the table.

    Attributes:
        names: of the variables; a name that ends in `*` stands for all that begin so.
        treatment: what a worker gets.
        why: and which option or knob decides instead.
        source: where its effect is documented, or read.
        value: of `set`, the worker's value; None if each worker has its own. Of `obeyed` and `passed`, the value where
            the user has set none; None for no value.
        warns: of `set` and `cleared`, whether a user's other value is a warning.
    """

    names: tuple[str, ...]
    treatment: Treatment
    why: str
    source: str
    value: str | None = None
    warns: bool = True
