"""The figures of a sweep: accuracy over the time of training, and heat maps of two fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from bench.analysis.statistics import wilson_interval
from bench.report.figures.accuracy_figures import POINT, SECONDS, WHERE, make_accuracy_point
from bench.report.figures.figure import HeatMap, Line, LinePlot
from bench.sweep.sweep_record import SweepRecord, find_target_epoch
from bench.sweep.sweep_table import describe_values, format_field_name, format_percent, format_value

#: Most lines of a plot: with more, a reader cannot distinguish them.
MOST_LINES = 6
BACKEND_FIELD = "backend"


def build_accuracy_plot(
    records: Sequence[SweepRecord], varied: Sequence[str], target: float | None, best: Collection[tuple[int, str]]
) -> LinePlot | None:
    """Build the plot of the test accuracy over the seconds of training; None without an accuracy.

    Args:
        records: of one task.
        varied: fields that have more than one value.
        target: the test accuracy to reach, 0..1; None without one.
        best: the combination's number and the backend of each of the best fine-tunes.
    """
    measured = _choose_measured(records)
    if not measured:
        return None
    shown = _choose_lines(measured, target, best)
    left_out = len(measured) - len(shown)
    which = f" Of {len(measured)} fine-tunes these are the best {len(shown)}, of each backend in turn."
    return LinePlot(
        title=f"Accuracy over time: {measured[0].task.name}",
        how_to_read=f"{POINT} {WHERE}{which if left_out else ''}",
        x_title=SECONDS,
        y_title="test accuracy",
        y_unit=" %",
        lines=tuple(_make_line(record, varied, (record.number, record.backend) in best) for record in shown),
        target=None if target is None else 100 * target,
        target_label="" if target is None else f"target {format_percent(target)}",
    )


def _choose_measured(records: Sequence[SweepRecord]) -> list[SweepRecord]:
    """Choose the fine-tunes that have a test accuracy."""
    return [record for record in records if record.epochs and record.epochs[-1].correct is not None]


def _choose_lines(
    measured: Sequence[SweepRecord], target: float | None, best: Collection[tuple[int, str]]
) -> list[SweepRecord]:
    """Choose the lines: the best of each backend, then the second best of each, and so on; the best one first."""

    def rank(record: SweepRecord) -> tuple[bool, float, float]:
        first = find_target_epoch(record, target) if target is not None else None
        seconds = first[1].train_s if first else float("inf")
        return (record.number, record.backend) not in best, seconds, -(record.epochs[-1].correct or 0)

    ranked = sorted(measured, key=rank)
    seen: Counter[str] = Counter()
    places: list[tuple[int, int, SweepRecord]] = []
    for record in ranked:
        places.append((seen[record.backend], len(places), record))
        seen[record.backend] += 1
    in_turn = sorted(places, key=lambda place: place[:2])
    return [record for _, _, record in in_turn[:MOST_LINES]]


def _make_line(record: SweepRecord, varied: Sequence[str], is_best: bool) -> Line:
    points = []
    for epoch in record.epochs:
        if epoch.correct is not None:
            share = wilson_interval(epoch.correct, record.test_images)
            points.append(make_accuracy_point(epoch.train_s, share))
    values = describe_values(record, varied)
    name = f"{record.number} {record.backend}{f': {values}' if values else ''}"
    return Line(f"{record.backend}/default", tuple(points), f"★ {name}" if is_best else name)


def build_heat_maps(
    records: Sequence[SweepRecord], varied: Sequence[str], target: float | None, best: Collection[tuple[int, str]]
) -> list[HeatMap]:
    """Build a heat map of the accuracy over two fields for each backend, and with a target one of the time to it.

    With more than two fields, each cell has its best fine-tune. With one field, the other axis are the backends.

    Args:
        records: of one task.
        varied: fields that have more than one value.
        target: the test accuracy to reach, 0..1; None without one.
        best: the combination's number and the backend of each of the best fine-tunes.
    """
    measured = _choose_measured(records)
    fields = [name for name in varied if name != "seed"] or list(varied)
    if not measured or not fields:
        return []
    groups = [measured]
    if len(fields) > 1:
        groups = [
            [one for one in measured if one.backend == name] for name in dict.fromkeys(r.backend for r in measured)
        ]
    return [plot for group in groups for plot in _build_maps(group, fields[:2], len(fields) > 2, target, best)]


def _build_maps(
    group: Sequence[SweepRecord],
    fields: Sequence[str],
    several: bool,
    target: float | None,
    best: Collection[tuple[int, str]],
) -> Iterator[HeatMap]:
    of = f"{group[0].task.name}, {group[0].backend}" if len(fields) > 1 else group[0].task.name
    cell = " Each cell is the best of its fine-tunes." if several else ""

    def get_accuracy(record: SweepRecord) -> float | None:
        return round(100 * (record.epochs[-1].correct or 0) / record.test_images, 1)

    def get_seconds(record: SweepRecord) -> float | None:
        found = find_target_epoch(record, target or 0.0)
        return round(found[1].train_s, 2) if found else None

    yield _build_map(
        f"Accuracy: {of}",
        f"The test accuracy after the last epoch; darker is higher. ★: the best of the sweep.{cell}",
        "test accuracy in %",
        group,
        fields,
        get_accuracy,
        lambda value: f"{value:.1f}",
        best,
        max,
    )
    if target is not None:
        yield _build_map(
            f"Seconds to {format_percent(target)}: {of}",
            f"Seconds of training until the test accuracy is {format_percent(target)}; lighter is sooner, – is never. "
            f"★: the best of the sweep.{cell}",
            f"seconds to {format_percent(target)}",
            group,
            fields,
            get_seconds,
            lambda value: f"{value:,.2f}",
            best,
            min,
        )


def _build_map(
    title: str,
    how_to_read: str,
    value_title: str,
    group: Sequence[SweepRecord],
    fields: Sequence[str],
    get_value: Callable[[SweepRecord], float | None],
    format_figure: Callable[[float], str],
    best: Collection[tuple[int, str]],
    choose: Callable[[Sequence[float]], float],
) -> HeatMap:
    y_field, x_field = (fields[0], fields[1]) if len(fields) > 1 else (BACKEND_FIELD, fields[0])
    rows = list(dict.fromkeys(_get_field(record, y_field) for record in group))
    columns = list(dict.fromkeys(_get_field(record, x_field) for record in group))
    values: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    marked = None
    for record in group:
        row, column = rows.index(_get_field(record, y_field)), columns.index(_get_field(record, x_field))
        known = [value for value in (values[row][column], get_value(record)) if value is not None]
        values[row][column] = choose(known) if known else None
        if (record.number, record.backend) in best:
            marked = row, column
    return HeatMap(
        title=title,
        how_to_read=how_to_read,
        x_title=format_field_name(x_field),
        y_title=format_field_name(y_field),
        value_title=value_title,
        columns=tuple(columns),
        rows=tuple(rows),
        values=tuple(tuple(row) for row in values),
        texts=tuple(tuple("–" if value is None else format_figure(value) for value in row) for row in values),
        best=marked,
    )


def _get_field(record: SweepRecord, field: str) -> str:
    return record.backend if field == BACKEND_FIELD else format_value(getattr(record.task, field))
