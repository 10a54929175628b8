"""Formats of rates and ratios with their intervals in tables."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.analysis.launches import CaseLaunches, Kind
from bench.analysis.statistics import Interval
from bench.report.tables.comparisons import decide

#: Stands where a verdict would need more launches.
TOO_FEW_LAUNCHES = "not enough launches to tell"


def format_interval(interval: Interval, text: Callable[[float], str]) -> str:
    """Format an estimate and its interval, as in `1.25 [1.20–1.31]`; without an interval, the estimate alone."""
    if interval.low is None or interval.high is None:
        return text(interval.estimate)
    return f"{text(interval.estimate)} [{text(interval.low)}–{text(interval.high)}]"


def format_rate(case: CaseLaunches, kind: Kind) -> str:
    """Format the images per second of a case, or the placeholder where they were not measured."""
    throughput = case.throughput(kind)
    if throughput is None:
        return case.placeholder
    digits = 0 if throughput.estimate >= 100 else 1 if throughput.estimate >= 10 else 2
    return format_interval(throughput, lambda value: f"{value:,.{digits}f}")


def format_ratio(ratio: Interval, certain: bool) -> str:
    """Format a ratio of two cases with its interval; without a difference, or with too few launches, say so.

    Args:
        ratio: of the two cases' throughputs.
        certain: whether the difference of the two cases is certain.
    """
    digits = 3 if ratio.estimate < 2 else 2 if ratio.estimate < 10 else 1
    text = format_interval(ratio, lambda value: f"{value:.{digits}f}")
    match decide(ratio, certain):
        case "too few launches":
            return f"{text} ({TOO_FEW_LAUNCHES})"
        case "no difference":
            return f"no difference found (± {format_bound(ratio)} %)"
        case "not certain":
            return f"{text}, not certain"
        case "certain":
            return text


def format_times(ratio: Interval) -> str:
    """Format a ratio with its interval for sentences, in as few digits as tell it from 1: `1.16 [1.12–1.20]`."""
    low, high = (ratio.estimate if end is None else end for end in (ratio.low, ratio.high))
    digits = 3 if round(low, 2) <= 1 <= round(high, 2) else 2 if ratio.estimate < 10 else 1
    return format_interval(ratio, lambda value: f"{value:.{digits}f}")


def find_bound(ratio: Interval) -> float:
    """Find the size above which an interval excludes a difference, whichever case is the faster one.

    Infinite without an interval. It is the same for the ratio of two cases and for its inverse.
    """
    return math.inf if ratio.low is None or ratio.high is None else max(ratio.high, 1 / ratio.low) - 1


def format_bound(*ratios: Interval) -> str:
    """Format in per cent the size above which all these intervals exclude a difference."""
    percent = 100 * max(map(find_bound, ratios))
    return f"{percent:.2g}" if percent < 100 else f"{percent:,.0f}"


def explain_unknown_lead(ratio: Interval) -> str | None:
    """Explain why it cannot be said which of two cases is faster; None if it can."""
    if ratio.low is None:
        return TOO_FEW_LAUNCHES
    return None if ratio.excludes(1) else "no difference in speed found"


def format_seconds(seconds: float) -> str:
    """Format seconds without decimals from 10 on."""
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"
