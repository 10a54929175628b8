"""The colour and the marker of every case: the only table of them, for pages and plots alike.

The hues of the first three backends are those of Okabe & Ito (2008, "Color Universal Design"). The other four were
searched so that people with any form of colour blindness tell all seven apart. Each has a contrast of at least 3 to
white and to the dark background of pages (WCAG 2.2, 1.4.11). A framework's colour is the same everywhere; its variants
differ in their markers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

#: The colour of a backend.
BACKEND_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "pytorch": "#d55e00",
        "tensorflow": "#0072b2",
        "keras": "#00916a",
        "jax": "#9900ee",
        "keras-jax": "#aa77ff",
        "keras-torch": "#cc0033",
        "lightning": "#6699bb",
    }
)
#: The colours of other backends, and of series that are no cases, in their order in a figure.
OTHER_COLOURS = ("#b2578f", "#9a7d0a", "#5f7f9e", "#8a6d5a", "#7a6fc0")

#: The colours of the parts of a stacked bar, after Paul Tol's scheme `muted`; in their order in a figure.
PART_COLOURS = ("#8a8f98", "#88ccee", "#44aa99", "#ddcc77", "#cc6677", "#6f7fd0", "#cc85c0", "#b5b8a0", "#a87b51")

#: Changes for the better and for the worse, and totals.
BETTER, WORSE, TOTAL = "#00916a", "#d55e00", "#8a8f98"

#: The marker of a variant: the name of a shape, which each format of a figure draws in its own way.
MARKERS: Mapping[str, str] = MappingProxyType(
    {"default": "circle", "tuned": "diamond", "matched": "square", "cached": "triangle"}
)
OTHER_MARKERS = ("cross", "square", "diamond", "triangle")


def choose_colours(cases: Iterable[str]) -> dict[str, str]:
    """The colour of each case, as `#rrggbb`.

    Args:
        cases: `backend/variant`, or any other name of a series.
    """
    colours: dict[str, str] = {}
    others: dict[str, str] = {}
    for case in cases:
        backend = case.partition("/")[0]
        if backend not in BACKEND_COLOURS and backend not in others:
            others[backend] = OTHER_COLOURS[len(others) % len(OTHER_COLOURS)]
        colours[case] = BACKEND_COLOURS.get(backend) or others[backend]
    return colours


def choose_markers(cases: Iterable[str]) -> dict[str, str]:
    """The marker of each case: the name of a shape. Cases of one backend have different ones while there are enough."""
    markers: dict[str, str] = {}
    taken: dict[str, set[str]] = {}
    for case in cases:
        if case in markers:
            continue
        backend, _, variant = case.partition("/")
        used = taken.setdefault(backend, set())
        free = [marker for marker in OTHER_MARKERS if marker not in used]
        markers[case] = MARKERS.get(variant or "default") or (free or OTHER_MARKERS)[0]
        used.add(markers[case])
    return markers
