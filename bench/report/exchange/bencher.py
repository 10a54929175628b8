"""Bencher Metric Format, which `bencher run --adapter json` reads: by case and measure a value with its bounds.

Bencher's own measures are `latency`, in nanoseconds, and `throughput`, in operations per second: here a training step
through the input pipeline, and images per second. Bencher makes the others when it first reads them; their units are
those of `bench.report.exchange.case_figures.MEASURES`. Format: Bencher's reference, "Bencher Metric Format".
"""

from __future__ import annotations

import json

from bench.analysis.launches import group_by_task
from bench.analysis.statistics import Interval, scale
from bench.report.exchange.case_figures import CaseFigure, list_figures
from bench.report.exporters import Report

FILE = "bencher.json"

#: Bencher's own measures: our name, theirs, and the factor to their unit.
OWN_MEASURES = {"pipeline": ("latency", 1e9), "pipeline-throughput": ("throughput", 1.0)}


def export(report: Report) -> str:
    """Format all figures of all cases."""
    content = {
        case.first.case: dict(_build_metric(figure) for figure in figures)
        for task in group_by_task(report.records)
        for case in task.cases
        if (figures := list_figures(case))
    }
    return json.dumps(content, indent=1) + "\n"


def _build_metric(figure: CaseFigure) -> tuple[str, dict[str, float]]:
    name, factor = OWN_MEASURES.get(figure.measure, (figure.measure, 1.0))
    return name, _format_interval(scale(figure.value, factor))


def _format_interval(value: Interval) -> dict[str, float]:
    bounds = {"value": value.estimate, "lower_value": value.low, "upper_value": value.high}
    return {name: bound for name, bound in bounds.items() if bound is not None}
