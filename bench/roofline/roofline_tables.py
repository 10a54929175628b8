"""The tables of `bench roofline`."""

from __future__ import annotations

from collections.abc import Sequence

from backends.task import Task
from bench.analysis.statistics import Interval, scale
from bench.report.tables.number_format import format_interval
from bench.report.tables.table import Cell, Column, Table
from bench.roofline.achieved_rates import Roofline, format_pass
from bench.roofline.bound import (
    DEVICE_BOUNDS,
    INPUT_BOUND_ALONE_SHARE,
    INPUT_BOUND_LOADER_SHARE,
    INPUT_BOUND_SHARE,
    Bound,
    BoundName,
    StepSeconds,
)
from bench.roofline.device_peaks import GIGA, Peak
from bench.worker.step_work import NUMBER_BYTES, Step

#: Bytes in the MB of the work table. Unlike `bench.records.units.MB` it is decimal, as FLOP and rates are.
MB = 1e6
KILO = 1e3
MS, US = 1e3, 1e6
ABSENT = "–"
BOUNDS: tuple[BoundName, ...] = (*DEVICE_BOUNDS, "input")
#: The name of a step on the device among the parts of a step.
DEVICE_STEP = "a step on the device"


def build_tables(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> list[Table]:
    """Build all tables of a task; cases whose steps do the same work share a table of it.

    Args:
        cases: at least one.
        peak: of the device, or why it is not known.
        gpu: whether the device is one.
    """
    steps = {tuple(case.step.parts.items()): case.step for case in reversed(cases)}
    layers = build_layer_table(cases)
    return [
        *(build_work_table(step) for step in reversed(steps.values())),
        build_rate_table(cases, peak),
        *([layers] if layers else []),
        build_roofline_table(cases, peak, gpu),
        build_evidence_table(cases),
    ]


def build_work_table(step: Step) -> Table:
    """Build the table of what one training step computes and moves."""
    parts = [*step.parts.items(), (DEVICE_STEP, step.compute)]
    return Table(
        f"Work of a step: {_format_task(step.task)}, {step.variant.precision}",
        (
            Column("part", figures=False),
            Column("GFLOP, useful"),
            Column("GFLOP, with padding"),
            Column("MB, useful"),
            Column("MB, with padding"),
            Column("FLOP per byte"),
        ),
        tuple(
            (
                Cell(name, bold=name == DEVICE_STEP),
                Cell(f"{work.flop / GIGA:,.3f}"),
                Cell(f"{work.flop_padded / GIGA:,.3f}"),
                Cell(f"{work.bytes / MB:,.2f}"),
                Cell(f"{work.bytes_padded / MB:,.2f}"),
                Cell(f"{work.intensity:,.2f}"),
            )
            for name, work in parts
        ),
        (
            "counted from the shapes; a multiply-add is 2 FLOP; useful: operations on pixels, not on padding",
            f"{DEVICE_STEP}: without the images, and without what lies between convolutions, which can be fused into "
            "them",
        ),
    )


def build_rate_table(cases: Sequence[Roofline], peak: Peak | str) -> Table:
    """Build the table of the rates that each framework's kernels reach, and of the theoretical peak."""
    precisions = [one for one in NUMBER_BYTES if any(f"gemm {one}" in case.rates for case in cases)]
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(format_case(case)),
            *(_format_rate(case.rates.get(f"gemm {precision}"), GIGA) for precision in precisions),
            Cell(_format_fastest_pass(case)),
            _format_rate(case.rates.get("convolutions"), GIGA),
            _format_rate(case.rates.get("memory"), GIGA),
            _format_rate(case.rates.get("small operations"), KILO, digits=0),
            Cell(f"{case.ridge:,.1f}" if case.ridge else ABSENT),
        )
        for case in cases
    ]
    if isinstance(peak, Peak):
        flops = [Cell(f"{peak.flops[p] / GIGA:,.0f}" if p in peak.flops else ABSENT) for p in precisions]
        memory = Cell(f"{peak.memory / GIGA:,.0f}" if peak.memory else ABSENT)
        rows.append((Cell("theoretical peak"), *flops, Cell(ABSENT), Cell(ABSENT), memory, Cell(ABSENT), Cell(ABSENT)))
    return Table(
        f"Rates measured: {_format_task(cases[0].step.task)}",
        (
            Column("case", figures=False),
            *(Column(f"GEMM {precision}, GFLOP/s") for precision in precisions),
            Column("fastest convolution, GFLOP/s"),
            Column("all convolutions, GFLOP/s"),
            Column("memory, GB/s"),
            Column("small operations, 1,000/s"),
            Column("ridge, FLOP per byte"),
        ),
        tuple(rows),
        (
            "measured with the framework's own kernels in the case's process; convolutions: those of the task, in the "
            "case's precision and layout, useful FLOP; the fastest one repeated alone, and all of them in sequence",
            "memory: one array added to another in place; ridge: the highest rate in the case's precision, divided by "
            "the rate of memory",
            _describe_peak(peak),
        ),
    )


def build_layer_table(cases: Sequence[Roofline]) -> Table | None:
    """Build the table of single convolutions, one of each shape; None if none was measured."""
    names = list(dict.fromkeys(name for case in cases for name in case.layers))
    if not names:
        return None
    layers = {f"{layer.name} {direction}": layer for case in cases for layer, direction in case.step.calls}
    rows = []
    for name in names:
        layer = layers[name]
        size = f"{layer.kernel} × {layer.kernel}" + (f" / {layer.stride}" if layer.stride > 1 else "")
        channels = "depthwise" if layer.groups > 1 else f"{layer.in_channels} → {layer.out_channels}"
        rows.append(
            (
                Cell(format_pass(name)),
                Cell(f"{layer.side} px, {size}, {channels}"),
                *(_format_figure(case.layers.get(name), GIGA) for case in cases),
            )
        )
    return Table(
        f"The convolutions alone, GFLOP/s: {_format_task(cases[0].step.task)}",
        (
            Column("first of its shape", figures=False),
            Column("shape", figures=False),
            *(Column(format_case(case)) for case in cases),
        ),
        tuple(rows),
        ("useful FLOP; each convolution is repeated on the same arrays, which stay in the caches if they fit",),
    )


def build_roofline_table(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> Table:
    """Build the table of what each case reaches, as shares of the measured rates and of the theoretical peak."""
    rows: list[tuple[Cell, ...]] = []
    for case in cases:
        work = case.step.compute
        steps = case.steps.get("compute", case.steps.get("pipeline"))
        achieved = _multiply(steps, work.flop)
        rows.append(
            (
                Cell(format_case(case)),
                _format_rate(achieved, GIGA),
                _format_rate(_multiply(steps, work.flop_padded), GIGA),
                Cell(_format_share(achieved, case.best.flops if case.best else None)),
                Cell(case.best.kernel if case.best else ABSENT),
                *_peak_cells(case, achieved, peak),
                Cell(case.bound.name if case.bound else ABSENT, bold=True),
            )
        )
    share = "MFU" if gpu else "of theoretical peak"
    return Table(
        f"Roofline: {_format_task(cases[0].step.task)}",
        (
            Column("case", figures=False),
            Column("GFLOP/s"),
            Column("GFLOP/s with padding"),
            Column("of measured best"),
            Column("which is", figures=False),
            *((Column(share), Column(f"{share}, with input pipeline")) if isinstance(peak, Peak) else ()),
            Column("bound by", figures=False),
        ),
        tuple(rows),
        (
            "GFLOP/s: useful FLOP of `compute` steps, on batches that are already on the device; [low–high]: 95 % "
            "interval",
            _describe_peak(peak),
        ),
    )


def _peak_cells(case: Roofline, achieved: Interval | None, peak: Peak | str) -> tuple[Cell, ...]:
    """Shares of the theoretical peak, on the device and with the input pipeline; no cells if the peak is not known."""
    if isinstance(peak, str):
        return ()
    highest = peak.flops.get(case.step.variant.precision)
    with_pipeline = _multiply(case.steps.get("pipeline"), case.step.compute.flop)
    return Cell(_format_share(achieved, highest)), Cell(_format_share(with_pipeline, highest))


def build_evidence_table(cases: Sequence[Roofline]) -> Table:
    """Build the table of the evidence for what each case is bound by."""
    columns = [
        (format_case(case), _collect_evidence(case, case.seconds, case.bound))
        for case in cases
        if case.seconds and case.bound
    ]
    lines = list(dict.fromkeys(line for _, evidence in columns for line in evidence))
    return Table(
        f"Evidence: {_format_task(cases[0].step.task)}",
        (Column("of a step", figures=False), *(Column(title) for title, _ in columns)),
        tuple((Cell(line), *(evidence[line] for _, evidence in columns)) for line in lines),
        (
            "at the measured rates: each convolution by arithmetic or by memory, whichever takes longer, with padding; "
            "dispatch: the number of the backbone's forward operations × the time of a small operation",
            "compute, memory, overhead, input: shares of a step. Compute and memory: the convolutions, by what limits "
            "each; memory also has the maps between them. Overhead: the rest of a step on the device. Input: what a "
            "step takes longer than on the device",
            f"bound by input: its share is at least {100 * INPUT_BOUND_SHARE:.0f} %, and the input pipeline alone "
            f"takes at least {100 * INPUT_BOUND_LOADER_SHARE:.0f} % of a step or the share is at least "
            f"{100 * INPUT_BOUND_ALONE_SHARE:.0f} %; otherwise bound by the largest of the other shares",
        ),
    )


def _collect_evidence(case: Roofline, seconds: StepSeconds, bound: Bound) -> dict[str, Cell]:
    """A case's column, by line."""
    rate, count = case.rates.get("small operations"), case.step.operations
    times = {
        "whole, ms": seconds.pipeline,
        "on the device, ms": seconds.compute,
        "input pipeline alone, ms": seconds.loader,
        "convolutions alone, ms": seconds.convolutions,
        "convolutions at the measured rates, ms": seconds.arithmetic + seconds.traffic,
        "maps between, at memory's rate, ms": seconds.between,
    }
    return {
        **{line: Cell(f"{MS * value:,.2f}") for line, value in times.items()},
        "dispatch": Cell(f"{count} × {US / rate.estimate:.1f} µs" if rate and count else ABSENT),
        "FLOP per byte, and the ridge": Cell(f"{case.step.compute.intensity:.1f}, {case.ridge or 0:.1f}"),
        **{name: Cell(f"{100 * bound.shares[name]:.0f} %", bold=name == bound.name) for name in BOUNDS},
        "bound by": Cell(bound.name, bold=True),
    }


def format_case(case: Roofline) -> str:
    """The case as `backend/variant`."""
    return f"{case.backend}/{case.step.variant.name}"


def _format_task(task: Task) -> str:
    trained = "" if task.trainable == "head" else f", {task.trainable} trained"
    return f"{task.name}, {task.image_size} px, batch size {task.batch_size}{trained}"


def _describe_peak(peak: Peak | str) -> str:
    return f"theoretical peak: {peak.source}" if isinstance(peak, Peak) else f"theoretical peak: not known: {peak}"


def _format_fastest_pass(case: Roofline) -> str:
    if not case.layers:
        return ABSENT
    fastest = max(case.layers, key=lambda name: case.layers[name])
    return f"{case.layers[fastest] / GIGA:,.0f} ({format_pass(fastest)})"


def _format_rate(rate: Interval | None, unit: float, digits: int | None = None) -> Cell:
    if rate is None:
        return Cell(ABSENT)
    places = digits if digits is not None else 0 if rate.estimate / unit >= 100 else 1
    return Cell(format_interval(rate, lambda value: f"{value / unit:,.{places}f}"))


def _format_figure(value: float | None, unit: float) -> Cell:
    return _format_rate(None if value is None else Interval(value, None, None), unit)


def _multiply(rate: Interval | None, factor: float) -> Interval | None:
    return rate and scale(rate, factor)


def _format_share(achieved: Interval | None, of: float | None) -> str:
    if achieved is None or of is None:
        return ABSENT
    return f"{100 * achieved.estimate / of:.1f} %"
