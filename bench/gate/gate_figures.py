"""The figures of a gate: the change of every metric, and how its interval closed in over the launches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.analysis.metrics import METRICS
from bench.analysis.statistics import Interval
from bench.gate.decision import CONFIDENCE, Decision, Verdict
from bench.gate.gate_report import describe_change
from bench.gate.judgement import Judgement, trace_decisions
from bench.report.figures.figure import ForestPlot, ForestRow, Line, LinePlot, Point

#: The first number of launches whose interval is drawn: that of two reaches over everything.
FIRST_DRAWN = 3
#: Ends of intervals are drawn up to so many times the margin, or the last interval, from 0.
FARTHEST = 4.0
#: A metric that is still open when its case is decided comes last: nothing follows from it.
METRICS_WORST_FIRST = (Verdict.SLOWER, Verdict.UNDECIDED, Verdict.FASTER, Verdict.PASS, Verdict.OPEN)
#: The verdicts that are certain: their markers are filled.
CERTAIN = (Verdict.SLOWER, Verdict.FASTER)


def get_colour_case(judgement: Judgement) -> str:
    """The case that the colour comes from: `backend/variant`, or the name of a test."""
    return judgement.case.partition(" ")[0]


def list_worst_first(judgements: Sequence[Judgement]) -> list[tuple[Judgement, str, Decision]]:
    """List the decisions on all metrics of all cases, the worst first: by verdict, then by the size of the change."""
    found = [(one, name, decision) for one in judgements for name, decision in one.decisions.items()]
    return sorted(found, key=lambda each: (METRICS_WORST_FIRST.index(each[2].verdict), -each[2].change))


def describe_metric_verdict(decision: Decision) -> str:
    """Describe the verdict on a metric in a few words."""
    return "no verdict" if decision.verdict is Verdict.OPEN else decision.verdict.value


def build_change_plot(judgements: Sequence[Judgement], margins: Mapping[str, float]) -> ForestPlot | None:
    """Build the plot of the changes of all metrics, the worst first; None without a metric.

    Args:
        judgements: of all cases.
        margins: by metric.
    """
    several = len(judgements) > 1
    rows = [
        ForestRow(
            case=get_colour_case(one),
            interval=_to_interval(decision),
            text=f"{describe_metric_verdict(decision)}: {describe_change(name, decision)}",
            label=f"{name}, {one.case}" if several else name,
            certain=decision.verdict in CERTAIN,
            note=f"margin {100 * margins[name]:g} %, {decision.launches} {_name_launches(one)}",
        )
        for one, name, decision in list_worst_first(judgements)
    ]
    if not rows:
        return None
    return ForestPlot(
        title="Change of every metric",
        how_to_read="Right of the line is worse: slower, or more memory. The whiskers are the "
        f"{100 * CONFIDENCE:.0f} % interval; a filled marker is a certain change.",
        x_title="change in %",
        rows=tuple(rows),
        line=0.0,
        logarithmic=False,
    )


def build_closing_plot(judgement: Judgement, metric: str, margin: float) -> LinePlot | None:
    """Build the plot of the change and its interval after each launch; None with fewer than `FIRST_DRAWN` launches.

    Args:
        judgement: of the case.
        metric: its name.
        margin: of the metric, relative.
    """
    found = [one for one in trace_decisions(judgement, metric, margin) if one.launches >= FIRST_DRAWN]
    if not found:
        return None
    farthest = 100 * FARTHEST * max(margin, abs(found[-1].low), abs(found[-1].high))

    def clip(end: float) -> float:
        return max(-farthest, min(farthest, 100 * end))

    points = tuple(Point(one.launches, clip(one.change), clip(one.low), clip(one.high)) for one in found)
    decision = judgement.decisions[metric]
    launches = _name_launches(judgement)
    return LinePlot(
        title=f"How the interval closed in: {judgement.case}, {metric}",
        how_to_read=f"The change and its {100 * CONFIDENCE:.0f} % interval after so many {launches}; below 0 is "
        f"{METRICS[metric].better}. {_describe_end(decision, launches)}",
        x_title=launches,
        y_title="change",
        y_unit=" %",
        lines=(Line(get_colour_case(judgement), points, metric),),
        target=100 * margin,
        target_label=f"margin {100 * margin:g} %",
    )


def _describe_end(decision: Decision, launches: str) -> str:
    if decision.verdict is Verdict.OPEN:
        return "The case was decided before there was a verdict on this metric."
    return f"The verdict was reached after {decision.launches} {launches}; later ones were measured for other metrics."


def _to_interval(decision: Decision) -> Interval:
    finite = math.isfinite(decision.low) and math.isfinite(decision.high)
    ends = (100 * decision.low, 100 * decision.high) if finite else (None, None)
    return Interval(100 * decision.change, *ends)


def _name_launches(judgement: Judgement) -> str:
    return "launch pairs" if judgement.paired else "launches"
