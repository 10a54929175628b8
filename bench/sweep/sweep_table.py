"""The tables of a sweep: a row for each fine-tune, and a row for each combination over all its seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from statistics import median

from bench.analysis.statistics import Interval, mean, wilson_interval
from bench.parity.tolerances import REFERENCE
from bench.records.record import MeasurementWarning
from bench.report.tables.number_format import format_interval
from bench.report.tables.table import Cell, Column, Table
from bench.sweep.sweep_frames import describe_missed_target
from bench.sweep.sweep_record import SweepRecord, find_target_epoch


def build_sweep_table(
    records: Sequence[SweepRecord],
    varied: Sequence[str],
    target: float | None,
    best: Collection[tuple[int, str]] = (),
) -> Table:
    """Make the table of one task, with a row for each fine-tune in the order of the combinations.

    Args:
        records: of one task, at least one.
        varied: fields that have more than one value; each has a column.
        target: the test accuracy to reach; None without one.
        best: the combination's number and the backend of each fine-tune to mark as the best.
    """
    several = len({record.features for record in records if record.features}) > 1
    extractions = _group_extractions(records)
    extracted = any(len(seconds) > 1 for seconds in extractions.values())
    columns = [
        Column("fine-tune", figures=False),
        *(Column(format_field_name(name)) for name in varied),
        *([Column("features", figures=False)] if several else []),
        Column("test accuracy"),
        *(
            [Column(f"epochs to {format_percent(target)}"), Column(f"s to {format_percent(target)}")]
            if target is not None
            else []
        ),
        Column("training s"),
        *([Column("extraction s")] if extracted else []),
    ]
    rows = []
    for record in records:
        is_best = (record.number, record.backend) in best
        rows.append(
            (
                Cell(f"{'★ ' if is_best else ''}{record.number} {record.backend}", bold=is_best),
                *(Cell(format_value(getattr(record.task, name))) for name in varied),
                *([Cell(record.features or "–")] if several else []),
                Cell(format_accuracy(record)),
                *_make_target_cells(record, target),
                Cell(f"{record.epochs[-1].train_s:,.2f}" if record.epochs else "–"),
                *([Cell("–" if record.extraction_s is None else f"{record.extraction_s:,.1f}")] if extracted else []),
            )
        )
    return Table(
        title=f"Sweep: {records[0].task.name}, {records[0].train_images:,} training images",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(_make_notes(records, target)),
    )


def build_seeds_table(records: Sequence[SweepRecord], varied: Sequence[str], target: float | None) -> Table:
    """Make the table of one task, with a row for all fine-tunes that differ only in their seed.

    Args:
        records: of one task, at least one.
        varied: fields that have more than one value, among them the seed.
        target: the test accuracy to reach; None without one.
    """
    groups = group_by_seeds(records)
    others = [name for name in varied if name != "seed"]
    columns = (
        Column("fine-tunes", figures=False),
        *(Column(format_field_name(name)) for name in others),
        Column("seeds"),
        Column("mean test accuracy"),
        *(
            (Column(f"reached {format_percent(target)}"), Column(f"s to {format_percent(target)}"))
            if target is not None
            else ()
        ),
    )
    rows = tuple(
        (
            Cell(f"{', '.join(str(one.number) for one in group)} {group[0].backend}"),
            *(Cell(format_value(getattr(group[0].task, name))) for name in others),
            Cell(_count_finished(group)),
            Cell(_format_mean_accuracy(group)),
            *(_make_seeds_target_cells(group, target) if target is not None else ()),
        )
        for group in groups
    )
    return Table(
        title=f"Over the seeds: {records[0].task.name}",
        columns=columns,
        rows=rows,
        notes=(
            "mean test accuracy: with its 95 % t-interval over three seeds or more; s: the median over the seeds, "
            "where all of them reach it",
        ),
    )


def group_by_seeds(records: Iterable[SweepRecord]) -> list[list[SweepRecord]]:
    """Group the fine-tunes that differ only in their seed."""
    groups: dict[tuple[str, str], list[SweepRecord]] = {}
    for record in records:
        groups.setdefault((record.task.model_copy(update={"seed": 0}).hash, record.backend), []).append(record)
    return list(groups.values())


def _count_finished(group: Sequence[SweepRecord]) -> str:
    done = sum(bool(record.epochs) for record in group)
    return str(done) if done == len(group) else f"{done} of {len(group)}"


def _format_mean_accuracy(group: Sequence[SweepRecord]) -> str:
    counts = [(record.epochs[-1].correct, record.test_images) for record in group if record.epochs]
    shares = [correct / images for correct, images in counts if correct is not None]
    return format_share(mean(shares)) if shares else format_accuracy(group[0])


def _make_seeds_target_cells(group: Sequence[SweepRecord], target: float) -> tuple[Cell, Cell]:
    seconds = [first[1].train_s for record in group if (first := find_target_epoch(record, target))]
    if not seconds:
        text = describe_missed_target(group[0])
    else:
        text = f"{median(seconds):,.2f}" if len(seconds) == len(group) else "not by all"
    return Cell(f"{len(seconds)} of {len(group)}"), Cell(text)


def format_field_name(field: str) -> str:
    """As in `learning rate` for `learning_rate`."""
    return field.replace("_", " ")


def format_value(value: object) -> str:
    """Format the value of a field in its shortest form."""
    return f"{value:g}" if isinstance(value, float) else "all" if value is None else str(value)


def describe_values(record: SweepRecord, fields: Sequence[str]) -> str:
    """Describe a fine-tune by the values of some fields, as in `learning rate 0.01, batch size 32`."""
    return ", ".join(f"{format_field_name(name)} {format_value(getattr(record.task, name))}" for name in fields)


def format_accuracy(record: SweepRecord) -> str:
    """Format the test accuracy after the last epoch, or say why there is none."""
    if not record.epochs:
        return "failed"
    correct = record.epochs[-1].correct
    if correct is None:
        return "random weights: no accuracy"
    return format_share(wilson_interval(correct, record.test_images))


def format_share(shares: Interval) -> str:
    """Format a share and its interval in per cent, as in `72.00 % [67.03–76.97]`."""
    head, bracket, rest = format_interval(shares, lambda share: f"{100 * share:.2f}").partition(" [")
    return f"{head} %{bracket}{rest}"


def _make_target_cells(record: SweepRecord, target: float | None) -> tuple[Cell, ...]:
    if target is None:
        return ()
    if not record.epochs:
        return Cell("–"), Cell("–")
    first = find_target_epoch(record, target)
    if first is None:
        return Cell(describe_missed_target(record)), Cell(describe_missed_target(record))
    return Cell(str(first[0])), Cell(f"{first[1].train_s:,.2f}")


def _make_notes(records: Sequence[SweepRecord], target: float | None) -> Iterator[str]:
    yield (
        "test accuracy: after the last epoch, of "
        f"{records[0].test_images:,} images, with its 95 % binomial interval; s: training with the input pipeline, "
        "without building, the first step and evaluation on the test set"
    )
    if target is not None:
        yield f"to {format_percent(target)}: to the end of the first epoch after which the test accuracy was as high"
    cached = [record for record in records if record.features == "cached"]
    if cached:
        count = "all" if len(cached) == len(records) else f"{len(cached)} of {len(records)}"
        extractions = _group_extractions(records)
        seconds = "extraction s"
        if all(len(found) == 1 for found in extractions.values()):
            seconds = f"extraction ({', '.join(f'{name} {min(found):,.1f} s' for name, found in extractions.items())})"
        yield (
            f"features: {count} trained on cached ones, which the proof of each combination allows; {seconds}: "
            "computing them once, in this sweep or an earlier run, for training and test images and all "
            "combinations that share them; to compare with recomputed ones, add it"
        )
    yield from _make_reason_notes(records)
    yield from _make_warning_notes(records)
    proven = sum(record.proof is not None and record.proof.comparable for record in records)
    proof = (
        f"proof of sameness: {proven} of {len(records)} are the same fine-tune as {REFERENCE[0]}'s of their combination"
    )
    if all(record.backend != REFERENCE[0] for record in records):
        proof += f", judged by its first steps: {REFERENCE[0]} was not fine-tuned, so no accuracy was compared"
    yield proof


def _group_extractions(records: Sequence[SweepRecord]) -> dict[str, set[float]]:
    """The seconds of extractions by backend; a backend has several where combinations differ in images or network."""
    found: dict[str, set[float]] = {}
    for record in records:
        if record.extraction_s is not None:
            found.setdefault(record.backend, set()).add(record.extraction_s)
    return found


def _make_reason_notes(records: Sequence[SweepRecord]) -> Iterator[str]:
    """A note for each reason, with the fine-tunes that it applies to."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for topic_and_reason in _find_reasons(record):
            found.setdefault(topic_and_reason, []).append(f"{record.number} {record.backend}")
    for (topic, reason), fine_tunes in found.items():
        yield f"{topic}, {'all' if len(fine_tunes) == len(records) else ', '.join(fine_tunes)}: {reason}"


def _find_reasons(record: SweepRecord) -> Iterator[tuple[str, str]]:
    if record.recomputed_because:
        yield "recomputed", record.recomputed_because
    if record.proof and not record.proof.comparable:
        yield "warning not comparable", record.proof.reason
    if record.failure:
        yield "warning failed", record.failure.reason


def _make_warning_notes(records: Sequence[SweepRecord]) -> Iterator[str]:
    for name, where, evidence, advice in sum_up_warnings(records):
        yield f"warning {name}, {where}: {evidence}; {advice}"


def sum_up_warnings(records: Sequence[SweepRecord]) -> Iterator[tuple[str, str, str, str]]:
    """Sum up the warnings: the name, how many fine-tunes have it, the evidence of the first one, and what to do."""
    found: dict[str, dict[tuple[int, str], list[MeasurementWarning]]] = {}
    for record in records:
        for warning in record.warnings:
            found.setdefault(warning.name, {}).setdefault((record.number, record.backend), []).append(warning)
    for name, by_fine_tune in found.items():
        first = next(iter(by_fine_tune.values()))
        evidence = ", ".join(warning.evidence for warning in first)
        yield name, f"{len(by_fine_tune)} of {len(records)}", evidence, first[0].advice


def format_percent(share: float | None) -> str:
    """Format a share in per cent in its shortest form."""
    return f"{100 * (share or 0):g}%"
