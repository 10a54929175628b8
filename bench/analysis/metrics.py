"""The metrics that are gated: how a launch of the head compares with one of the base, and the margin that matters."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.statistics import log_ratios
from bench.errors import UserError, unknown
from bench.records.launch_figures import Figures

#: The smallest relative slowdown of a step that matters.
MARGIN = 0.03


@dataclass(frozen=True)
class Metric:
    """One figure of a launch, of which more is worse.

    Attributes:
        worse, better: the words for a change.
        margin: the smallest change that matters, relative.
        rate: whether a margin without a name means it.
        floor: what is added to both arms before they are compared, in the figure's unit.
    """

    worse: str
    better: str
    margin: float
    rate: bool = False
    floor: float = 0.0


#: Seconds that starting a process, waking threads and touching new pages take in one launch and not in another: a
#: first step of some milliseconds, most of it the start of a process, was 1.3 to 2 times as long in one arm as in the
#: other, in six launch pairs in a row, of a revision that changed no step.
START_FLOOR = 0.02


#: A step's time by both kinds of rounds, and that of a user's own test; the first step, which starts a pipeline, traces
#: and compiles, and is measured once a launch; and the peaks of memory.
METRICS: Mapping[str, Metric] = {
    "pipeline": Metric("slower", "faster", MARGIN, rate=True),
    "compute": Metric("slower", "faster", MARGIN, rate=True),
    "step": Metric("slower", "faster", MARGIN, rate=True),
    "first-step": Metric("slower", "faster", 0.25, floor=START_FLOOR),
    "host-memory": Metric("more", "less", 0.02),
    "device-memory": Metric("more", "less", 0.02),
}


#: A figure of which a launch has just one is not a median of rounds: one start that the machine held up would leave all
#: others undecided (of 60 pairs of a revision with itself one had a first step nine times as long as the other's, and
#: the rest differed by less than a quarter). In deciding, no launch pair counts for more than this factor.
MOST = math.log(2)


def log_ratio(name: str, base: Figures, head: Figures) -> float:
    """y = ln(head / base): the median over rounds, which ran within the same seconds; of a single figure at most
    `MOST` to either side.
    """
    y = log_ratios([_floored(name, head)], [_floored(name, base)])[0]
    return y if len(head.values[name]) > 1 else max(-MOST, min(MOST, y))


def level(name: str, figures: Figures) -> float:
    """ln of the median round, for launches that did not run side by side."""
    return math.log(statistics.median(_floored(name, figures)))


def _floored(name: str, figures: Figures) -> list[float]:
    return [value + METRICS[name].floor for value in figures.values[name]]


def margins(given: Sequence[tuple[str | None, float]]) -> dict[str, float]:
    """The margin of each metric: its own, or what was given for all rates or for it by name; the last one holds.

    Args:
        given: metric and margin; no metric means all rates: `pipeline`, `compute`, `step`.

    Raises:
        UserError: a name that no metric has.
    """
    found = {name: metric.margin for name, metric in METRICS.items()}
    rates = tuple(name for name, metric in METRICS.items() if metric.rate)
    for name, margin in given:
        if name is not None and name not in METRICS:
            raise unknown("metric", name, METRICS)
        found |= dict.fromkeys((name,) if name else rates, margin)
    if not all(margin > 0 for margin in found.values()):
        raise UserError("a margin has to be above 0 %: give the smallest change that matters, as --margin 3%")
    return found
