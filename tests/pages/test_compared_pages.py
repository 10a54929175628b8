"""The pages of compared and of merged runs in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.app import run_command_line
from tests.bench.compare.example_runs import make_records, write_run
from tests.bench.example_records import about
from tests.pages.page_checks import check_accessibility, check_layout, check_requests, walk
from tests.pages.test_accessibility import checker  # noqa: F401 - a fixture
from tests.pages.test_hostile_names import HOSTILE, UNSEEN

STEPS = {"pytorch": 5.0, "tensorflow": 6.4, "keras": 7.0}
KINDS = ("compare", "merge")


def write_pages(folder: Path, cpu: str = "Intel Xeon Platinum 8480+") -> dict[str, Path]:
    """Write the pages of three runs, two of one machine and one of another, by command."""
    described = (about(), about(torch="2.10.0"), about(cpu=cpu, cores=16))
    steps = (STEPS, {**STEPS, "pytorch": 8.5}, {"pytorch": 1.5, "tensorflow": 3.0})
    for day, (each, environment) in enumerate(zip(steps, described, strict=True), 1):
        write_run(folder, f"2026010{day}T000000Z-quick", make_records(each, described=environment))
    names = [f"2026010{day}T000000Z-quick" for day in (1, 2, 3)]
    html, merged = folder / "compare.html", folder / "merged"
    assert run_command_line(["compare", *names, "--results", str(folder), "--html", str(html)]) == 0
    assert run_command_line(["merge", *names, "--results", str(folder), "--into", str(merged)]) == 0
    return {"compare": html, "merge": merged / "report.html"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("compared"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_no_error_and_requests_nothing(browser, pages, kind):
    check_requests(browser, pages[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_nothing_is_cut_off_overlaps_or_is_tiny(browser, pages, kind, width):
    check_layout(browser, pages[kind], width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_accessibility_is_violated(browser, pages, checker, kind, scheme):  # noqa: F811
    check_accessibility(browser, pages[kind], checker, scheme)


def test_a_comparison_begins_with_its_answer_and_what_differs(browser, pages):
    browser.open(pages["compare"])
    verdict = browser.run("return document.querySelector('.verdict').innerText")
    assert "B against A, same machine: slower: pytorch/default" in verdict
    opening = browser.run("return document.querySelector('.opening').innerText")
    assert opening.index("2.10.0") > opening.index("torch")
    assert browser.run("return [...document.querySelectorAll('[role=tab]')].map((tab) => tab.innerText)") == [
        "Run against run",
        "Within each run",
        "Not compared",
    ]


def test_the_kind_of_rounds_can_be_switched(browser, pages):
    shown = (
        "return [...document.querySelectorAll('.part figure .x-title')].filter((one) => one.checkVisibility())"
        ".map((one) => one.innerText)"
    )
    browser.open(pages["compare"])
    assert all(text.startswith("pipeline") for text in browser.run(shown))
    browser.run(
        "const choice = document.querySelector('select[name=kind]') || document.querySelector('.switches select');"
        "choice.value = 'compute'; choice.dispatchEvent(new Event('change', {bubbles: true}));"
    )
    titles = browser.run(shown)
    assert titles
    assert all(text.startswith("compute") for text in titles)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_stay_text(browser, tmp_path, kind):
    page = write_pages(tmp_path, f"{HOSTILE}{UNSEEN}")[kind]
    walk(browser, page)
    assert browser.run("return window.planted") is None
    assert browser.run("return document.scripts.length") == 1
    assert browser.list_problems() == []
    assert browser.run("return document.body.textContent.includes(arguments[0])", HOSTILE)
    assert not set("\u202e\u200b\x1b") & set(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_printed(browser, pages, kind):
    browser.open(pages[kind])
    assert browser.print_to_pdf().startswith(b"%PDF")
