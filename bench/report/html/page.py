"""A page as data: the answer first, then sections of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.report.figures.figure import Figure
from bench.report.tables.table import Table

Tone = Literal["plain", "quiet", "warning"]


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    level: Literal[2, 3, 4] = 3


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Command:
    """A command line that can be copied, with a label before it."""

    text: str
    label: str = "Reproduce"


@dataclass(frozen=True)
class Links:
    """Links to other pages of the same site: text and relative address; `label` is what they are together."""

    label: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Notice:
    """A warning that concerns one case: its evidence, and what to do."""

    case: str
    name: str
    evidence: str
    advice: str = ""


@dataclass(frozen=True)
class Tick:
    """A check of a case: whether it passed (None: it was not made), and its figures."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class TickRow:
    """The checks of a case, and what they prove together."""

    case: str
    outcome: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Ticks:
    """The proof of sameness as rows of ticks, one row per case."""

    title: str
    how_to_read: str
    rows: tuple[TickRow, ...]


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that unfolds them."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class When:
    """Blocks that are shown while the page's switches are set so: `{"kind": "compute"}`."""

    state: Mapping[str, str]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Switch:
    """A choice of the reader: its options, value and label, the default first. The choice is in the page's address."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """A part of a page; a tab where scripts run."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: what it is about, as the tab of a browser shows it.
        facts: one line: what was measured, when, on what, with which versions.
        verdict: sentences, the answer first.
        answers: how many of the sentences are the answer, as one for each task.
        opening: the blocks of the first screen.
        sections: the rest, in its order.
        switches: the reader's choices.
        banner: a caution about the whole page.
        command: the command line that makes the page's figures; it stands under each table.
        closing: the blocks at the end.
        feed: the relative address of the site's feed; empty without one.
    """

    title: str
    facts: str
    verdict: tuple[str, ...]
    opening: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()
    switches: tuple[Switch, ...] = ()
    banner: str = ""
    command: str = ""
    answers: int = 1
    closing: tuple[Block, ...] = ()
    feed: str = ""


Block = Heading | Text | Command | Links | Notice | Ticks | Folded | When | Table | Figure
