"""What readers bring along: forced colours, a size of text, keys, and spreadsheets, which compute formulas."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest

from bench.report.html.run_file import format_run
from tests.bench.example_records import launches
from tests.pages.test_layout_of_pages import BAD_TEXTS

FORMULA = "=cmd|'/c calc'!A1"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A run with a difference, with none, and with a setting whose name is a formula of spreadsheets."""
    records = [
        *launches("pytorch", 4, step_ms=5, noise=0.05),
        *launches("tensorflow", 4, step_ms=5, noise=0.05),
        *launches("keras", 4, step_ms=2),
    ]
    records = [
        one.model_copy(update={"resolved": {FORMULA: FORMULA if one.backend == "keras" else "-1.5"}}) for one in records
    ]
    path = tmp_path_factory.mktemp("readers") / "report.html"
    path.write_text(format_run(records), encoding="utf-8")
    return path


def force_colours(browser) -> None:
    features = [{"name": "forced-colors", "value": "active"}, {"name": "prefers-color-scheme", "value": "dark"}]
    browser.send("Emulation.setEmulatedMedia", media="", features=features)


def test_where_the_system_sets_the_colours_figures_and_tabs_can_be_distinguished(browser, reference_page):
    force_colours(browser)
    browser.open(reference_page)
    colour = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    swatches = (
        "return [...document.querySelectorAll('.opening figure .swatch')]"
        ".map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(browser.run(swatches))) == 3
    canvas = browser.run(colour, "body", "backgroundColor")
    tabs = "return [...document.querySelectorAll('[role=tab]')].map((tab) => getComputedStyle(tab).borderBottomColor)"
    chosen, *others = browser.run(tabs)
    assert chosen != canvas
    assert set(others) == {canvas}
    assert browser.run(colour, ".opening .mark.open", "fill") == canvas
    assert browser.run(colour, ".reference-line", "stroke") not in (canvas, "rgb(27, 30, 35)")
    browser.prefer()


def test_text_follows_the_size_that_the_reader_has_set(browser, reference_page):
    browser.open(reference_page)
    sizes = (
        "return ['p.facts', '.answer', '.tabs a', '.row-text', 'td', '.how-to-read']"
        ".map((each) => parseFloat(getComputedStyle(document.querySelector(each)).fontSize))"
    )
    before = browser.run(sizes)
    browser.run("document.documentElement.style.setProperty('font-size', '200%')")
    assert browser.run(sizes) == [2 * size for size in before]
    drawings = "return [...document.querySelectorAll('svg text.tick')].map((each) => getComputedStyle(each).fontSize)"
    assert set(browser.run(drawings)) == {"18px"}
    browser.run("document.querySelectorAll('.part').forEach((part) => { part.hidden = false; })")
    assert browser.run(BAD_TEXTS) == []
    body = "return parseFloat(getComputedStyle(document.body).fontSize)"
    assert browser.run(body) == 32
    assert browser.run("return document.scrollingElement.scrollWidth") <= 1200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dot_stands_out_from_the_page(browser, reference_page, scheme):
    browser.prefer(scheme)
    browser.open(reference_page)
    colours = browser.run(
        "const dots = [...document.querySelectorAll('.dots circle')].map((dot) => getComputedStyle(dot).stroke);"
        "return [getComputedStyle(document.body).backgroundColor, ...new Set(dots)]"
    )
    page, *dots = (compute_luminance(colour) for colour in colours)
    assert len(dots) == 3
    # WCAG 2.2, 1.4.11: graphics have a contrast of 3 : 1.
    assert min((max(page, dot) + 0.05) / (min(page, dot) + 0.05) for dot in dots) >= 3


def compute_luminance(colour: str) -> float:
    """The relative luminance of `rgb(0, 114, 178)`, as WCAG 2.2 defines it."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_link_to_the_answer_keeps_what_was_chosen(browser, reference_page):
    browser.open(reference_page, "part=4&kind=compute&theme=dark")
    browser.run("document.querySelector('.skip').focus()")
    browser.press("\ue007")
    assert browser.run("return document.activeElement.id") == "main"
    assert browser.fragment == {"part": "4", "kind": "compute", "theme": "dark"}
    assert browser.run("return document.querySelector('#part-4').checkVisibility()")


def test_a_text_with_a_figure_in_it_is_not_sorted_as_one(browser, page):
    browser.open(page)
    head = "const heads = [...document.querySelectorAll('#part-1 thead th')].filter((one) => one.checkVisibility());"
    index = browser.run(
        f"{head} const one = heads.find((each) => each.innerText.startsWith('pipeline ratio'));"
        "one.querySelector('button').click(); return one.cellIndex"
    )
    column = browser.run(
        "const table = [...document.querySelectorAll('#part-1 table')].find((one) => one.checkVisibility());"
        "return [...table.tBodies[0].rows].map((row) => row.cells[arguments[0]].textContent.trim())",
        index,
    )
    assert [float(text.split()[0]) for text in column[:-1]] == pytest.approx([2.5, 1], rel=0.1)
    assert "no difference found" in column[-1]


def test_a_name_is_no_link_in_copied_markdown(browser, page):
    browser.open(page, "part=7")
    browser.run(
        "const table = [...document.querySelectorAll('#part-7 .table')].find((one) => one.innerText.includes('=cmd'));"
        "table.querySelector('tbody th').textContent = '[a](javascript:b) | [1.0–2.0]';"
        "table.querySelector('[data-markdown]').click();"
    )
    browser.wait("return document.querySelector('.said').textContent")
    copied = browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert r"| [a\](javascript:b) \| [1.0–2.0] |" in copied


def test_a_spreadsheet_takes_no_cell_for_a_formula(browser, page, running):
    browser.open(page, "part=7")
    folder = Path(running.driver.capabilities["chrome"]["userDataDir"]).parent
    name = browser.run(
        "const table = [...document.querySelectorAll('#part-7 .table')].find((one) => one.innerText.includes('=cmd'));"
        "table.querySelector('[data-csv]').click();"
        "return document.querySelector('.said').textContent.replace(/ is downloaded$/, '')"
    )
    for _ in range(50):
        if (folder / name).is_file():
            break
        time.sleep(0.1)
    with (folder / name).open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert f"'{FORMULA}" in cells
    assert "-1.5" in cells, "a figure stays one"
    assert not any(cell.startswith("=") for cell in cells)
