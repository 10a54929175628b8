"""The documentation: every relative link and anchor resolves, every page is reached, every path in the tree exists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"
INDEX = PROJECT / "docs/README.md"
PAGES = sorted((PROJECT / "docs").glob("*.md"))
DOCUMENTS = [
    README,
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "CHANGELOG.md",
    PROJECT / "results/README.md",
    *PAGES,
]

FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2\s*$", re.S | re.M)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
#: `[text](target)` and `![text](target)`, whose text may hold another pair of brackets.
INLINE = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^\s)>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?", re.M)
#: `[text][name]`, `[name][]`.
REFERRED = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]*)\]")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.M)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.I)


class Link(NamedTuple):
    document: Path
    target: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(PROJECT)}: {self.target}"


def without_code(text: str) -> str:
    return CODE.sub("", FENCED.sub("", text))


def links(document: Path) -> Iterator[Link]:
    """The document's links that stay inside the project."""
    text = without_code(document.read_text(encoding="utf-8"))
    for target in INLINE.findall(text) + REFERENCE.findall(text):
        if not ELSEWHERE.match(target):
            yield Link(document, target)


def file_of(link: Link) -> Path:
    name = unquote(link.target.partition("#")[0])
    return (link.document.parent / name).resolve() if name else link.document


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found: Counter[str] = Counter()
    anchors = set()
    for heading in HEADING.findall(FENCED.sub("", text)):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return anchors


def problem(link: Link) -> str | None:
    file = file_of(link)
    if not file.is_relative_to(PROJECT):
        return f"{link} leads out of the project"
    if not file.exists():
        return f"{link} does not exist"
    anchor = unquote(link.target.partition("#")[2])
    if anchor and anchor not in slugs(file.read_text(encoding="utf-8")):
        return f"{link}: no such heading"
    return None


def tree(text: str) -> Iterator[str]:
    """The paths of the first `text` block: one a line, indented by four spaces for each folder above it."""
    block = re.search(r"```text\n(.*?)```", text, re.S)
    assert block, "there is no tree"
    above: list[str] = []
    for line in block.group(1).splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        above[depth:] = [line.split()[0]]
        yield "".join(above)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_resolves(document):
    assert [found for link in links(document) if (found := problem(link))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_named_reference_is_defined(document):
    text = without_code(document.read_text(encoding="utf-8"))
    defined = {name.lower() for name in re.findall(r"^ {0,3}\[([^\]]+)\]:\s", text, re.M)}
    assert {(name or label).lower() for label, name in REFERRED.findall(text)} <= defined


def test_the_readme_is_read_in_three_minutes():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 120] == []


def test_every_page_is_reached_from_the_readme_or_the_index():
    reached = {file_of(link) for document in (README, INDEX) for link in links(document)}
    assert [page.name for page in PAGES if page.resolve() not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_page_begins_with_the_question_it_answers(page):
    title, first = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert "?" in first


def test_every_path_in_the_tree_of_contributing_exists():
    paths = list(tree((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert len(paths) > 30
    assert [path for path in paths if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_path_of_the_code_that_is_named_exists(document):
    named = re.findall(r"`((?:backends|bench|tests)/[\w./-]*)`", document.read_text(encoding="utf-8"))
    assert [path for path in named if not (PROJECT / path).exists()] == []


def test_every_folder_of_the_harness_is_in_the_tree_of_contributing():
    paths = set(tree((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    folders = [path.parent.relative_to(PROJECT) for path in (PROJECT / "bench").glob("*/__init__.py")]
    assert [str(folder) for folder in folders if f"{folder.as_posix()}/" not in paths] == []


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("## What it can do", "what-it-can-do"),
        ("### `training=False` does not last in Keras 3.15", "trainingfalse-does-not-last-in-keras-315"),
        ("## Tune: find, then keep", "tune-find-then-keep"),
        ("## [Linked](page.md) words & more", "linked-words--more"),
    ],
)
def test_slugs_are_those_of_github(heading, slug):
    assert slugs(heading) == {slug}


def test_a_second_heading_of_the_same_words_is_numbered():
    assert slugs("# Same\n\n## Same\n") == {"same", "same-1"}


def test_links_in_code_are_none_and_broken_ones_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.docs.test_links.PROJECT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n\n`[code](nowhere.md)` [good](page.md#here) [out](https://example.org) [no](gone.md) [bad](#gone)\n\n"
        "```\n[fenced](nowhere.md)\n```\n\n[named]: missing.md\n"
    )
    assert [found for link in links(page) if (found := problem(link))] == [
        "page.md: gone.md does not exist",
        "page.md: #gone: no such heading",
        "page.md: missing.md does not exist",
    ]
