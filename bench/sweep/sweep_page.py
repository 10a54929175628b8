"""The page of a sweep: the best fine-tune, accuracy over time with the target, and heat maps of two fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Block, Notice, Page, Section, Text
from bench.report.html.result_page import build_closing, build_environment_section, fit_page, format_command
from bench.report.tables.table import Cell, Column, Table
from bench.sweep.sweep_best import SweepBest, find_best
from bench.sweep.sweep_figures import build_accuracy_plot, build_heat_maps
from bench.sweep.sweep_record import SweepRecord
from bench.sweep.sweep_table import build_seeds_table, build_sweep_table, format_percent, sum_up_warnings

#: Rows of the table of fine-tunes in a page that would be too large otherwise.
MAX_ROWS = 200


def build_sweep_page(
    records: Sequence[SweepRecord], varied: Sequence[str], target: float | None, about: Mapping[str, object]
) -> Page:
    """Build the page of a sweep; of a very large one without every epoch, and with the first fine-tunes only.

    Args:
        records: at least one.
        varied: fields that have more than one value.
        target: the test accuracy to reach, 0..1; None without one.
        about: the environment, with the command in `run`.
    """
    return fit_page(lambda full: _build_page(records, varied, target, about, full))


def _build_page(
    records: Sequence[SweepRecord],
    varied: Sequence[str],
    target: float | None,
    about: Mapping[str, object],
    full: bool,
) -> Page:
    tasks = {
        name: [one for one in records if one.task.name == name] for name in dict.fromkeys(r.task.name for r in records)
    }
    bests = {name: find_best(of_task, varied, target) for name, of_task in tasks.items()}
    sentences = [
        sentence if len(tasks) == 1 else f"{name}: {sentence}"
        for name, best in bests.items()
        for sentence in best.sentences
    ]
    plots = [build_accuracy_plot(of_task, varied, target, bests[name].keys) for name, of_task in tasks.items()]
    goal = f" to {format_percent(target)}" if target is not None else ""
    return Page(
        title=f"Sweep of {', '.join(tasks)}",
        facts=describe_facts(f"Sweep of {', '.join(tasks)}{goal}", records[0].started, about),
        verdict=tuple(sentences),
        opening=(*(plot for plot in plots if plot), *_list_notices(tasks)),
        sections=(
            Section("Two fields", tuple(_build_maps(tasks, varied, target, bests))),
            Section("All fine-tunes", tuple(_build_tables(tasks, varied, target, bests, full))),
            Section("Every epoch", tuple(_build_epochs(tasks, full))),
            build_environment_section(about),
        ),
        command=format_command(about),
        closing=tuple(build_closing(about)),
    )


def _list_notices(tasks: Mapping[str, Sequence[SweepRecord]]) -> Iterator[Notice]:
    for task, of_task in tasks.items():
        for name, where, evidence, advice in sum_up_warnings(of_task):
            yield Notice(f"{task}, {where} fine-tunes", name, f"{evidence}.", advice)


def _build_maps(
    tasks: Mapping[str, Sequence[SweepRecord]],
    varied: Sequence[str],
    target: float | None,
    bests: Mapping[str, SweepBest],
) -> Iterator[Block]:
    maps = [
        one for name, of_task in tasks.items() for one in build_heat_maps(of_task, varied, target, bests[name].keys)
    ]
    yield from maps
    if not maps:
        yield Text("There is no accuracy to show, or no field has several values.")


def _build_tables(
    tasks: Mapping[str, Sequence[SweepRecord]],
    varied: Sequence[str],
    target: float | None,
    bests: Mapping[str, SweepBest],
    full: bool,
) -> Iterator[Block]:
    for name, of_task in tasks.items():
        table = build_sweep_table(of_task, varied, target, bests[name].keys)
        if not full and len(table.rows) > MAX_ROWS:
            note = f"the first {MAX_ROWS} of {len(table.rows)} fine-tunes: all are in summary.csv"
            table = replace(table, rows=table.rows[:MAX_ROWS], notes=(note, *table.notes))
        yield table
        if "seed" in varied:
            yield build_seeds_table(of_task, varied, target)


def _build_epochs(tasks: Mapping[str, Sequence[SweepRecord]], full: bool) -> Iterator[Block]:
    if full:
        yield from (_build_epoch_table(name, of_task) for name, of_task in tasks.items())
    else:
        yield Text("There are too many for a page: sweep.csv has every epoch.")


def _build_epoch_table(name: str, records: Sequence[SweepRecord]) -> Table:
    rows = []
    for record in records:
        for number, epoch in enumerate(record.epochs, start=1):
            share = "–" if epoch.correct is None else f"{100 * epoch.correct / record.test_images:.2f}"
            rows.append(
                (
                    Cell(f"{record.number} {record.backend}"),
                    Cell(str(number)),
                    Cell(f"{epoch.train_loss:.4f}"),
                    Cell(share),
                    Cell(f"{epoch.train_s:,.2f}"),
                )
            )
    return Table(
        f"Every epoch: {name}",
        (
            Column("fine-tune", figures=False),
            Column("epoch"),
            Column("training loss"),
            Column("test accuracy in %"),
            Column("s of training"),
        ),
        tuple(rows),
        ("training loss: the mean over the epoch's images, each before its own update",),
    )
