"""The metrics of the gate: how to compare a launch of the head with one of the base, and the margin of each metric."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.statistics import log_ratios
from bench.errors import UserError, make_unknown_error
from bench.records.launch_figures import LaunchFigures

#: The smallest relative slowdown of a step that matters.
MARGIN = 0.03


@dataclass(frozen=True)
class Metric:
    """A figure of a launch, of which more is worse.

    Attributes:
        worse, better: the words for a change, for example slower and faster.
        margin: the smallest relative change that matters.
        rate: whether `--margin` without a metric's name sets the margin of this metric.
        floor: added to the figures of base and head before they are compared, in the figure's unit.
    """

    worse: str
    better: str
    margin: float
    rate: bool = False
    floor: float = 0.0


#: Seconds by which a first step can vary between launches, because a process starts, threads wake up or new pages are
#: touched. Measured: a first step of some milliseconds, most of it the start of a process, was 1.3 to 2 times as long
#: in one revision as in the other, in six launch pairs in a row, though the revisions' steps were the same.
START_FLOOR = 0.02


#: Time per step in both kinds of rounds, and in a user's own test (`step`); the first step, which starts the input
#: pipeline, traces and compiles, and is measured once per launch; and the peaks of memory.
METRICS: Mapping[str, Metric] = {
    "pipeline": Metric("slower", "faster", MARGIN, rate=True),
    "compute": Metric("slower", "faster", MARGIN, rate=True),
    "step": Metric("slower", "faster", MARGIN, rate=True),
    "first-step": Metric("slower", "faster", 0.25, floor=START_FLOOR),
    "host-memory": Metric("more", "less", 0.02),
    "device-memory": Metric("more", "less", 0.02),
}


#: The largest log-ratio of a launch pair for a metric with one figure per launch. Without the median of rounds, one
#: delayed start would leave the gate undecided whatever the other pairs are. Measured: of 60 pairs of a revision with
#: itself, one had a first step nine times as long in one launch as in the other, and the rest differed by less than a
#: quarter.
MAX_LOG_RATIO = math.log(2)


def compute_log_ratio(name: str, base: LaunchFigures, head: LaunchFigures) -> float:
    """Compute ln(head / base) of a metric: the median over rounds, which are paired in time.

    Where a launch has one figure only, the result is limited to ± `MAX_LOG_RATIO`.
    """
    y = log_ratios([_add_floor(name, head)], [_add_floor(name, base)])[0]
    return y if len(head.values[name]) > 1 else max(-MAX_LOG_RATIO, min(MAX_LOG_RATIO, y))


def log_level(name: str, figures: LaunchFigures) -> float:
    """Compute ln of the median round, for launches that did not run at the same time."""
    return math.log(statistics.median(_add_floor(name, figures)))


def _add_floor(name: str, figures: LaunchFigures) -> list[float]:
    return [value + METRICS[name].floor for value in figures.values[name]]


def resolve_margins(given: Sequence[tuple[str | None, float]]) -> dict[str, float]:
    """Return the margin of each metric: its default, or the last one in `given` that sets it.

    Args:
        given: pairs of metric and margin; None as the metric means all rates: `pipeline`, `compute`, `step`.

    Raises:
        UserError: a name that no metric has.
    """
    chosen = {name: metric.margin for name, metric in METRICS.items()}
    rates = tuple(name for name, metric in METRICS.items() if metric.rate)
    for name, margin in given:
        if name is not None and name not in METRICS:
            raise make_unknown_error("metric", name, METRICS)
        chosen |= dict.fromkeys((name,) if name else rates, margin)
    if not all(margin > 0 for margin in chosen.values()):
        raise UserError("a margin must be above 0 %: give the smallest change that matters, for example --margin 3%")
    return chosen
