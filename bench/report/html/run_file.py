"""`report.html`: a run in one file that can be mailed, opened from a disk and printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.records.record import Record
from bench.report.exporters import Report
from bench.report.html.page import Block
from bench.report.html.page_writer import MOST_BYTES, render_page
from bench.report.html.run_page import Detail, build_run_page

FILE = "report.html"

#: What a page shows, from everything to the least: the first that is not too large is taken.
DETAILS = (
    Detail(),
    Detail(dots=1000),
    Detail(dots=1000, launches=False),
    Detail(dots=1000, references=False, launches=False),
    Detail(dots=0, references=False, launches=False),
    Detail(dots=0, references=False, launches=False, figures=False),
)


def export(report: Report) -> str:
    """Format the report as a page."""
    return format_run(report.records, report.relative_to)


def format_run(records: Sequence[Record], relative_to: str | None = None, closing: tuple[Block, ...] = ()) -> str:
    """Format a run as a page of at most `MOST_BYTES`, where one of `DETAILS` is so small.

    Args:
        records: of the run, at least one.
        relative_to: the case that ratios are relative to at first; by default that of the run.
        closing: blocks at the end, before the page's own.
    """
    text = ""
    for detail in DETAILS:
        page = build_run_page(records, relative_to, detail)
        text = render_page(replace(page, closing=(*closing, *page.closing)))
        if len(text.encode(errors="replace")) <= MOST_BYTES:
            break
    return text
