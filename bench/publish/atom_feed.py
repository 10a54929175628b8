"""The Atom feed of a site (RFC 4287): an entry for each run and each permanent change."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from bench.publish.history_pages import FoundChange, History
from bench.publish.site_content import PublishedRun
from bench.report.html.visible_text import make_visible

ATOM = "http://www.w3.org/2005/Atom"
#: The namespace of the identifiers: they are made of names (RFC 4122, version 5), and need no host.
NAMESPACE = uuid.UUID("6f1d1c1e-52a5-5b0c-9d6e-6d0c6c7a6a11")
#: The most entries of a feed, the newest.
MOST_ENTRIES = 50


def format_feed(
    identity: str, runs: Sequence[PublishedRun], changes: Sequence[FoundChange], histories: Sequence[History], url: str
) -> str:
    """Format the feed.

    Args:
        identity: of the site; it stays when the site is written again.
        runs: of the site.
        changes: the permanent changes in their figures.
        histories: all histories of the site.
        url: the address of the site, with a slash at its end; empty for relative links.
    """
    entries = [
        (
            _read_time(run.measured),
            f"run {run.name} {run.measured}",
            f"Run {run.name}: {', '.join(run.state.tasks)}",
            run.verdict.text,
            run.page,
        )
        for run in runs
    ]
    pages = {one: history.page for history in histories for one in history.series}
    for one in changes:
        subject = f"change {one.of.case} {one.of.task_hash} {one.of.metric} {one.of.key} {one.change.after.run}"
        title = f"{one.of.case}, {one.of.metric}: {one.size}"
        entries.append((_read_time(one.change.after.time), subject, title, one.sentence, pages[one.of]))
    entries = sorted(entries, reverse=True)[:MOST_ENTRIES]
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(feed, "id", f"urn:uuid:{identity}")
    _add(feed, "title", "Head-to-Head: runs and changes")
    _add(feed, "updated", max((entry[0] for entry in entries), default=datetime(1970, 1, 1, tzinfo=UTC)).isoformat())
    _add(_add(feed, "author"), "name", "Head-to-Head")
    _add(feed, "link", rel="alternate", type="text/html", href=f"{url}index.html")
    if url:
        _add(feed, "link", rel="self", type="application/atom+xml", href=f"{url}feed.xml")
    for time, subject, title, summary, page in entries:
        entry = _add(feed, "entry")
        _add(entry, "id", f"urn:uuid:{uuid.uuid5(NAMESPACE, f'{identity} {make_visible(subject)}')}")
        _add(entry, "title", title)
        _add(entry, "updated", time.isoformat())
        _add(entry, "link", rel="alternate", type="text/html", href=f"{url}{page}")
        _add(entry, "summary", summary)
    ElementTree.indent(feed)
    text = ElementTree.tostring(feed, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    element.text = make_visible(text) or None
    return element


def _read_time(text: str) -> datetime:
    """Read a time of a record; one without a zone is UTC, one that is none is the beginning of time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
