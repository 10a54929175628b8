"""The page of a run: verdict, ratios and proof first, then everything that was measured. Made from records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.launches import TaskLaunches, group_by_task
from bench.machine.stored_environment import read_about
from bench.records.launch_rows import COLUMNS, build_row
from bench.records.record import Record
from bench.report.figures.accuracy_figures import (
    build_accuracy_by_epoch,
    build_accuracy_by_seconds,
    build_loss_by_epoch,
)
from bench.report.figures.cost_figure import build_cost_bars
from bench.report.figures.figure import Figure, ForestPlot
from bench.report.figures.memory_figure import build_memory_bars
from bench.report.figures.ratio_figure import build_ratio_plot
from bench.report.figures.scaling_figure import build_scaling_plots
from bench.report.figures.start_up_figures import build_break_even_plot, build_start_up_bars
from bench.report.figures.throughput_figure import MOST_DOTS, build_throughput_plot
from bench.report.html.environment_blocks import (
    build_closing,
    build_environment_blocks,
    describe_facts,
)
from bench.report.html.page import Block, Folded, Heading, Notice, Page, Section, Switch, Text, When
from bench.report.html.proof_blocks import build_ticks
from bench.report.tables import build_overall_tables, format_command
from bench.report.tables.accuracy_table import build_accuracy_table
from bench.report.tables.cached_table import build_cached_table
from bench.report.tables.cost_tables import build_cost_table, build_loading_table
from bench.report.tables.memory_tables import build_memory_table, build_phase_table
from bench.report.tables.parity_table import build_parity_table
from bench.report.tables.scaling_table import build_scaling_tables
from bench.report.tables.start_up_table import build_start_up_table
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.throughput_table import KINDS, build_throughput_table
from bench.report.tables.warning_notes import WarningNote, group_warnings
from bench.report.verdict import TaskVerdict, build_verdict

#: The names of the page's switches.
KIND, REFERENCE = "kind", "reference"
#: Notices that are shown without unfolding.
MOST_NOTICES = 3
#: Columns of `results.csv` that the table of launches has not: a figure shows them, or they are the same in each row.
NOT_IN_TABLE = ("run", "epoch_seconds", "epoch_accuracy")
#: Columns of the table of launches that are texts.
TEXT_COLUMNS = ("task", "backend", "variant", "parity", "warnings")

Build = Callable[[TaskLaunches], Iterable[Block | None]]


@dataclass(frozen=True)
class Detail:
    """How much a page shows.

    Attributes:
        dots: in all its figures together.
        references: whether the reference can be chosen.
        launches: whether it has a table of all launches.
        figures: whether there are figures below the ratios.
    """

    dots: int = MOST_DOTS
    references: bool = True
    launches: bool = True
    figures: bool = True


def build_run_page(records: Sequence[Record], relative_to: str | None = None, detail: Detail = Detail()) -> Page:
    """Build the page.

    Args:
        records: of one run, at least one.
        relative_to: the case that ratios are relative to at first; by default that of the run.
        detail: what is left out of a page that would be too large.
    """
    about = records[0].about
    run = read_about(about, "run")
    skipped = {str(name): str(reason) for name, reason in read_about(run, "skipped").items()}
    reference = relative_to or str(run.get("relative_to") or "pytorch")
    banner = str(run["banner"]) if run.get("banner") else None
    tasks = group_by_task(records)
    choices = _list_references(tasks, reference)
    references = choices if detail.references else [reference]
    verdict = build_verdict(records, reference, banner)
    parts = _Parts(tasks, verdict.tasks, references, detail.dots // max(1, 2 * len(tasks)))
    # Of several tasks the answers stand together, and the rest at each task.
    answers = verdict.tasks[0].sentences if len(tasks) == 1 else [_name_answer(one) for one in verdict.tasks]
    names = ", ".join(dict.fromkeys(task.task.name for task in tasks))
    return Page(
        title=f"{names}: which framework trains faster?",
        facts=_describe_run(records[0]),
        verdict=(*answers, *([verdict.caution] if verdict.caution else [])),
        answers=len(tasks),
        banner=banner or "",
        switches=_make_switches(references),
        opening=(*_tell_left_out(detail, len(choices)), *parts.list_blocks(parts.build_opening)),
        sections=tuple(_build_sections(records, parts, skipped, detail)),
        command=format_command(records, reference) or "",
        closing=tuple(build_closing(about, format_command(records, reference))),
    )


@dataclass(frozen=True)
class _Parts:
    """The blocks of a task, by part of the page."""

    tasks: Sequence[TaskLaunches]
    verdicts: Sequence[TaskVerdict]
    references: Sequence[str]
    dots: int

    def list_blocks(self, build: Build) -> Iterator[Block]:
        """The blocks of all tasks, each task under its name where there are several; a note of a table stands once."""
        said: set[str] = set()
        for task in self.tasks:
            made = [block for block in build(task) if block is not None]
            blocks = [_drop_notes(block, said) for block in made]
            said |= {note for block in made for table in _list_tables(block) for note in table.notes}
            if len(self.tasks) > 1 and blocks:
                yield Heading(task.name)
            yield from blocks

    def build_opening(self, task: TaskLaunches) -> Iterator[Block]:
        notes = list(group_warnings(task))
        notices = [Notice(note.where, note.name, f"{note.evidence}.", note.advice) for note in notes]
        if len(self.tasks) > 1:
            (verdict,) = (one for one, of in zip(self.verdicts, self.tasks, strict=True) if of is task)
            yield Text(" ".join(verdict.sentences[1:]))
        # A case alone has no ratio.
        for kind in KINDS if len(task.cases) > 1 else ():
            for reference in self.references:
                plot = _add_warnings(build_ratio_plot(task, reference, kind), notes)
                yield When({KIND: kind, REFERENCE: reference}, (plot,))
        yield build_ticks(task)
        yield from notices[:MOST_NOTICES]
        if rest := tuple(notices[MOST_NOTICES:]):
            yield Folded(f"{len(rest)} more {'warning' if len(rest) == 1 else 'warnings'}", rest)

    def build_throughput(self, task: TaskLaunches) -> Iterator[Block]:
        for kind in KINDS:
            yield When({KIND: kind}, (build_throughput_plot(task, kind, self.dots),))
        yield from self._choose_by_reference(lambda reference: _drop_warnings(build_throughput_table(task, reference)))
        yield build_loading_table(task)

    def build_fine_tune(self, task: TaskLaunches) -> Iterator[Block]:
        yield build_cost_bars(task)
        yield build_cost_table(task)
        if task.division == "cached":
            keys = ((one.task.hash, one.division) for one in self.tasks)
            recomputed = dict(zip(keys, self.tasks, strict=True))
            yield build_cached_table(task, recomputed.get((task.task.hash, "default")))

    def build_accuracy(self, task: TaskLaunches) -> Iterator[Block | None]:
        yield build_loss_by_epoch(task)
        yield build_accuracy_by_epoch(task)
        yield build_accuracy_by_seconds(task)
        yield build_accuracy_table(task)

    def build_memory(self, task: TaskLaunches) -> Iterator[Block]:
        yield build_memory_bars(task)
        yield build_memory_table(task)
        yield build_phase_table(task)

    def build_start_up(self, task: TaskLaunches) -> Iterator[Block | None]:
        yield build_start_up_bars(task)
        yield build_break_even_plot(task)
        yield from self._choose_by_reference(lambda reference: build_start_up_table(task, reference))

    def build_parity(self, task: TaskLaunches) -> Iterator[Block]:
        yield build_ticks(task)
        yield build_parity_table(task)

    def _choose_by_reference(self, build: Callable[[str], Table | Figure]) -> Iterator[Block]:
        for reference in self.references:
            yield When({REFERENCE: reference}, (build(reference),))


def _tell_left_out(detail: Detail, references: int) -> Iterator[Text]:
    """Say what a page that would be too large does not have, and where that is; of dots, the figures say it."""
    left_out = []
    if not detail.references and references > 1:
        left_out.append(
            "the choice of what ratios are relative to, which bench show RUN --html --relative-to CASE makes"
        )
    if not detail.launches:
        left_out.append("each launch as a row, which results.csv, beside it, has")
    if not detail.figures:
        left_out.append("the figures below the ratios, which bench plot draws")
    if left_out:
        yield Text(f"This page would be too large with everything in it. Left out: {'; '.join(left_out)}.", "quiet")


def _build_sections(
    records: Sequence[Record], parts: _Parts, skipped: Mapping[str, str], detail: Detail
) -> Iterator[Section]:
    if plots := build_scaling_plots(records):
        scaling = (*(plots if detail.figures else ()), *build_scaling_tables(records))
        yield Section("Several devices", scaling)
    for title, build in (
        ("Throughput", parts.build_throughput),
        ("Whole fine-tune", parts.build_fine_tune),
        ("Accuracy", parts.build_accuracy),
        ("Memory", parts.build_memory),
        ("Start-up", parts.build_start_up),
        ("Parity", parts.build_parity),
    ):
        blocks = parts.list_blocks(build)
        yield Section(title, tuple(blocks if detail.figures else _drop_figures(blocks)))
    yield Section("Environment", tuple(build_environment_blocks(records)))
    launches = [_build_launch_table(records)] if detail.launches else []
    yield Section("More tables", (*build_overall_tables(parts.tasks, skipped), *launches))


def _build_launch_table(records: Sequence[Record]) -> Table:
    """Every launch as a row: the columns of `results.csv` that differ, and are one figure."""
    columns = [name for name in COLUMNS if name not in NOT_IN_TABLE]
    rows = []
    for record in records:
        row = build_row(record)
        rows.append(tuple(Cell(_format_value(row[name])) for name in columns))
    return Table(
        "Launches",
        tuple(Column(name, figures=name not in TEXT_COLUMNS) for name in columns),
        tuple(rows),
        ("one row per launch, as in results.csv",),
    )


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _name_answer(verdict: TaskVerdict) -> str:
    """The answer of a task with the task's name, and its division where that is not the default's."""
    division = "" if verdict.division == "default" else f", {verdict.division}"
    return f"{verdict.task}{division}: {verdict.sentences[0]}"


def _list_references(tasks: Sequence[TaskLaunches], first: str) -> list[str]:
    """What ratios may be relative to: backends, and cases where a backend has several of one task."""
    names = [first]
    for task in tasks:
        counts = [case.first.backend for case in task.cases]
        names += [c.first.backend if counts.count(c.first.backend) == 1 else c.label for c in task.cases]
    several = [name for name in dict.fromkeys(names) if any(task.reference(name) for task in tasks)]
    distinct = {tuple(id(task.reference(name)) for task in tasks): name for name in reversed(several)}
    return [name for name in several if name in distinct.values()] or [first]


def _make_switches(references: Sequence[str]) -> tuple[Switch, ...]:
    kinds = Switch(KIND, "Training steps", (("pipeline", "with the input pipeline"), ("compute", "compute alone")))
    if len(references) < 2:
        return (kinds,)
    return (kinds, Switch(REFERENCE, "Relative to", tuple((name, name) for name in references)))


def _add_warnings(plot: ForestPlot, notes: Sequence[WarningNote]) -> ForestPlot:
    """Name the warnings of a case at its row."""
    rows = []
    for row in plot.rows:
        names = [note.name for note in notes if row.case in note.cases and note.where != "all cases"]
        rows.append(replace(row, note=f"⚠ {', '.join(names)}: see below" if names else row.note))
    return replace(plot, rows=tuple(rows))


def _list_tables(block: Block) -> list[Table]:
    inner = block.blocks if isinstance(block, When) else (block,)
    return [each for each in inner if isinstance(each, Table)]


def _drop_notes(block: Block, said: set[str]) -> Block:
    """The block without the notes of tables that an earlier task has, too."""
    if isinstance(block, When):
        return replace(block, blocks=tuple(_drop_notes(each, said) for each in block.blocks))
    if isinstance(block, Table):
        return replace(block, notes=tuple(note for note in block.notes if note not in said))
    return block


def _drop_figures(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks without figures, also within choices."""
    for block in blocks:
        if isinstance(block, When):
            if inner := tuple(_drop_figures(block.blocks)):
                yield replace(block, blocks=inner)
        elif not isinstance(block, Figure):
            yield block


def _drop_warnings(table: Table) -> Table:
    """The table without its notes about warnings, which stand at the top of the page."""
    return replace(table, notes=tuple(note for note in table.notes if not note.startswith("warning ")))


def _describe_run(record: Record) -> str:
    return describe_facts(f"Run {record.run}", str(record.about.get("time") or record.started), record.about)
