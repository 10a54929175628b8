"""The classes of cases and parts in a page's style sheet, made from the one table of colours."""

from __future__ import annotations

import re

from bench.report.figures.case_colours import (
    BACKEND_COLOURS,
    BETTER,
    OTHER_COLOURS,
    PART_COLOURS,
    TOTAL,
    WORSE,
    choose_colours,
)

_COLOURS = {
    **{f"case-{name}": colour for name, colour in BACKEND_COLOURS.items()},
    **{f"case-other-{number}": colour for number, colour in enumerate(OTHER_COLOURS)},
    **{f"part-{number}": colour for number, colour in enumerate(PART_COLOURS)},
    "better": BETTER,
    "worse": WORSE,
    "total": TOTAL,
}


def choose_classes(cases: list[str]) -> dict[str, str]:
    """The class of each case."""
    names = {colour: name for name, colour in reversed(_COLOURS.items()) if name.startswith("case-")}
    return {case: names[colour] for case, colour in choose_colours(cases).items()}


def choose_part_class(number: int) -> str:
    """The class of the part with this number in a stacked bar."""
    return f"part-{number % len(PART_COLOURS)}"


def make_rules() -> str:
    """The rules that give each class its colour."""
    return "\n".join(f".{_check(name)} {{ --colour: {colour}; }}" for name, colour in _COLOURS.items())


def _check(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"{name!r} is no class of CSS")
    return name
