"""The first page of a site: the newest verdict, the changes, and all runs, histories and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.publish.history_pages import FoundChange, History
from bench.publish.outcomes import describe_outcomes
from bench.publish.site_content import PublishedRun, SiteContent
from bench.report.html.page import Block, Links, Notice, Page, Section, Text
from bench.report.tables.table import Cell, Column, Table

#: Changes that the first screen has.
MOST_CHANGES = 3


def build_index_page(
    content: SiteContent, pages: Mapping[str, str], histories: Sequence[History], changes: Sequence[FoundChange]
) -> Page:
    """Build the first page of a site.

    Args:
        content: what the site is about.
        pages: the addresses of runs' pages, by the run's name; a run whose page could not be made has none.
        histories: those that have a page.
        changes: the permanent changes, newest first.
    """
    newest = content.runs[0] if content.runs else None
    return Page(
        title="Head-to-Head: all runs",
        facts=_count(content),
        verdict=tuple(_describe_newest(newest)) if newest else ("There is no run yet.",),
        opening=tuple(_build_opening(content, pages, changes)),
        sections=tuple(_build_sections(content, pages, histories)),
        closing=(Links("Files of this site", (("Feed", "feed.xml"), ("Badge", "badge.svg"))),),
        feed="feed.xml",
    )


def _count(content: SiteContent) -> str:
    counts = ((len(content.runs), "run"), (len(content.others), "other result"), (len(content.baselines), "baseline"))
    text = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
    return f"{text}; the newest of {content.runs[0].measured[:10]}" if content.runs else text


def _describe_newest(run: PublishedRun) -> list[str]:
    """The verdict of one task in all its sentences; of several tasks, the answer of each."""
    tasks = run.verdict.tasks
    return list(tasks[0].sentences) if len(tasks) == 1 else [f"{one.task}: {one.sentences[0]}" for one in tasks]


def _build_opening(content: SiteContent, pages: Mapping[str, str], changes: Sequence[FoundChange]) -> list[Block]:
    blocks: list[Block] = []
    newest = content.runs[0].name if content.runs else ""
    if newest in pages:
        blocks.append(Links("The newest run", ((f"The report of the newest run, {newest}", pages[newest]),)))
    for one in changes[:MOST_CHANGES]:
        since = f"{one.of.metric} of {one.of.task}, since {one.change.after.time[:10]}"
        blocks.append(Notice(one.of.backend_and_variant, one.size, f"{since}, commits {one.change.commits}."))
    if content.runs:
        blocks.append(_build_run_table(content.runs, pages))
    return blocks


def _build_run_table(runs: Sequence[PublishedRun], pages: Mapping[str, str]) -> Table:
    columns = ("run", "measured", "task", "cases", "launches", "commit", "outcome")
    return Table(
        "Runs, the newest first",
        tuple(Column(name, name == "launches") for name in columns),
        tuple(
            (
                Cell(run.name, link=pages.get(run.name, "")),
                Cell(run.measured[:16].replace("T", " ")),
                Cell(", ".join(run.state.tasks)),
                Cell(", ".join(case.removesuffix("/default") for case in run.state.cases)),
                Cell(_format_launches(run)),
                Cell(_get_revision(run)),
                Cell("\n".join(text for _, text in describe_outcomes(run))),
            )
            for run in runs
        ),
    )


def _format_launches(run: PublishedRun) -> str:
    state = run.state
    launches = (
        str(state.complete) if state.finished or state.planned is None else f"{state.complete} of {state.planned}"
    )
    return f"{launches}, {state.died} died" if state.died else launches


def _get_revision(run: PublishedRun) -> str:
    git = run.records[0].about.get("git")
    revision = git.get("revision") if isinstance(git, dict) else None
    return str(revision)[:7] if revision else "unknown"


def _build_sections(content: SiteContent, pages: Mapping[str, str], histories: Sequence[History]) -> list[Section]:
    sections = []
    if histories:
        rows = tuple(
            (
                Cell(one.series[0].task, link=one.page),
                Cell(one.series[0].machine),
                Cell(", ".join(dict.fromkeys(series.backend_and_variant for series in one.series))),
                Cell(str(len(one.runs))),
            )
            for one in histories
        )
        columns = (Column("task", False), Column("machine", False), Column("cases", False), Column("runs"))
        how = "Each task on each machine has a page with every metric over all runs, and where its level changed."
        sections.append(Section("History", (Text(how), Table("Histories", columns, rows))))
    if content.others:
        sections.append(Section("Other results", (_build_other_table(content),)))
    if content.baselines:
        sections.append(Section("Baselines", (_build_baseline_table(content, pages),)))
    if content.left_out:
        lines = tuple(Text(line, "warning") for line in content.left_out)
        sections.append(Section("Left out", (Text("This could not be read, and is not part of any figure."), *lines)))
    return sections


def _build_other_table(content: SiteContent) -> Table:
    rows = tuple((Cell(one.name, link=one.page), Cell(one.kind)) for one in content.others)
    return Table("Results of other commands", (Column("result", False), Column("command", False)), rows)


def _build_baseline_table(content: SiteContent, pages: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            Cell(name),
            Cell(one.run, link=pages.get(one.run, "")),
            Cell(one.measured[:16].replace("T", " ")),
            Cell(one.branch or "–"),
            Cell(f"{(one.revision or 'unknown')[:7]}{', changed' if one.dirty else ''}"),
            Cell(str(len(one.cases))),
            Cell(str(min(len(case.launches) for case in one.cases))),
        )
        for name, one in content.baselines.items()
    )
    columns = ("baseline", "run", "measured", "branch", "commit", "cases", "launches")
    return Table("Baselines", tuple(Column(name, name in ("cases", "launches")) for name in columns), rows)
