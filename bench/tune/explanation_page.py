"""The page of `bench explain`: the waterfall from the default to the tuned variant, and what to do with each knob."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Block, Notice, Page, Section
from bench.report.html.result_page import build_closing, build_environment_section, format_command
from bench.tune.explanation_advice import advise, describe_whole
from bench.tune.explanation_tables import build_break_even_table, build_effect_table
from bench.tune.stored_explanation import StoredExplanation
from bench.tune.tune_figures import build_knob_waterfall, build_removal_plot


def build_explanation_page(explained: Sequence[StoredExplanation]) -> Page:
    """Build the page of some explanations, at least one."""
    first = explained[0]
    cases = ", ".join(dict.fromkeys(f"{one.backend}/tuned" for one in explained))
    notices = tuple(
        Notice(f"{one.backend}/tuned", warning.name, f"{warning.evidence}.", warning.advice)
        for one in explained
        for warning in one.explanation.warnings
    )
    return Page(
        title=f"What makes {cases} fast",
        facts=describe_facts(f"Explanation of {cases}, {first.task.name}", first.measured, first.about),
        verdict=tuple(sentence for one in explained for sentence in _list_sentences(one)),
        opening=(*(build_knob_waterfall(one) for one in explained), *notices),
        sections=(
            *(Section(one.title, tuple(_build_blocks(one))) for one in explained),
            build_environment_section(first.about),
        ),
        command=format_command(first.about),
        closing=tuple(build_closing(first.about)),
    )


def _list_sentences(one: StoredExplanation) -> Iterator[str]:
    yield f"{one.title}: {describe_whole(one.explanation)}"
    yield advise(one.explanation, one.steps_in_epoch)


def _build_blocks(one: StoredExplanation) -> Iterator[Block]:
    yield build_removal_plot(one)
    yield build_effect_table(one.title, one.explanation, one.launches, one.rounds)
    yield build_break_even_table(one.title, one.explanation.start_ups, one.steps_in_epoch)
