"""The contents of the site, read from the tables of docs/README.md, so that a page is listed once."""

from __future__ import annotations

import re

from site_pages import command_pages, outside_pages, reference_pages

INDEX = "README.md"
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.M)
PAGE = re.compile(r"\]\(([^)#:]+)\.md\)")
#: Pages below which the pages of a generated folder stand.
PARENTS = {"commands.md": command_pages.FOLDER, "reference.md": reference_pages.FOLDER}


def make_toctree(entries: list[str], *options: str) -> str:
    """A list of pages, as Sphinx wants it."""
    return "\n\n" + "\n".join(["```{toctree}", *options, "", *entries, "```"]) + "\n"


def make_contents(text: str, page: str) -> str:
    """The lists of pages below a page; empty for most."""
    if page == INDEX:
        trees = ""
        for heading, section in SECTION.findall(text):
            pages = [outside_pages.turn_links(f"]({name}.md)", page)[2:-4] for name in PAGE.findall(section)]
            trees += make_toctree(list(dict.fromkeys(pages)), f":caption: {heading}", ":hidden:")
        return trees
    if page in PARENTS:
        return make_toctree([f"{PARENTS[page]}/*"], ":glob:", ":maxdepth: 1")
    return ""
