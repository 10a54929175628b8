"""The tables of a roofline."""

from __future__ import annotations

from collections.abc import Sequence

from backends.task import Task
from bench.analysis.statistics import Interval
from bench.report.tables.number_format import with_interval
from bench.report.tables.table import Cell, Column, Table
from bench.roofline.achieved_rates import Roofline, call_title
from bench.roofline.bound import COMPUTED, LOADING, WAITING, Bound, Name, Seconds
from bench.roofline.device_peaks import GIGA, Peak
from bench.worker.step_work import SIZES, Step

MB = 1e6
MS, US = 1e3, 1e6
NONE = "–"
BOUNDS: tuple[Name, ...] = (*COMPUTED, "input")
#: What a step on the device is called among its parts.
WHOLE = "a step on the device"


def work_table(step: Step) -> Table:
    """What one training step computes and moves."""
    rows = [(name, work) for name, work in step.parts.items()]
    return Table(
        f"Work of a step: {_title(step.task)}, {step.variant.precision}",
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
                Cell(name, bold=name == WHOLE),
                Cell(f"{work.flop / GIGA:,.3f}"),
                Cell(f"{work.flop_padded / GIGA:,.3f}"),
                Cell(f"{work.bytes / MB:,.2f}"),
                Cell(f"{work.bytes_padded / MB:,.2f}"),
                Cell(f"{work.intensity:,.2f}"),
            )
            for name, work in (*rows, (WHOLE, step.compute))
        ),
        (
            "counted from the shapes; a multiply-add is 2 FLOP; useful: what meets a pixel and no padding",
            f"{WHOLE}: without its images, and without what lies between convolutions, which can be fused into them",
        ),
    )


def rate_table(cases: Sequence[Roofline], peak: Peak | str) -> Table:
    """The rates that each framework's own kernels reach, and what the device's maker says."""
    precisions = [one for one in SIZES if any(f"gemm {one}" in case.rates for case in cases)]
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(name(case)),
            *(_rate(case.rates.get(f"gemm {precision}"), GIGA) for precision in precisions),
            Cell(_fastest(case)),
            _rate(case.rates.get("convolutions"), GIGA),
            _rate(case.rates.get("memory"), GIGA),
            _rate(case.rates.get("small operations"), 1e3, digits=0),
            Cell(f"{case.ridge:,.1f}" if case.ridge else NONE),
        )
        for case in cases
    ]
    if isinstance(peak, Peak):
        flops = [Cell(f"{peak.flops[p] / GIGA:,.0f}" if p in peak.flops else NONE) for p in precisions]
        memory = Cell(f"{peak.memory / GIGA:,.0f}" if peak.memory else NONE)
        rows.append((Cell("theoretical peak"), *flops, Cell(NONE), Cell(NONE), memory, Cell(NONE), Cell(NONE)))
    return Table(
        f"Rates measured: {_title(cases[0].step.task)}",
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
            "each by the framework's own kernels in the case's process; convolutions: the task's own, in the case's "
            "precision and layout, useful FLOP; the fastest one again and again, and all of them one after the other",
            "memory: one array added to another in place; ridge: the highest rate in the case's precision by memory's",
            _about(peak),
        ),
    )


def layer_table(cases: Sequence[Roofline]) -> Table | None:
    """Each shape of convolution by itself; None where none was measured."""
    names = list(dict.fromkeys(name for case in cases for name in case.layers))
    if not names:
        return None
    calls = {f"{layer.name} {what}": layer for case in cases for layer, what in case.step.calls}
    rows = []
    for one in names:
        layer = calls[one]
        size = f"{layer.kernel} × {layer.kernel}" + (f" / {layer.stride}" if layer.stride > 1 else "")
        what = "depthwise" if layer.groups > 1 else f"{layer.into} → {layer.out}"
        rows.append(
            (
                Cell(call_title(one)),
                Cell(f"{layer.side} px, {size}, {what}"),
                *(_figure(case.layers.get(one), GIGA) for case in cases),
            )
        )
    return Table(
        f"The convolutions alone, GFLOP/s: {_title(cases[0].step.task)}",
        (
            Column("first of its shape", figures=False),
            Column("shape", figures=False),
            *(Column(name(case)) for case in cases),
        ),
        tuple(rows),
        ("useful FLOP; again and again on the same arrays, so that caches hold what they can",),
    )


def roofline_table(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> Table:
    """What each case reaches of what was measured, and of what is possible where that is known."""
    rows: list[tuple[Cell, ...]] = []
    for case in cases:
        step = case.step.compute
        compute = case.steps.get("compute", case.steps.get("pipeline"))
        reached = _times(compute, step.flop)
        rows.append(
            (
                Cell(name(case)),
                _rate(reached, GIGA),
                _rate(_times(compute, step.flop_padded), GIGA),
                Cell(_share(reached, case.best.flops if case.best else None)),
                Cell(case.best.kernel if case.best else NONE),
                *_of_peak(case, reached, peak),
                Cell(case.bound.name if case.bound else NONE, bold=True),
            )
        )
    share = "MFU" if gpu else "of theoretical peak"
    return Table(
        f"Roofline: {_title(cases[0].step.task)}",
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
            "GFLOP/s: useful ones of `compute` steps, on batches that are on the device; [low–high]: 95 % interval",
            _about(peak),
        ),
    )


def _of_peak(case: Roofline, reached: Interval | None, peak: Peak | str) -> tuple[Cell, ...]:
    """Shares of the theoretical peak, on the device and with the input pipeline; nothing where none is known."""
    if isinstance(peak, str):
        return ()
    highest = peak.flops.get(case.step.variant.precision)
    through_pipeline = _times(case.steps.get("pipeline"), case.step.compute.flop)
    return Cell(_share(reached, highest)), Cell(_share(through_pipeline, highest))


def evidence_table(cases: Sequence[Roofline]) -> Table:
    """Why each case is said to be bound by what it is."""
    told = [(name(case), _evidence(case, case.seconds, case.bound)) for case in cases if case.seconds and case.bound]
    lines = list(dict.fromkeys(line for _, evidence in told for line in evidence))
    return Table(
        f"Evidence: {_title(cases[0].step.task)}",
        (Column("of a step", figures=False), *(Column(title) for title, _ in told)),
        tuple((Cell(line), *(evidence[line] for _, evidence in told)) for line in lines),
        (
            "at the measured rates: each by arithmetic or memory, whichever takes longer, with padding; dispatch: the "
            "backbone's forward operations, each run by itself, times a small operation's time",
            "shares of a step: compute and memory, its convolutions by what limits each, and memory also the maps "
            "between them; overhead, the rest of a step on the device; input, what is not there on the device",
            f"bound by input: its share is {100 * WAITING:.0f} % or more, and the input pipeline alone takes "
            f"{100 * LOADING:.0f} % of a step; otherwise by the largest of the other shares",
        ),
    )


def _evidence(case: Roofline, seconds: Seconds, bound: Bound) -> dict[str, Cell]:
    """What the verdict goes by, line by line."""
    rate, count = case.rates.get("small operations"), case.step.operations
    taken = {
        "whole, ms": seconds.pipeline,
        "on the device, ms": seconds.compute,
        "input pipeline alone, ms": seconds.loader,
        "convolutions alone, ms": seconds.convolutions,
        "the same at the measured rates, ms": seconds.arithmetic + seconds.traffic,
        "maps between, at memory's rate, ms": seconds.between,
    }
    return {
        **{line: Cell(f"{MS * value:,.2f}") for line, value in taken.items()},
        "dispatch": Cell(f"{count} × {US / rate.estimate:.1f} µs" if rate and count else NONE),
        "FLOP per byte, and the ridge": Cell(f"{case.step.compute.intensity:.1f}, {case.ridge or 0:.1f}"),
        **{one: Cell(f"{100 * bound.shares[one]:.0f} %", bold=one == bound.name) for one in BOUNDS},
        "bound by": Cell(bound.name, bold=True),
    }


def name(case: Roofline) -> str:
    """`backend/variant`."""
    return f"{case.backend}/{case.step.variant.name}"


def _title(task: Task) -> str:
    trained = "" if task.trainable == "head" else f", {task.trainable} trained"
    return f"{task.name}, {task.image_size} px, batch size {task.batch_size}{trained}"


def _about(peak: Peak | str) -> str:
    return f"theoretical peak: {peak.source}" if isinstance(peak, Peak) else f"theoretical peak: not known: {peak}"


def _fastest(case: Roofline) -> str:
    if not case.layers:
        return NONE
    fastest = max(case.layers, key=lambda one: case.layers[one])
    return f"{case.layers[fastest] / GIGA:,.0f} ({call_title(fastest)})"


def _rate(found: Interval | None, unit: float, digits: int | None = None) -> Cell:
    if found is None:
        return Cell(NONE)
    places = digits if digits is not None else 0 if found.estimate / unit >= 100 else 1
    return Cell(with_interval(found, lambda value: f"{value / unit:,.{places}f}"))


def _figure(value: float | None, unit: float) -> Cell:
    return Cell(NONE if value is None else f"{value / unit:,.{0 if value / unit >= 100 else 1}f}")


def _times(found: Interval | None, factor: float) -> Interval | None:
    if found is None:
        return None
    low, high = (None if end is None else end * factor for end in (found.low, found.high))
    return Interval(found.estimate * factor, low, high)


def _share(reached: Interval | None, of: float | None) -> str:
    if reached is None or of is None:
        return NONE
    return f"{100 * reached.estimate / of:.1f} %"
