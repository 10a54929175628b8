"""The line plots of scaling: efficiency over the number of devices."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.scaling import MODES, Mode, Scaling, ScalingPoint, find_scalings
from bench.records.record import Record
from bench.report.figures.figure import Line, LinePlot, Point
from bench.report.tables.scaling_table import TITLES, name_case


def build_scaling_plots(records: Sequence[Record]) -> list[LinePlot]:
    """Build a plot for each kind of scaling that the run has: a line for each case."""
    scalings = find_scalings(records)
    return [_build_plot(mode, found) for mode in MODES if (found := [one for one in scalings if one.mode == mode])]


def _build_plot(mode: Mode, scalings: Sequence[Scaling]) -> LinePlot:
    return LinePlot(
        title=TITLES[mode],
        how_to_read=(
            "A point is the efficiency on a number of devices: the throughput over that on one device, divided by how "
            "many times as much hardware is used. The line through it is its 95 % interval. At 100 %, nothing is lost. "
            "On a CPU, processes share the cores that one process had alone: there 100 % is also all that can be won."
        ),
        x_title="devices that train together, one process each",
        y_title="efficiency",
        lines=tuple(
            Line(scaling.base.label, tuple(p for one in scaling.points if (p := _make_point(one))), name_case(scaling))
            for scaling in scalings
        ),
        target=100.0,
        target_label="nothing lost",
        y_unit=" %",
    )


def _make_point(point: ScalingPoint) -> Point | None:
    efficiency = point.efficiency
    if efficiency is None:
        return None
    low, high = (None if end is None else 100 * end for end in (efficiency.low, efficiency.high))
    return Point(point.devices, 100 * efficiency.estimate, low, high)
