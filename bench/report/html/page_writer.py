"""From a page as data to its HTML: one file, whose Content-Security-Policy allows its own style and script alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.records.store import write_text
from bench.report.figures.figure import HeatMap
from bench.report.html.case_classes import CLASS_COLOURS
from bench.report.html.drawings import describe_figure, draw_figure, explain_figure
from bench.report.html.page import Page
from bench.report.html.visible_text import make_visible

#: The largest size of a page, in bytes.
MOST_BYTES = 500_000


def render_page(page: Page) -> str:
    """Render a page as HTML."""
    environment = _make_environment()
    colours = environment.get_template("colours.css").render(colours=CLASS_COLOURS)
    style = Markup(_read_source("style.css") + colours + "\n")
    script = Markup(_read_source("script.js"))
    defaults = {switch.name: switch.options[0][0] for switch in page.switches if switch.options}
    return environment.get_template("page.html").render(
        page=page,
        style=style,
        script=script,
        policy=_make_policy(style, script),
        is_default=lambda state: all(defaults.get(name, value) == value for name, value in state.items()),
        numbers=_Numbers(),
    )


def write_page(path: Path, page: Page) -> None:
    """Write a page, atomically.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    write_text(path, render_page(page))


class _Numbers:
    """Numbers of elements, for identifiers that are unique in a page."""

    def __init__(self) -> None:
        self._next: Iterator[int] = count(1)

    def take(self) -> int:
        return next(self._next)


def _make_policy(style: str, script: str) -> str:
    """The policy: nothing is loaded and nothing is sent; the style and the script are those with these checksums."""
    return (
        f"default-src 'none'; style-src '{_make_checksum(style)}'; script-src '{_make_checksum(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _make_checksum(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals.update(draw_figure=draw_figure, describe_figure=describe_figure, explain_figure=explain_figure)
    environment.tests["heatmap"] = lambda figure: isinstance(figure, HeatMap)
    # A figure and its per cent sign stay on one line.
    environment.filters["unbroken"] = lambda text: text.replace(" %", "\u00a0%")
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment


def _finalize(value: object) -> object:
    """What every expression of a template goes through before it is escaped."""
    return make_visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _read_source(name: str) -> str:
    # Browsers read line breaks as "\n", and checksums are of what they read.
    text = (Path(__file__).with_name("templates") / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")
