"""What every page is checked for in a browser."""

from __future__ import annotations

from pathlib import Path

from bench.report.html.page_writer import MOST_BYTES
from tests.pages.browser import Browser
from tests.pages.test_accessibility import RUN
from tests.pages.test_layout_of_pages import BAD_TEXTS, SMALL

OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
TABS = "return [...document.querySelectorAll('[role=tab]')].map((tab) => tab.id)"


def walk(browser: Browser, page: Path) -> None:
    """Open a page and each of its parts."""
    browser.open(page)
    browser.run(OPEN_ALL)
    for tab in browser.run(TABS):
        browser.run("document.getElementById(arguments[0]).click()", tab)


def check_requests(browser: Browser, page: Path) -> None:
    """Check that a page logs no error, requests nothing, and is small enough to mail."""
    walk(browser, page)
    assert browser.list_problems() == []
    assert set(browser.list_requests()) == {page.as_uri()}
    assert page.stat().st_size < MOST_BYTES


def check_layout(browser: Browser, page: Path, width: int) -> None:
    """Check that in a window of this width nothing of any part is cut off, overlaps or is tiny."""
    browser.resize(width)
    browser.open(page)
    browser.run(OPEN_ALL)
    for tab in browser.run(TABS):
        browser.run("document.getElementById(arguments[0]).click()", tab)
        assert browser.run("return document.scrollingElement.scrollWidth") <= width, tab
        assert browser.run(BAD_TEXTS) == [], tab
        assert browser.run(SMALL) == [], tab


def check_accessibility(browser: Browser, page: Path, checker: str, scheme: str) -> None:
    """Check that no part violates a rule of accessibility in light or dark colours."""
    browser.prefer(scheme)
    browser.open(page)
    browser.run(checker)
    browser.run("document.querySelectorAll('.part').forEach((part) => { part.hidden = false; })")
    browser.run(OPEN_ALL)
    assert browser.driver.execute_async_script(RUN) == []
