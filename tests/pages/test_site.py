"""The pages of `bench publish` in a browser: opened from the disk, followed by their links, without a problem."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from bench.publish.site import publish_site
from tests.bench.example_records import launches
from tests.bench.stored_runs import write_history, write_run
from tests.pages.conftest import REFERENCE_RUNS
from tests.pages.test_layout_of_pages import BAD_TEXTS, SMALL

HOSTILE = "<script>window.planted=1</script>'\"><img src=x onerror=window.planted=2>"
HOSTILE_NAME = f"20260131T000000Z-{HOSTILE}#?%2e".replace("/", "_")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A site with a history, a run of another machine, one with hostile names, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("published")
    results = folder / "results"
    write_history(results, [5.0] * 6 + [6.0] * 8)
    shutil.copytree(REFERENCE_RUNS / "20261126T164841Z-quick", results / "20261126T164841Z-quick")
    changes = {"name": HOSTILE}
    strange = [
        one.model_copy(update={"task": one.task.model_copy(update=changes)})
        for one in [*launches("pytorch", 4), *launches("keras", 4, variant=HOSTILE)]
    ]
    write_run(results, HOSTILE_NAME, strange)
    broken = write_run(results, f"20260130T000000Z-{HOSTILE}".replace("/", "_"), launches("pytorch", 1))
    next((broken / "records").iterdir()).write_text("{")
    publish_site(results, folder / "site #1", None, Console(quiet=True))
    return folder / "site #1"


def test_every_page_opens_from_the_disk_without_a_request_or_a_problem(browser, site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 16 + 2
    for page in pages:
        browser.open(page)
        assert browser.list_problems() == [], page
        requests = {url for url in browser.list_requests() if not url.startswith(("data:", "about:"))}
        assert requests == {page.resolve().as_uri()}
        assert browser.run("return window.planted") is None
        assert browser.run("return document.querySelectorAll('img').length") == 0


def test_links_lead_from_the_first_page_to_every_run_and_history_and_back(browser, site):
    browser.open(site / "index.html")
    links = browser.run("return [...document.querySelectorAll('main a')].map((a) => a.href)")
    of_pages = {link for link in links if "#part" not in link}
    assert len(of_pages) == 16 + 2
    for link in sorted(of_pages):
        browser.driver.get(link)
        assert browser.run("return document.querySelectorAll('h1').length") == 1, link
        browser.run("document.querySelector('footer a').click()")
        assert browser.driver.current_url.endswith("/index.html")
    browser.run("document.querySelector('footer a[href=\"badge.svg\"]').click()")
    assert browser.run("return document.documentElement.nodeName") == "svg"


def test_names_are_text(browser, site):
    browser.open(site / "index.html")
    assert browser.run("return document.body.textContent.includes(arguments[0])", HOSTILE_NAME)
    assert browser.run("return document.scripts.length") == 1


def test_a_history_marks_the_change_between_the_runs_around_it(browser, site):
    page = next((site / "history").glob("cifar10-resnet18*.html"))
    browser.open(page)
    text = browser.run("return document.querySelector('.opening').textContent")
    assert "from run 20260106T000000Z-quick to run 20260107T000000Z-quick" in text
    marks = browser.run(
        "return [...document.querySelectorAll('.part:not([hidden]) .break')].map((b) => b.getBoundingClientRect().x)"
    )
    points = browser.run(
        "const line = document.querySelector('.part:not([hidden]) .break').parentElement;"
        "return [...line.querySelectorAll('.mark')].map((m) => m.getBoundingClientRect().x)"
    )
    assert len(marks) == 1
    assert points[5] < marks[0] < points[6]


@pytest.mark.parametrize("width", [360, 1280, 3840])
@pytest.mark.parametrize("name", ["index.html", "history"])
def test_nothing_is_cut_off_overlaps_or_is_tiny(browser, site, width, name):
    page = site / name if name.endswith(".html") else next((site / name).glob("cifar10-resnet18*.html"))
    browser.resize(width)
    browser.open(page)
    for number in range(1, 6):
        browser.run("document.querySelector(arguments[0])?.click()", f"#tab-{number}")
        assert browser.run("return document.scrollingElement.scrollWidth") <= width, number
        assert browser.run(BAD_TEXTS) == [], number
        assert browser.run(SMALL) == [], number
