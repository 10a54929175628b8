"""What a sweep was asked for, kept in its folder so that it can be resumed."""

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
class Ask:
    """The options of `bench sweep`.

    Attributes:
        request: what it has in common with `bench run`.
        axes: by field of the task, its values as text.
        target: share of the test images to be right, 0..1.
        recompute: never train on cached features.
    """

    request: Request
    axes: Mapping[str, Sequence[str]]
    target: float | None = None
    recompute: bool = False

    def keep(self, run: Path) -> None:
        """Write it down in the sweep's folder. The files have paths of this machine."""
        resume.keep(run, self.request)
        told = {"axes": dict(self.axes), "target": self.target, "recompute": self.recompute}
        store.write_text(run / FILE, json.dumps(told, indent=1) + "\n")


def asked(run: Path, results: Path) -> Ask:
    """What a sweep was asked for; its results lie in `results` now.

    Raises:
        UserError: it does not say.
    """
    request = replace(resume.asked(run), results=results)
    try:
        told = json.loads((run / FILE).read_text())
        return Ask(request=request, **told)
    except (OSError, ValueError, TypeError) as error:
        reason = f"{type(error).__name__} in {FILE}"
        raise UserError(f"sweep {run} cannot be resumed ({reason}): begin a new one") from None
