"""The sweep's table: a row for each fine-tune, in the order of the combinations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from bench.analysis.statistics import Interval, binomial, mean
from bench.parity.tolerances import REFERENCE
from bench.records.record import Doubt
from bench.report.tables.number_format import with_interval
from bench.report.tables.table import Cell, Column, Table
from bench.sweep.sweep_frames import why_missed
from bench.sweep.sweep_record import Swept, reached


def sweep_table(records: Sequence[Swept], varied: Sequence[str], target: float | None) -> Table:
    """One task's fine-tunes.

    Args:
        records: of one task, at least one.
        varied: fields that have more than one value, a column each.
        target: share of the test images to be right.
    """
    several = len({swept.features for swept in records if swept.features}) > 1
    extracted = any(swept.extraction_s is not None for swept in records)
    columns = [
        Column("fine-tune", figures=False),
        *(Column(words(name)) for name in varied),
        *([Column("features", figures=False)] if several else []),
        Column("test accuracy"),
        *([Column(f"epochs to {_percent(target)}"), Column(f"s to {_percent(target)}")] if target is not None else []),
        Column("training s"),
        *([Column("extraction s")] if extracted else []),
    ]
    rows = []
    for swept in records:
        rows.append(
            (
                Cell(f"{swept.number} {swept.backend}"),
                *(Cell(value(getattr(swept.task, name))) for name in varied),
                *([Cell(swept.features or "–")] if several else []),
                Cell(accuracy(swept)),
                *_to_target(swept, target),
                Cell(f"{swept.epochs[-1].train_s:,.2f}" if swept.epochs else "–"),
                *([Cell("–" if swept.extraction_s is None else f"{swept.extraction_s:,.1f}")] if extracted else []),
            )
        )
    return Table(
        title=f"Sweep: {records[0].task.name}, {records[0].train_images:,} training images",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(_notes(records, target)),
    )


def seeds_table(records: Sequence[Swept], varied: Sequence[str], target: float | None) -> Table:
    """One task's fine-tunes that differ in their seed alone, in one row.

    Args:
        records: of one task, at least one.
        varied: fields that have more than one value; the seed is one of them.
        target: share of the test images to be right.
    """
    groups: dict[tuple[str, str], list[Swept]] = {}
    for swept in records:
        groups.setdefault((swept.task.model_copy(update={"seed": 0}).hash, swept.backend), []).append(swept)
    others = [name for name in varied if name != "seed"]
    columns = (
        Column("fine-tunes", figures=False),
        *(Column(words(name)) for name in others),
        Column("seeds"),
        Column("mean test accuracy"),
        *((Column(f"reached {_percent(target)}"), Column(f"s to {_percent(target)}")) if target is not None else ()),
    )
    rows = tuple(
        (
            Cell(f"{', '.join(str(one.number) for one in group)} {group[0].backend}"),
            *(Cell(value(getattr(group[0].task, name))) for name in others),
            Cell(_finished(group)),
            Cell(_mean_accuracy(group)),
            *(_reached_by(group, target) if target is not None else ()),
        )
        for group in groups.values()
    )
    return Table(
        title=f"Over the seeds: {records[0].task.name}",
        columns=columns,
        rows=rows,
        notes=(
            "mean test accuracy: with its 95 % t-interval over the seeds; s: the median over the seeds, where all of "
            "them reach it",
        ),
    )


def _finished(group: Sequence[Swept]) -> str:
    done = sum(bool(swept.epochs) for swept in group)
    return str(done) if done == len(group) else f"{done} of {len(group)}"


def _mean_accuracy(group: Sequence[Swept]) -> str:
    counts = [(swept.epochs[-1].correct, swept.test_images) for swept in group if swept.epochs]
    shares = [correct / images for correct, images in counts if correct is not None]
    return _told(mean(shares)) if shares else accuracy(group[0])


def _reached_by(group: Sequence[Swept], target: float) -> tuple[Cell, Cell]:
    found = [first[1].train_s for swept in group if (first := reached(swept, target))]
    seconds = (
        f"{median(found):,.2f}" if len(found) == len(group) else why_missed(group[0]) if not found else "not by all"
    )
    return Cell(f"{len(found)} of {len(group)}"), Cell(seconds)


def words(field: str) -> str:
    """`learning_rate` as it is read."""
    return field.replace("_", " ")


def value(of_field: object) -> str:
    """A field's value, as short as it can be said."""
    return f"{of_field:g}" if isinstance(of_field, float) else "all" if of_field is None else str(of_field)


def accuracy(swept: Swept) -> str:
    """After the last epoch; or what there is in its place."""
    if not swept.epochs:
        return "failed"
    correct = swept.epochs[-1].correct
    if correct is None:
        return "random weights: no accuracy"
    return _told(binomial(correct, swept.test_images))


def _told(shares: Interval) -> str:
    head, bracket, rest = with_interval(shares, lambda share: f"{100 * share:.2f}").partition(" [")
    return f"{head} %{bracket}{rest}"


def _to_target(swept: Swept, target: float | None) -> tuple[Cell, ...]:
    if target is None:
        return ()
    if not swept.epochs:
        return Cell("–"), Cell("–")
    first = reached(swept, target)
    if first is None:
        return Cell(why_missed(swept)), Cell(why_missed(swept))
    return Cell(str(first[0])), Cell(f"{first[1].train_s:,.2f}")


def _notes(records: Sequence[Swept], target: float | None) -> Iterator[str]:
    yield (
        "test accuracy: after the last epoch, of "
        f"{records[0].test_images:,} images, with its 95 % binomial interval; s: of training, input pipeline included; "
        "building, the first step and looking at the test set are not in it"
    )
    if target is not None:
        yield f"to {_percent(target)}: until the end of the first epoch after which the test accuracy was as high"
    cached = [swept for swept in records if swept.features == "cached"]
    if cached:
        what = "all" if len(cached) == len(records) else f"{len(cached)} of {len(records)}"
        yield (
            f"features: {what} trained on cached ones, which each combination's own proof allows; extraction s: "
            "computing them once, in this sweep or when they were kept, for training and test images and all "
            "combinations that share them; add it to compare with recomputed ones"
        )
    yield from _reasons(records)
    yield from _doubts(records)
    proven = sum(swept.proof is not None and swept.proof.comparable for swept in records)
    told = (
        f"proof of sameness: {proven} of {len(records)} are the same fine-tune as {REFERENCE[0]}'s of their combination"
    )
    if all(swept.backend != REFERENCE[0] for swept in records):
        told += f", as far as its first steps tell: {REFERENCE[0]} was not fine-tuned, so no outcome was compared"
    yield told


def _reasons(records: Sequence[Swept]) -> Iterator[str]:
    """What has to be said of some fine-tunes: each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for swept in records:
        for told in _of(swept):
            found.setdefault(told, []).append(f"{swept.number} {swept.backend}")
    for (told_of, reason), whose in found.items():
        yield f"{told_of}, {'all' if len(whose) == len(records) else ', '.join(whose)}: {reason}"


def _of(swept: Swept) -> Iterator[tuple[str, str]]:
    if swept.recomputed_because:
        yield "recomputed", swept.recomputed_because
    if swept.proof and not swept.proof.comparable:
        yield "warning not comparable", swept.proof.reason
    if swept.failure:
        yield "warning failed", swept.failure.reason


def _doubts(records: Sequence[Swept]) -> Iterator[str]:
    """Each doubt once, with the evidence of the first fine-tune that has it."""
    found: dict[str, list[Doubt]] = {}
    for swept in records:
        for doubt in swept.warnings:
            found.setdefault(doubt.name, []).append(doubt)
    for name, of_name in found.items():
        yield f"warning {name}, {len(of_name)} of {len(records)}: {of_name[0].evidence}: {of_name[0].advice}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):g}%"
