"""Copies of the pages outside `docs/` that the documentation links, so that the site has no link out of itself."""

from __future__ import annotations

import posixpath
import re
from functools import partial
from pathlib import Path

FOLDER = "project"
LINK = re.compile(r"(?<=\]\()([^)\s#]*)(#[^)\s]*)?(?=\))")
REFERENCE = re.compile(r"(?<=\]: )([^\s#]+)(#\S*)?(?=\s|$)")
#: A copy need not be in the contents.
ORPHAN = "---\norphan: true\n---\n"
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.I)


def find_outside(target: str, page: str) -> str | None:
    """The path from the project's root of a page that a link on `page` (below `docs/`) leads to; None for others."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") or not path.endswith(".md") else path


def turn_link(match: re.Match[str], page: str) -> str:
    """The link as it is on the site."""
    target, anchor = match[1], match[2] or ""
    if not target or ELSEWHERE.match(target) or (outside := find_outside(target, page)) is None:
        return match[0]
    return posixpath.relpath(f"{FOLDER}/{outside}", posixpath.dirname(page) or ".") + anchor


def turn_links(text: str, page: str) -> str:
    """Turn the links of a page below `docs/` to pages outside into links to their copies."""
    turn = partial(turn_link, page=page)
    return REFERENCE.sub(turn, LINK.sub(turn, text))


def move_links(text: str, path: str) -> str:
    """The links of a page outside, as they are in its copy."""

    def move(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if not target or ELSEWHERE.match(target):
            return match[0]
        # The copy is in a folder of docs/, as deep below it as the original is below the project.
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        here = posixpath.dirname(posixpath.join("docs", FOLDER, path))
        return posixpath.relpath(goal, here) + anchor

    return REFERENCE.sub(move, LINK.sub(move, text))


def list_linked(text: str, page: str) -> set[str]:
    """The pages outside that a page links."""
    targets = {match[1] for pattern in (LINK, REFERENCE) for match in pattern.finditer(text) if match[1]}
    return {path for target in targets if not ELSEWHERE.match(target) and (path := find_outside(target, page))}


def make_pages(docs: Path) -> dict[str, str]:
    """The copies by file name: of all pages that are linked, and of those that these link."""
    pages: dict[str, str] = {}
    found = set().union(*(list_linked(page.read_text(encoding="utf-8"), page.name) for page in docs.glob("*.md")))
    while found:
        path = found.pop()
        copy = f"{FOLDER}/{path}"
        original = docs.parent / path
        if copy in pages or not original.is_file():
            continue
        pages[copy] = ORPHAN + move_links(original.read_text(encoding="utf-8"), path)
        found |= list_linked(pages[copy], copy)
    return pages
