"""The classes of cases and parts in a page's style sheet, made from the one table of colours."""

from __future__ import annotations

from bench.report.figures.case_colours import (
    BACKEND_COLOURS,
    BETTER,
    OTHER_COLOURS,
    PART_COLOURS,
    TOTAL,
    WORSE,
    choose_colours,
)

#: The colour of every class.
CLASS_COLOURS = {
    **{f"case-{name}": colour for name, colour in BACKEND_COLOURS.items()},
    **{f"case-other-{number}": colour for number, colour in enumerate(OTHER_COLOURS)},
    **{f"part-{number}": colour for number, colour in enumerate(PART_COLOURS)},
    "better": BETTER,
    "worse": WORSE,
    "total": TOTAL,
}


def choose_classes(cases: list[str]) -> dict[str, str]:
    """The class of each case."""
    names = {colour: name for name, colour in reversed(CLASS_COLOURS.items()) if name.startswith("case-")}
    return {case: names[colour] for case, colour in choose_colours(cases).items()}


def choose_part_class(number: int) -> str:
    """The class of the part with this number in a stacked bar."""
    return f"part-{number % len(PART_COLOURS)}"
