"""Commands in real processes, whose steps do arithmetic, and the reports that they leave, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.machine.environment import choose_threads, describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.plan import tuned_variants
from bench.plan.prepared_task import override_task
from bench.plan.tuned_variants import TunedVariant
from tests.bench.gate.conftest import pristine, project  # noqa: F401 - fixtures
from tests.bench.gate.test_gate import COARSE, STEP, gate, replace_in_file
from tests.bench.processes import Bench, suite_file
from tests.bench.sweep.test_sweep import command, weights  # noqa: F401 - fixtures
from tests.pages.page_checks import walk
from tests.pages.test_result_pages import read_verdict

pytestmark = pytest.mark.slow


def open_report(browser, results: Path) -> Path:
    """Open the only report in a folder of results, and each of its parts."""
    (report,) = results.glob("*/report.html")
    walk(browser, report)
    assert browser.list_problems() == []
    assert set(browser.list_requests()) == {report.as_uri()}
    return report


def test_a_gate_leaves_a_report_with_its_verdict(browser, project):  # noqa: F811
    replace_in_file(project, STEP, f"        time.sleep(0.002)\n{STEP}")
    with gate(project, *COARSE) as bench:
        assert bench.end() == 1, bench.stderr[-2000:]
    report = open_report(browser, project / "results")
    assert f"Results: results/{report.parent.name}" in bench.stderr
    assert read_verdict(browser).startswith("Worse than base.")
    assert "% slower" in read_verdict(browser)
    assert browser.run("return document.querySelectorAll('.part svg .interval').length") > 0


def test_a_sweep_leaves_a_report_with_its_best(browser, tmp_path, command):  # noqa: F811
    more = ("--batch-size", "16,32", "--backend", "keras", "--target", "0.2")
    with Bench(*command, *more, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr[-2000:]
    open_report(browser, tmp_path / "results")
    verdict = read_verdict(browser)
    assert verdict.partition("\n")[0] in " ".join(bench.stdout.split())
    assert browser.run("return document.querySelectorAll('.opening .target').length") == 1
    assert browser.run("return document.querySelectorAll('table.heat').length") == 2


def test_a_roofline_leaves_a_report_with_what_to_do(browser, tmp_path):
    arguments = ("--suite", suite_file(tmp_path), "--launches", 1, "--rounds", 2, "--backend", "keras")
    with Bench("roofline", *arguments, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr[-2000:]
    open_report(browser, tmp_path / "results")
    assert read_verdict(browser).startswith("keras/default is bound by ")
    assert "What to do: " in read_verdict(browser)


@pytest.mark.thorough
def test_an_explanation_leaves_a_report_with_a_waterfall(browser, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HEADTOHEAD_HOME", str(home))
    changed = {"weights": "random", "dataset": "digits", "train_limit": 64, "epochs": 1}
    task, _ = override_task("cifar10-resnet18", changed)
    about = make_fingerprint(describe_environment())
    tuned = TunedVariant(
        backend="keras",
        task=task.name,
        task_hash=task.hash,
        device="cpu",
        threads=choose_threads(os.environ).number,
        measured="2026-11-27T12:00:00+00:00",
        machine=dict(about["machine"]),
        versions=dict(about["versions"]),
        knobs={"folding": "conv_bn", "execution": "eager"},
        speedup=1.5,
        low=1.4,
        high=1.6,
        proof="proven",
        history=(),
    )
    tuned_variants.save(tuned)
    with Bench("explain", "--suite", suite_file(tmp_path), "--backend", "keras", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr[-2000:]
    report = open_report(browser, tmp_path / "results")
    names = browser.run("return [...document.querySelectorAll('.opening .row .name')].map((one) => one.innerText)")
    assert names == ["default", "folding conv_bn", "execution eager", "tuned"]
    assert "What to do: " in read_verdict(browser)
    (plot,) = report.parent.glob("*.png")
    assert plot.read_bytes().startswith(b"\x89PNG")
