"""The page of a roofline: what bounds each case and what to do, and what the time of a step goes into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Block, Notice, Page, Section, Text
from bench.report.html.result_page import build_closing, build_environment_section, format_command
from bench.roofline.roofline_figure import build_share_bars
from bench.roofline.roofline_file import StoredRoofline, StoredTask
from bench.roofline.roofline_tables import build_tables

#: What separates the two parts of a sentence of `bench.roofline.roofline_advice.advise`.
DO = ". What to do: "


def build_roofline_page(stored: StoredRoofline) -> Page:
    """Build the page of a roofline."""
    names = ", ".join(dict.fromkeys(case.step.task.name for task in stored.tasks for case in task.rooflines))
    bars = [build_share_bars(task.rooflines) for task in stored.tasks if task.rooflines]
    return Page(
        title=f"Roofline of {names or 'nothing'}",
        facts=describe_facts(f"Roofline of {names or 'nothing'}", str(stored.about.get("time", "")), stored.about),
        verdict=tuple(_list_sentences(stored.tasks)) or ("Nothing was measured that has a bound.",),
        opening=(*(one for one in bars if one), *_list_deaths(stored.tasks)),
        sections=(
            *(_build_section(task, stored) for task in stored.tasks if task.rooflines),
            build_environment_section(stored.about),
        ),
        command=format_command(stored.about),
        closing=tuple(build_closing(stored.about)),
    )


def _list_sentences(tasks: Sequence[StoredTask]) -> Iterator[str]:
    """What bounds each case, and then what to do."""
    advice = [sentence.partition(DO) for task in tasks for sentence in task.advice]
    yield from (f"{bound}." for bound, _, _ in advice)
    for bound, _, what in advice:
        case = bound.partition(" ")[0]
        yield f"{f'{case}, what to do' if len(advice) > 1 else 'What to do'}: {what}"


def _list_deaths(tasks: Sequence[StoredTask]) -> tuple[Notice, ...]:
    return tuple(
        Notice(f"{backend}/{variant}", "died", f"{reason}.")
        for task in tasks
        for backend, variant, reason in task.deaths
    )


def _build_section(task: StoredTask, stored: StoredRoofline) -> Section:
    blocks: list[Block] = [*build_tables(task.rooflines, stored.peak, stored.device != "cpu")]
    blocks += [Text(note, "warning") for note in task.notes]
    return Section(task.rooflines[0].step.task.name, tuple(blocks))
