"""The pages of `bench publish` in a browser: opened from the disk, followed by their links, without a problem."""

from __future__ import annotations

from tests.pages.conftest import HOSTILE_RUN


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
    assert browser.run("return document.body.textContent.includes(arguments[0])", HOSTILE_RUN)
    assert browser.run("return document.scripts.length") == 1


def test_a_history_marks_the_change_between_the_runs_around_it(browser, history_page):
    browser.open(history_page)
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
