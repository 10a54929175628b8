"""The report of a run in a real browser, as a reader uses it: opened from a disk, by mouse and by keyboard."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from tests.pages.browser import Browser, start_browser

SHOWN = "return [...document.querySelectorAll('.part')].filter((part) => !part.hidden).map((part) => part.id)"
KEYS = {"enter": "\ue007", "right": "\ue014", "left": "\ue012", "end": "\ue010"}


@pytest.mark.parametrize("page", ["reference_page", "mixed_page"])
def test_nothing_is_requested_and_the_console_stays_empty(browser, request, page):
    path: Path = request.getfixturevalue(page)
    browser.open(path)
    assert browser.run("return document.querySelector('.answer').textContent.length") > 20
    for number in range(1, browser.run("return document.querySelectorAll('.tabs a').length") + 1):
        browser.run("document.querySelector(arguments[0]).click()", f"#tab-{number}")
    assert browser.list_problems() == []
    assert {url for url in browser.list_requests() if not url.startswith(("about:", "data:"))} == {
        path.resolve().as_uri()
    }


def test_the_policy_keeps_a_foreign_script_and_a_request_out(browser, reference_page, tmp_path):
    planted = "<script>window.planted = 1</script><img src='https://example.com/x.png' onerror='window.planted = 2'>"
    path = tmp_path / "planted.html"
    path.write_text(reference_page.read_text().replace("</main>", f"{planted}</main>"))
    browser.open(path)
    assert browser.run("return window.planted") is None
    assert len(browser.list_problems()) >= 2
    assert not any("example.com" in url for url in browser.list_requests() if url.startswith("http"))


def test_without_script_it_is_one_long_page(reference_page, tmp_path):
    with start_browser(tmp_path, scripts=False) as plain:
        plain.open(reference_page)
        plain.send("Emulation.setScriptExecutionDisabled", value=False)
        assert len(plain.run(SHOWN)) == 8
        assert not plain.run("return document.querySelector('.switches').checkVisibility()")
        # A link of the contents leads to its part.
        assert plain.run("return document.querySelector('.tabs a').getAttribute('href')") == "#part-1"
        visible = "return [...document.querySelectorAll('figure')].filter((figure) => figure.checkVisibility()).length"
        assert plain.run(visible) >= 9


def test_tabs_follow_mouse_and_keys_and_the_address_brings_them_back(browser, reference_page):
    browser.open(reference_page)
    assert browser.run(SHOWN) == ["part-1"]
    browser.run("document.querySelector('#tab-4').click()")
    assert browser.run(SHOWN) == ["part-4"]
    assert browser.fragment == {"part": "4"}
    browser.run("document.querySelector('#tab-4').focus()")
    browser.press(KEYS["right"])
    assert browser.run(SHOWN) == ["part-5"]
    assert browser.run("return document.activeElement.id") == "tab-5"
    browser.press(KEYS["end"], KEYS["right"])
    assert browser.run(SHOWN) == ["part-1"]
    browser.driver.back()
    browser.wait("return document.querySelector('#part-8').checkVisibility()")
    assert browser.run(SHOWN) == ["part-8"]
    browser.open(reference_page, "part=3")
    assert browser.run(SHOWN) == ["part-3"]
    browser.open(reference_page, "part-6")  # the address that the page has without script
    assert browser.run(SHOWN) == ["part-6"]
    assert browser.run("return document.querySelectorAll('[role=tab][aria-selected=true]').length") == 1


@pytest.mark.parametrize(
    "address", ["part=99", "part=x", "kind=neither", "sort=1.99.up", "sort=x", "nothing", "%E0%A4"]
)
def test_an_address_that_means_nothing_shows_the_page_as_it_is(browser, reference_page, address):
    browser.open(reference_page, address)
    assert len(browser.run(SHOWN)) == 1
    assert browser.run("return document.querySelectorAll('.opening figure figcaption')[0].textContent")
    assert browser.list_problems() == []


def choose(browser: Browser, switch: str, value: str) -> None:
    browser.run(
        "const select = document.querySelector(`[data-switch=${arguments[0]}]`); select.value = arguments[1];"
        "select.dispatchEvent(new Event('change'))",
        switch,
        value,
    )


def read_forest(browser: Browser) -> str:
    return str(
        browser.run(
            "return [...document.querySelectorAll('.opening figure')].find((one) => one.checkVisibility()).innerText"
        )
    )


def test_the_switches_change_reference_and_kind_and_stay_in_the_address(browser, reference_page):
    browser.open(reference_page)
    assert "× pytorch/default" in read_forest(browser)
    assert "pipeline throughput" in read_forest(browser)
    choose(browser, "reference", "keras")
    choose(browser, "kind", "compute")
    assert "× keras/default" in read_forest(browser)
    assert "compute throughput" in read_forest(browser)
    assert browser.fragment == {"reference": "keras", "kind": "compute"}
    shown = browser.run("return document.querySelector('#part-1').innerText")
    assert "ratio to keras/default" in shown
    assert "ratio to pytorch/default" not in shown
    browser.open(reference_page, "reference=tensorflow&kind=compute")
    assert "× tensorflow/default" in read_forest(browser)
    assert browser.run("return document.querySelector('[data-switch=kind]').value") == "compute"


def test_the_theme_follows_the_system_until_the_reader_chooses(browser, reference_page):
    background = "return getComputedStyle(document.body).backgroundColor"
    browser.prefer("dark")
    browser.open(reference_page)
    assert browser.run(background) == "rgb(20, 22, 26)"
    choose(browser, "theme", "light")
    assert browser.run(background) == "rgb(255, 255, 255)"
    assert browser.fragment == {"theme": "light"}
    browser.prefer("light")
    choose(browser, "theme", "dark")
    assert browser.run(background) == "rgb(20, 22, 26)"


def test_a_table_is_sorted_by_keyboard_and_the_order_is_in_the_address(browser, reference_page):
    browser.open(reference_page, "part=2")
    column = "return [...document.querySelectorAll('#part-2 tbody tr')].map((row) => row.cells[1].textContent)"
    unsorted = browser.run(column)
    browser.run("document.querySelectorAll('#part-2 thead button')[1].focus()")
    browser.press(KEYS["enter"])
    falling = browser.run(column)
    assert falling == sorted(unsorted, key=float, reverse=True)
    assert browser.run("return document.querySelectorAll('#part-2 th')[1].getAttribute('aria-sort')") == "descending"
    browser.press(KEYS["enter"])
    assert browser.run(column) == falling[::-1]
    address = browser.run("return location.hash.slice(1)")
    browser.press(KEYS["enter"])
    assert browser.run(column) == unsorted
    browser.open(reference_page, address)
    assert browser.run(column) == falling[::-1]


def test_a_table_is_copied_as_markdown(browser, reference_page):
    browser.open(reference_page, "part=2")
    browser.run("document.querySelector('#part-2 [data-markdown]').click()")
    browser.wait("return document.querySelector('.said').textContent")
    copied = browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])").splitlines()
    assert copied[0].startswith("| case | wall s |")
    assert copied[1].startswith("| --- | ---: |")
    assert len(copied) == 5
    assert browser.run("return document.querySelector('.said').textContent") == "Copied"


def test_a_table_is_downloaded_as_csv(browser, reference_page, running):
    browser.open(reference_page, "part=6")
    folder = Path(running.driver.capabilities["chrome"]["userDataDir"]).parent
    browser.run("document.querySelector('#part-6 [data-csv]').click()")
    name = "parity-cifar10-lite0.csv"
    for _ in range(50):
        if (folder / name).is_file():
            break
        time.sleep(0.1)
    with (folder / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["check", "tolerance", "pytorch/default", "tensorflow/default", "keras/default"]
    assert ["frozen, statistics", "0", "0", "0", "0"] in rows
    assert all(len(row) == 5 for row in rows)


def test_all_of_it_is_printed(browser, mixed_page):
    browser.prefer("dark", media="print")
    browser.open(mixed_page)
    hidden = "return [...document.querySelectorAll('.part')].filter((part) => !part.checkVisibility()).length"
    assert browser.run(hidden) == 0
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not browser.run("return document.querySelector('.switches').checkVisibility()")
    assert browser.print_to_pdf().startswith(b"%PDF")


def test_warnings_and_ticks_stand_at_their_case(browser, mixed_page):
    browser.open(mixed_page)
    notices = browser.run("return [...document.querySelectorAll('.opening .notice')].map((one) => one.innerText)")
    assert any(one.startswith("tensorflow/default: unsteady-rounds.") for one in notices)
    rows = browser.run("return [...document.querySelectorAll('.opening .row')].map((one) => one.innerText)")
    assert any("tensorflow/default" in row and "⚠ unsteady-rounds" in row for row in rows)
    assert any("keras/default" in row and "not comparable" in row for row in rows)
    failed = browser.run("return [...document.querySelectorAll('.opening li.failed')].map((one) => one.textContent)")
    assert failed
    assert all("first_step: failed" in one for one in failed)
