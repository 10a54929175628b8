"""The metrics that are gated: how each compares one launch pair, and the margin that matters to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench.errors import UserError, unknown
from bench.gate.decision import MARGIN
from bench.record import Record
from bench.stats import log_ratios


@dataclass(frozen=True)
class Metric:
    """One figure of a launch, of which more is worse.

    Attributes:
        name: as options and verdicts call it.
        worse, better: the words for a change.
        margin: the smallest change that matters, relative.
        y: from the records of base and head, in one launch pair, to ln(head / base); None where it was not measured.
    """

    name: str
    worse: str
    better: str
    margin: float
    y: Callable[[Record, Record], float | None]


def _rounds(base: Record, head: Record, kind: Literal["pipeline", "compute"]) -> float | None:
    """The median over rounds, which ran within the same seconds."""
    ours, theirs = getattr(head, kind), getattr(base, kind)
    return log_ratios([ours.seconds], [theirs.seconds])[0] if ours and theirs else None


def _of_sizes(base: Record, head: Record, size: Callable[[Record], float | None]) -> float | None:
    ours, theirs = size(head), size(base)
    return math.log(ours / theirs) if ours and theirs else None


def _first_step(record: Record) -> float | None:
    return record.start_up.first_step_s if record.start_up else None


def _host_peak(record: Record) -> float | None:
    peaks = [phase.peak + phase.children for phase in record.memory.host if phase.peak] if record.memory else []
    return max(peaks, default=None)


def _device_peak(record: Record) -> float | None:
    return record.memory.device_allocated if record.memory else None


#: A step's time by both kinds of rounds; the first step, which starts a pipeline, traces and compiles, and is measured
#: once a launch; and memory, which repeats almost exactly.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("pipeline", "slower", "faster", MARGIN, partial(_rounds, kind="pipeline")),
        Metric("compute", "slower", "faster", MARGIN, partial(_rounds, kind="compute")),
        Metric("first-step", "slower", "faster", 0.25, partial(_of_sizes, size=_first_step)),
        Metric("host-memory", "more", "less", 0.02, partial(_of_sizes, size=_host_peak)),
        Metric("device-memory", "more", "less", 0.02, partial(_of_sizes, size=_device_peak)),
    )
}


def margins(given: Sequence[tuple[str | None, float]]) -> dict[str, float]:
    """The margin of each metric: its own, or what was given for all rates or for it by name; the last one holds.

    Args:
        given: metric and margin; no metric means `pipeline` and `compute`.

    Raises:
        UserError: a name that no metric has.
    """
    found = {name: metric.margin for name, metric in METRICS.items()}
    for name, margin in given:
        if name is not None and name not in METRICS:
            raise unknown("metric", name, METRICS)
        found |= dict.fromkeys((name,) if name else ("pipeline", "compute"), margin)
    if not all(margin > 0 for margin in found.values()):
        raise UserError("a margin has to be above 0 %: give the smallest change that matters, as --margin 3%")
    return found
