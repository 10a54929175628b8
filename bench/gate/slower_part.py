"""After a verdict: which part of a step became slower? Both arms once more, part by part, their rounds interleaved."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gate.launch_pairs import Case
from bench.gate.source_trees import BASE, HEAD, Source
from bench.measure import conductor, record_builder
from bench.measure.conductor import Watcher

#: Rounds that are measured, and the part that is in them and not in the ones before; loading is by itself.
PARTS = {"loader": "input", "forward": "forward", "gradient": "loss and head gradient", "update": "optimiser"}


@dataclass(frozen=True)
class Part:
    """Seconds a step that a part takes in both arms."""

    name: str
    base: float
    head: float

    @property
    def line(self) -> str:
        """`input 0.41 ms, was 0.40 ms`."""
        return f"{self.name} {self.head * 1000:.2f} ms, was {self.base * 1000:.2f} ms"


def compare(case: Case, arms: Mapping[str, Source], watcher: Watcher) -> list[str]:
    """What to tell of the parts, in a line.

    It is one launch pair: enough to see where to look, with no interval.
    """
    with tempfile.TemporaryDirectory(dir=arms[HEAD].root.parent) as name:
        jobs = []
        for arm, source in arms.items():
            (Path(name) / arm).mkdir()
            jobs.append(case.job(arm, source, Path(name), first=False).model_copy(update={"kinds": tuple(PARTS)}))
        done = conductor.launch(jobs, case.round_seconds, random.Random(), watcher)
        steps = dict(zip(arms, (record_builder.step_seconds(outcome) for outcome in done.outcomes), strict=True))
    if any(kind not in steps[arm] for kind in PARTS for arm in arms):
        return [f"{case.name}: one of the two cannot be measured part by part"]
    return [f"{case.name}: {told(parts(steps[BASE], steps[HEAD]))}"]


def parts(base: Mapping[str, Sequence[float]], head: Mapping[str, Sequence[float]]) -> list[Part]:
    """Each part's share of a step, from the median round of each kind less that of the kind before it."""
    found = []
    before = (0.0, 0.0)
    for kind, name in PARTS.items():
        now = statistics.median(base[kind]), statistics.median(head[kind])
        found.append(Part(name, max(0.0, now[0] - before[0]), max(0.0, now[1] - before[1])))
        before = now if kind != "loader" else before
    return found


def told(found: Sequence[Part]) -> str:
    """The part that grew most first."""
    most = max(found, key=lambda part: part.head - part.base)
    others = ", ".join(part.line for part in found if part is not most)
    grew = most.head - most.base
    lead = f"most of it in {most.line}" if grew > 0 else f"no part by itself became slower: {most.line}"
    return f"{lead}; {others} (one launch pair, no interval)"
