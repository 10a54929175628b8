"""The part of a step that became slower: after a verdict *slower*, both arms are profiled part by part."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.gate.launch_pairs import TrainingCase
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.measure import conductor, record_builder
from bench.measure.conductor import Watcher
from bench.measure.scratch_folder import make_scratch_folder

#: The kinds of rounds to measure, and the part that each has in addition to the kind before it; `loader` stands alone.
PART_NAMES = {"loader": "input", "forward": "forward", "gradient": "loss and head gradient", "update": "optimiser"}


@dataclass(frozen=True)
class StepPart:
    """The seconds that a part of a step takes in both arms."""

    name: str
    base: float
    head: float

    @property
    def description(self) -> str:
        """As in `input 0.41 ms, was 0.40 ms`."""
        return f"{self.name} {self.head * 1000:.2f} ms, was {self.base * 1000:.2f} ms"


def find_slower_part(case: TrainingCase, arms: Mapping[str, SourceTree], watcher: Watcher) -> list[str]:
    """Measure one launch pair part by part, and describe it in a line.

    One pair gives no interval; it shows where to look for the cause.

    Args:
        case: the case that is slower.
        arms: the sources, by `BASE` and `HEAD`.
        watcher: gets the events of the workers.
    """
    with make_scratch_folder(arms[HEAD].root.parent) as folder:
        jobs = []
        for arm, source in arms.items():
            (folder / arm).mkdir()
            jobs.append(case.make_job(arm, source, folder, first=False).model_copy(update={"kinds": tuple(PART_NAMES)}))
        launched = conductor.run_launch(jobs, case.round_seconds, random.Random(), watcher)
        steps = dict(
            zip(arms, (record_builder.read_step_seconds(outcome) for outcome in launched.outcomes), strict=True)
        )
    if any(kind not in steps[arm] for kind in PART_NAMES for arm in arms):
        return [f"{case.name}: one of the two cannot be measured part by part"]
    return [f"{case.name}: {describe_parts(split_step(steps[BASE], steps[HEAD]))}"]


def split_step(base: Mapping[str, Sequence[float]], head: Mapping[str, Sequence[float]]) -> list[StepPart]:
    """The parts of a step: the median round of each kind, less the median of the kind before it.

    Args:
        base, head: seconds a step of each round, by kind.
    """
    found = []
    previous = (0.0, 0.0)
    for kind, name in PART_NAMES.items():
        medians = statistics.median(base[kind]), statistics.median(head[kind])
        found.append(StepPart(name, *(max(0.0, own - less) for own, less in zip(medians, previous, strict=True))))
        previous = medians if kind != "loader" else previous
    return found


def describe_parts(found: Sequence[StepPart]) -> str:
    """Describe the parts in a line, beginning with the one that grew most."""
    largest = max(found, key=lambda part: part.head - part.base)
    others = ", ".join(part.description for part in found if part is not largest)
    grew = largest.head > largest.base
    lead = f"most of it in {largest.description}" if grew else f"no single part became slower: {largest.description}"
    return f"{lead}; {others} (one launch pair, no interval)"
