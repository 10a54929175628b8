"""The scaling tables: throughput on several devices over that on one, and what the exchange of gradients costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import backends
from bench.analysis.scaling import COMMUNICATION_KIND, Mode, Scaling, ScalingPoint, find_scalings
from bench.plan.variants import get_name_on_one_device
from bench.records.record import Record
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, format_interval, format_rate, format_times
from bench.report.tables.table import Cell, Column, Table

TITLES: dict[Mode, str] = {
    "strong": "Strong scaling: the global batch stays the same",
    "weak": "Weak scaling: the batch of each device stays the same",
}


def build_scaling_tables(records: Sequence[Record]) -> list[Table]:
    """Build a table for each kind of scaling that the run has: one row for each case and number of devices."""
    scalings = find_scalings(records)
    return [
        _build_table(mode, [one for one in scalings if one.mode == mode])
        for mode in TITLES
        if any(one.mode == mode for one in scalings)
    ]


def describe_scaling(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Describe for each case on several devices whether they train faster than one: its id, and a sentence."""
    for scaling in find_scalings(records):
        for point in scaling.points[1:]:
            name = f"{name_case(scaling)}, {scaling.mode} scaling to {point.devices} devices"
            yield point.case.first.case, f"{name}: {_describe_speedup(point)}."


def _describe_speedup(point: ScalingPoint) -> str:
    if point.speedup is None:
        return "not comparable with one device"
    figure = f"{format_times(point.speedup)} × the throughput of one"
    if point.speedup.low is None or point.speedup.high is None:
        return f"{figure}; {TOO_FEW_LAUNCHES}"
    if point.shares_hardware and point.speedup.high < 1:
        return (
            f"{figure}; {point.devices} processes on the same cores gain nothing and lose time, because one process "
            "already uses all of them"
        )
    if point.shares_hardware and point.speedup.low <= 1:
        return (
            f"{figure}; {point.devices} processes on the same cores gain nothing, because one process already uses "
            "all of them"
        )
    if point.shares_hardware:
        return f"{figure}, on the same cores: one process alone does not use them well"
    if point.speedup.low > 1:
        return f"{figure}; the hardware allows {point.ideal:g} ×"
    return f"{figure}; more devices gain nothing"


def name_case(scaling: Scaling) -> str:
    """Name what scales: the framework, and the variant where it is not the default."""
    first = scaling.base.first
    variant = get_name_on_one_device(first.variant)
    title = backends.get_title(first.backend)
    return title if variant == "default" else f"{title}, {variant}"


def _build_table(mode: Mode, scalings: Sequence[Scaling]) -> Table:
    return Table(
        title=TITLES[mode],
        columns=(
            Column("case", figures=False),
            Column("devices"),
            Column("batch (of each)"),
            Column("pipeline images/s"),
            Column("× one device"),
            Column("efficiency"),
            Column("communication, ms a step"),
            Column("share of the step"),
        ),
        rows=tuple(
            tuple(map(Cell, (name_case(scaling), *_format_point(point))))
            for scaling in scalings
            for point in scaling.points
        ),
        notes=tuple(_list_notes(mode, scalings)),
    )


def _format_point(point: ScalingPoint) -> tuple[str, ...]:
    batch = point.case.first.task.batch_size
    return (
        str(point.devices),
        str(batch) if point.devices == 1 else f"{batch} ({batch // point.devices})",
        format_rate(point.case, "pipeline"),
        *_format_comparison(point),
    )


def _format_comparison(point: ScalingPoint) -> tuple[str, str, str, str]:
    if point.devices == 1:
        return "1", "100 %", "none", "none"
    communication = ("not measured", "not measured")
    if point.communication and point.step_s:
        share = f"{100 * point.communication.estimate / point.step_s:.0f} %"
        communication = format_interval(point.communication, lambda value: f"{1000 * value:.2f}"), share
    if point.speedup is None or point.efficiency is None:
        return "not comparable", "not comparable", *communication
    efficiency = format_interval(point.efficiency, lambda value: f"{100 * value:.0f}")
    return format_times(point.speedup), f"{efficiency} %", *communication


def _list_notes(mode: Mode, scalings: Sequence[Scaling]) -> Iterator[str]:
    points = [point for scaling in scalings for point in scaling.points[1:]]
    if any(point.shares_hardware for point in points):
        yield (
            "the devices are processes that share the cores of this CPU; one device is one process with all of them. "
            "Efficiency is the throughput over that of one device: at 100 % nothing is lost, and there is no more "
            "hardware that could win anything"
        )
    if any(point.shares_hardware and point.ideal < 1 for point in points):
        yield (
            "where the threads of one device cannot be divided by the number of processes, which use fewer then, its "
            "throughput is reduced in proportion for the efficiency"
        )
    if any(not point.shares_hardware for point in points):
        yield (
            "efficiency: throughput over that of one device, divided by how many times as much hardware is used "
            "(devices, or threads on a CPU)"
        )
    if mode == "strong":
        yield "× one device: from launches that interleave the rounds of both, with a 95 % interval"
    else:
        yield (
            "× one device: the batch sizes differ, so that the two are different tasks, which were not measured "
            "side by side; the 95 % interval is Welch's"
        )
    if any(point.communication for point in points):
        yield (
            f"communication: a {COMMUNICATION_KIND} step less the same step of the same processes without the exchange "
            "of gradients, with a 95 % interval; it contains the transfer, the framework's work for it, and the wait "
            "for the slowest process; below 0 it is lost in the noise"
        )
