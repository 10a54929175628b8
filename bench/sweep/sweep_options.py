"""The options of a sweep; they are kept in its folder, so that it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import UserError
from bench.measure import resume
from bench.plan.request import Request
from bench.records import store

FILE = "sweep.json"


@dataclass(frozen=True)
class SweepOptions:
    """The options of `bench sweep`.

    Attributes:
        request: the options that `bench run` has too.
        axes: the values of each field of the task, as text.
        target: the test accuracy to reach, 0..1.
        recompute: never train on cached features.
    """

    request: Request
    axes: Mapping[str, Sequence[str]]
    target: float | None = None
    recompute: bool = False

    def write(self, run: Path) -> None:
        """Write the options into the sweep's folder. The files contain paths of this machine."""
        resume.write_request(run, self.request)
        fields = {"axes": dict(self.axes), "target": self.target, "recompute": self.recompute}
        store.write_text(run / FILE, json.dumps(fields, indent=1) + "\n")


def read_options(run: Path, results: Path) -> SweepOptions:
    """Read the options of a sweep whose folder lies in `results`.

    Raises:
        UserError: they cannot be read.
    """
    request = replace(resume.read_request(run), results=results)
    try:
        return SweepOptions(request=request, **json.loads((run / FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        reason = f"{type(error).__name__} in {FILE}"
        raise UserError(f"sweep {run} cannot be resumed ({reason}): start a new one") from None
