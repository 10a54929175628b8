"""The pages of sweeps, gates, tunes, explanations and rooflines in a real browser."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from bench.cli.stored_results import read_page
from bench.gate.gate_page import build_gate_page
from bench.gate.stored_gate import StoredGate
from bench.plan.task_table import TASKS
from bench.report.html.page_writer import MOST_BYTES, render_page
from bench.sweep.sweep_page import build_sweep_page
from bench.sweep.sweep_record import Epoch
from tests.bench.sweep.test_sweep import make_record
from tests.pages.example_results import (
    MAKERS,
    MARGINS,
    make_explanation,
    make_gate,
    make_judgement,
    make_sweep,
    make_tune,
)
from tests.pages.page_checks import check_accessibility, check_layout, check_requests, walk
from tests.pages.test_accessibility import checker  # noqa: F401 - a fixture
from tests.pages.test_hostile_names import HOSTILE, UNSEEN

KINDS = tuple(MAKERS)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The reports as `bench show --html` makes them, by command."""
    found = {}
    for kind, make in MAKERS.items():
        folder = make(tmp_path_factory.mktemp(kind))
        page, problems = read_page(kind, folder)
        assert problems == []
        found[kind] = folder / "report.html"
        found[kind].write_text(render_page(page), encoding="utf-8")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_no_error_and_requests_nothing(browser, pages, kind):
    check_requests(browser, pages[kind])
    assert browser.run("return document.querySelectorAll('.opening figure').length") >= 1
    assert browser.run("return document.querySelector('h1').innerText")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_nothing_is_cut_off_overlaps_or_is_tiny(browser, pages, kind, width):
    check_layout(browser, pages[kind], width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_accessibility_is_violated(browser, pages, checker, kind, scheme):  # noqa: F811
    check_accessibility(browser, pages[kind], checker, scheme)


def read_verdict(browser) -> str:
    return browser.run("return document.querySelector('.verdict').innerText").removeprefix("The answer").strip()


def test_a_gates_page_begins_with_what_got_worse_and_folds_what_did_not(browser, pages):
    browser.open(pages["gate"])
    assert read_verdict(browser).startswith("Worse than origin/main in 1 of 2 cases.")
    rows = browser.run("return [...document.querySelectorAll('.opening .row .name')].map((each) => each.innerText)")
    assert rows[:2] == ["pipeline, pytorch/default cifar10-resnet18", "compute, pytorch/default cifar10-resnet18"]
    folded = browser.run("return [...document.querySelectorAll('details > summary')].map((each) => each.innerText)")
    assert any(text.endswith("metrics: no change that matters") for text in folded)
    shown = browser.run(
        "return [...document.querySelectorAll('.part figcaption')].filter((one) => one.checkVisibility())"
        ".map((one) => one.innerText)"
    )
    assert shown
    assert all("pytorch/default" in title for title in shown), "what did not change is not shown"


def test_a_sweeps_page_shows_the_target_and_the_best_cell(browser, pages):
    browser.open(pages["sweep"])
    assert read_verdict(browser).startswith("Best of 12 fine-tunes: ")
    assert browser.run("return document.querySelectorAll('.opening .target').length") == 1
    best = browser.run("return [...document.querySelectorAll('td.best')].map((one) => one.textContent)")
    assert best
    assert all(text.startswith("★") for text in best)
    assert "9 % of the CPU" in browser.run("return document.querySelector('.opening .notice').innerText")


def test_a_waterfall_ends_where_tuned_begins(browser, pages):
    browser.open(pages["explain"])
    bars = browser.run(
        "return [...document.querySelectorAll('.opening .row')].map((row) => {"
        "const bar = row.querySelector('rect').getBoundingClientRect();"
        "return [row.querySelector('.name').innerText, bar.left, bar.right]; })"
    )
    names = [name for name, *_ in bars]
    assert names == ["default", "precision bf16", "execution compiled", "layout nhwc", "folding conv_bn", "tuned"]
    for (_, _, right), (_, left, _) in pairwise(bars[:4]):
        assert left == pytest.approx(right, abs=1)
    assert bars[4][1] == pytest.approx(bars[5][2], abs=1), "the last knob makes it slower: its bar ends at its left"


def test_hostile_names_stay_text(browser, tmp_path):
    name = f"{HOSTILE}{UNSEEN}"
    folders = {
        "gate": make_gate(tmp_path / "a", against=name, note=name),
        "sweep": make_sweep(tmp_path / "b", model=name),
        "tune": make_tune(tmp_path / "c", note=name),
        "explain": make_explanation(tmp_path / "d", {"precision": "bf16", "layout": "nhwc"}, dead=("nhwc",)),
    }
    for kind, folder in folders.items():
        page, _ = read_page(kind, folder)
        path = folder / "a <b>.html"
        path.write_text(render_page(page), encoding="utf-8")
        walk(browser, path)
        assert browser.run("return window.planted") is None
        assert browser.run("return document.scripts.length") == 1
        assert browser.list_problems() == []
        if kind != "explain":
            assert browser.run("return document.body.textContent.includes(arguments[0])", HOSTILE), kind
            assert not set("\u202e\u200b\x1b") & set(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_printed(browser, pages, kind):
    browser.open(pages[kind])
    assert browser.print_to_pdf().startswith(b"%PDF")


def test_a_page_of_a_very_large_result_is_small_enough_and_says_what_it_leaves_out():
    values = [(rate, seed) for rate in (0.001, 0.01, 0.1) for seed in range(100)]
    epochs = tuple(Epoch(train_loss=1 / at, correct=9 * at, train_s=1.5 * at) for at in range(1, 11))
    records = [
        make_record(number, epochs=epochs, task=task, task_hash=task.hash)
        for number, (rate, seed) in enumerate(values, start=1)
        for task in [TASKS["embedded"].model_copy(update={"learning_rate": rate, "seed": seed})]
    ]
    text = render_page(build_sweep_page(records, ("learning_rate", "seed"), 0.5, {}))
    assert len(text.encode()) <= MOST_BYTES
    assert "the first 200 of 300 fine-tunes: all are in summary.csv" in text
    assert "sweep.csv has every epoch" in text
    whole = render_page(build_sweep_page(records[:30], ("learning_rate", "seed"), 0.5, {}))
    assert "sweep.csv" not in whole
    judgements = [make_judgement(f"pytorch/default task-{number}", 1.0, 40, number) for number in range(40)]
    gate = StoredGate(
        started="2026-11-27T12:00:00", about={}, against="base", details={}, margins=MARGINS, alpha=0.01, notes=(),
        cases=tuple(judgements),
    )  # fmt: skip
    assert len(render_page(build_gate_page(gate)).encode()) <= MOST_BYTES
