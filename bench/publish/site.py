"""The site as a whole: read the results folder, make the pages that have changed, remove those of deleted runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from bench.errors import UserError
from bench.publish.atom_feed import format_feed
from bench.publish.badge import describe_result, draw_badge
from bench.publish.history_pages import History, build_history_page, group_series, list_changes
from bench.publish.index_page import build_index_page
from bench.publish.site_content import PublishedRun, read_content
from bench.publish.site_folder import INDEX, SiteFolder, open_site
from bench.records.private_paths import shorten_paths
from bench.report.html.page import Links
from bench.report.html.page_writer import render_page
from bench.report.html.run_file import format_run

#: The folders of the code that a run's page is made by: when it changes, all pages are made again.
SOURCES = ("analysis", "publish", "records", "report")


def publish_site(results: Path, folder: Path, url: str | None, console: Console) -> None:
    """Write a site over all runs and baselines of a results folder, or bring it up to date.

    Args:
        results: the results folder.
        folder: of the site.
        url: the address that the site will have; without it, the feed's links are relative.
        console: for what could not be read, and for what was written.

    Raises:
        UserError: there is nothing to publish, the folder is another site's or cannot be written, or `url` is none.
    """
    address = check_url(url)
    content = read_content(results)
    site = open_site(folder)
    problems = list(content.left_out)
    pages: dict[str, str] = {}
    for run in content.runs:
        if _try(partial(_write_run, site, run), f"run {run.name}", problems):
            pages[run.name] = run.page
    for other in content.others:
        site.write(other.page, other.report)
    changes = list_changes(content.series)
    histories = [
        history
        for history in group_series(content.series)
        if _try(partial(_write_history, site, history, pages), f"the history of {history.title}", problems)
    ]
    shown = [run for run in content.runs if run.name in pages]
    site.write("feed.xml", format_feed(site.identity, shown, changes, histories, address))
    site.write("badge.svg", draw_badge(*describe_result(shown[0] if shown else None)))
    index = build_index_page(replace(content, left_out=tuple(map(shorten_paths, problems))), pages, histories, changes)
    site.write(INDEX, render_page(index))
    removed = site.finish()
    for problem in problems:
        console.print(f"warning: {problem}", style="yellow", markup=False, soft_wrap=True)
    console.print(
        f"Runs: {len(shown)}, baselines: {len(content.baselines)}; files: {len(site.written)} written, "
        f"{len(site.now) - len(site.written)} unchanged, {len(removed)} removed.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Open: {folder / INDEX}", markup=False, highlight=False, soft_wrap=True)


def check_url(url: str | None) -> str:
    """Return an address with a slash at its end; empty without one.

    Raises:
        UserError: it is none of the web.
    """
    if url is None:
        return ""
    parts = urlsplit(url) if url.isprintable() and not set(" ?#[]") & set(url) else None
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        raise UserError(f"--url {url}: give the address of the site, as https://example.org/benchmarks/")
    return f"{url.rstrip('/')}/"


def _write_run(site: SiteFolder, run: PublishedRun) -> None:
    digest = f"{run.digest} {_compute_code_digest()}"
    if not site.is_current(run.page, digest):
        links = Links("Site", (("All runs", "../index.html"),))
        site.write(run.page, format_run(run.records, run.report.relative_to, (links,)), digest)


def _write_history(site: SiteFolder, history: History, pages: Mapping[str, str]) -> None:
    site.write(history.page, render_page(build_history_page(history, pages)))


def _try(write: Callable[[], None], what: str, problems: list[str]) -> bool:
    """Write a page; one that cannot be made is a problem, and the others are made all the same.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    try:
        write()
    except UserError:
        raise
    except Exception as error:
        problems.append(f"{what} has no page: {type(error).__name__}: {error}")
        return False
    return True


@cache
def _compute_code_digest() -> str:
    """The digest of the code that makes pages."""
    digest = hashlib.sha256()
    for name in SOURCES:
        for path in sorted((Path(__file__).parents[1] / name).rglob("*")):
            if path.suffix in (".py", ".html", ".css", ".js"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
