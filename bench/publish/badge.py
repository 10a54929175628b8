"""The badge: an image of a line, with what the newest run decides."""

from __future__ import annotations

from markupsafe import Markup

from bench.publish.outcomes import describe_outcomes
from bench.publish.site_content import PublishedRun
from bench.report.html.svg_element import make_element

#: Pixels: height, width of a character in 11 px Verdana on average, and space beside a text.
HEIGHT, CHARACTER, SPACE = 20, 6.6, 10
#: The longest text of each half.
MOST_CHARACTERS = 40
LABEL_COLOUR, RESULT_COLOUR = "#474b52", "#1456a8"


def describe_result(run: PublishedRun | None) -> tuple[str, str]:
    """Describe the first task of a run: its name, and what is decided about it, in a few words."""
    return describe_outcomes(run)[0] if run else ("head-to-head", "no run yet")


def draw_badge(label: str, result: str) -> str:
    """Draw the badge as SVG."""
    texts = [_shorten(label), _shorten(result)]
    widths = [round(len(text) * CHARACTER + 2 * SPACE) for text in texts]
    parts = []
    for text, width, left, colour in zip(texts, widths, (0, widths[0]), (LABEL_COLOUR, RESULT_COLOUR), strict=True):
        parts.append(make_element("rect", x=left, y=0, width=width, height=HEIGHT, fill=colour))
        parts.append(
            make_element(
                "text",
                text,
                x=left + width / 2,
                y=14,
                text_anchor="middle",
                textLength=width - 2 * SPACE,
                lengthAdjust="spacingAndGlyphs",
            )
        )
    title = make_element("title", f"{texts[0]}: {texts[1]}")
    words = make_element("g", *parts, fill="#ffffff", font_family="Verdana,DejaVu Sans,sans-serif", font_size=11)
    size = {"width": sum(widths), "height": HEIGHT}
    svg = make_element("svg", title, words, xmlns="http://www.w3.org/2000/svg", role="img", **size)
    return str(Markup('<?xml version="1.0" encoding="UTF-8"?>\n') + svg) + "\n"


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
