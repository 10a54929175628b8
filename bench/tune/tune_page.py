"""The page of a tune: what it found for each case, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.plan.tuned_variants import TunedVariant
from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Block, Heading, Notice, Page, Section, Text
from bench.report.html.result_page import build_closing, build_environment_section, format_command
from bench.tune.tune_description import advise, build_knob_table, describe_outcome
from bench.tune.tune_figures import build_outcome_plot, build_search_waterfall, build_trial_plot


def build_tune_page(tuned: Sequence[TunedVariant], about: Mapping[str, object]) -> Page:
    """Build the page of a tune.

    Args:
        tuned: what was found, at least one case.
        about: the environment, with the command in `run`.
    """
    tuned = sorted(tuned, key=lambda one: -(one.speedup or 0.0))  # the answer first: what gained most
    tasks = ", ".join(dict.fromkeys(one.task for one in tuned))
    notices = tuple(
        Notice(f"{one.backend}, {one.task}", warning.name, f"{warning.evidence}.", warning.advice)
        for one in tuned
        for warning in one.warnings
    )
    return Page(
        title=f"Tune of {tasks}",
        facts=describe_facts(f"Tune of {tasks}", tuned[0].measured, about),
        verdict=tuple(_describe(one, len(tuned) > 1) for one in tuned),
        opening=(build_outcome_plot(tuned), *notices),
        sections=(
            *(Section(f"{one.backend}, {one.task}", tuple(_build_blocks(one))) for one in tuned),
            build_environment_section(about),
        ),
        command=format_command(about),
        closing=tuple(build_closing(about)),
    )


def _describe(tuned: TunedVariant, several: bool) -> str:
    knobs = ", ".join(f"{knob} {value}" for knob, value in tuned.knobs.items())
    found = f"with {knobs}, {describe_outcome(tuned)}" if knobs else describe_outcome(tuned)
    return f"{tuned.backend}, {tuned.task}: {found}" if several else f"{found[0].upper()}{found[1:]}"


def _build_blocks(tuned: TunedVariant) -> Iterator[Block]:
    yield Text(advise(tuned))
    yield build_search_waterfall(tuned)
    if tuned.knobs:
        yield build_knob_table(tuned)
    yield build_trial_plot(tuned)
    if tuned.notes:
        yield Heading("What the search left open")
        for note in tuned.notes:
            yield Text(note, "quiet")
