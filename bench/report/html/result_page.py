"""What the pages of all commands but `bench run` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.errors import UserError
from bench.machine.stored_environment import read_about
from bench.report.html import environment_blocks
from bench.report.html.environment_blocks import build_machine_blocks
from bench.report.html.page import Block, Page, Section, Text


def format_command(about: Mapping[str, object]) -> str:
    """Format the command line that made a result; empty where it is not recorded."""
    command = read_about(about, "run").get("command")
    return f"bench {command}" if command else ""


def build_environment_section(about: Mapping[str, object]) -> Section:
    """Build the section about machine and software."""
    return Section("Environment", tuple(build_machine_blocks(about)) or (Text("It is not recorded."),))


def build_closing(about: Mapping[str, object]) -> Iterator[Block]:
    """Build the blocks that say how to make a result again."""
    return environment_blocks.build_closing(about, format_command(about))


def fit_page(build: Callable[[bool], Page]) -> Page:
    """Build a page with everything; or without what is in other files too, if it would be larger than `MOST_BYTES`.

    Args:
        build: builds the page; its argument is whether to show everything.
    """
    from bench.report.html.page_writer import MOST_BYTES, render_page  # it imports the engine of templates

    page = build(True)
    return page if len(render_page(page).encode(errors="replace")) <= MOST_BYTES else build(False)


def write_or_explain(folder: Path, page: Page) -> str | None:
    """Write the page of a result into its folder; returns why that was not possible: the result stands."""
    from bench.report.html.page_writer import write_page  # it imports the engine of templates
    from bench.report.html.run_file import FILE

    try:
        write_page(folder / FILE, page)
    except UserError as error:
        return f"warning: {error}"
    return None
