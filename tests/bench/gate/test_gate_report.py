"""The files of a gate: checked before it, and afterwards no reason to lose a verdict."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bench.analysis.metrics import resolve_margins
from bench.errors import UserError
from bench.gate import baseline_comparison, gate_report, gate_run, stored_gate
from bench.gate.gate_options import GateOptions
from bench.gate.gate_progress import GateProgress
from bench.gate.gate_report import Comparison, ReportFiles
from bench.gate.judgement import judge_pairs, trace_decisions
from bench.plan.request import Request
from bench.report.live.json_events import JsonEvents
from tests.bench.example_records import record
from tests.bench.gate.test_gate import make_pair
from tests.bench.report.live.documented_events import read_documented_fields

MARGINS = resolve_margins(())
SLOWER = judge_pairs([make_pair(2.0)] * 6, MARGINS, 1, 0.01, last=True)
OPTIONS = GateOptions(against="base")
RESULTS = "20*-gate"


@pytest.fixture
def files(tmp_path, tmp_path_factory, monkeypatch) -> ReportFiles:
    """The files of a gate, each in a folder of its own; the summary of a job on GitHub is one of them."""
    for name in ("json", "markdown", "junit", "summary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path_factory.mktemp("repository"))
    monkeypatch.setattr(gate_run, "run_in_clone", lambda *_: None)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary" / "summary.md"))
    return ReportFiles(*(tmp_path / name / "gate" for name in ("json", "markdown", "junit")))


def run_gate(files: ReportFiles, undecided: str | None = None) -> int:
    return gate_run.run_gate(OPTIONS, Request(), undecided=undecided, files=files, wait=False)


@pytest.fixture
def judged(monkeypatch):
    """A gate that measures nothing: it finds one slower case, and ends by `error` if that is set."""

    def compare(options, margins, request, judgements, *_):
        judgements.append(SLOWER)
        if compare.error:
            raise compare.error
        return {}, []

    compare.error = None
    monkeypatch.setattr(gate_run, "_compare_side_by_side", compare)
    return compare


@pytest.mark.parametrize("lost", ["json", "markdown", "junit", "summary"])
def test_an_output_that_cannot_be_written_is_found_out_before_the_gate(files, judged, tmp_path, lost):
    judged.error = AssertionError("something was measured")
    shutil.rmtree(tmp_path / lost)
    with pytest.raises(UserError, match=f"cannot write {tmp_path / lost}/.*: No such file or directory: choose a "):
        run_gate(files)
    (tmp_path / lost / "gate").mkdir(parents=True)
    (tmp_path / lost / "summary.md").mkdir()
    with pytest.raises(UserError, match=f"cannot write {tmp_path / lost}/.*: it is a folder: give the name of a file"):
        run_gate(files)
    others = {path.name for path in tmp_path.iterdir()} - {lost}
    assert [path for name in others for path in (tmp_path / name).iterdir()] == [], "nothing is made"


@pytest.mark.parametrize("lost", ["json", "markdown", "junit", "summary"])
def test_an_output_that_is_lost_meanwhile_costs_neither_the_verdict_nor_the_others(
    files, judged, tmp_path, monkeypatch, capsys, lost
):
    real = gate_report.check_writable

    def check_and_lose(these: ReportFiles) -> None:
        real(these)
        shutil.rmtree(tmp_path / lost)

    monkeypatch.setattr(gate_report, "check_writable", check_and_lose)
    assert run_gate(files) == 1
    printed = capsys.readouterr()
    assert "100.0 % slower" in printed.out
    assert printed.err.startswith(f"warning: cannot write {tmp_path / lost}/")
    warning, *_, last = printed.err.splitlines()
    assert warning.endswith(": the verdict stands")
    assert last.startswith("Results: results/20")
    written = {path.parent.name: path for path in tmp_path.glob("*/*")}
    assert set(written) == {"json", "markdown", "junit", "summary"} - {lost}
    if "json" in written:
        assert json.loads(written["json"].read_text())["cases"]
    if "junit" in written:
        assert ElementTree.parse(written["junit"]).getroot().get("failures") == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("cannot compare: a later case died")])
def test_a_gate_that_is_ended_shows_the_verdicts_that_it_has(files, judged, capsys, error):
    judged.error = error
    with pytest.raises(type(error)):
        run_gate(files)
    assert "100.0 % slower" in capsys.readouterr().out
    (folder,) = Path("results").glob(RESULTS)
    gate = stored_gate.read(folder)
    assert gate.cases == (SLOWER,)
    assert gate.stopped == (str(error) or "stopped")


def test_a_gate_is_kept_and_shown_again_as_it_was(files, judged, capsys, command_line):
    assert run_gate(files) == 1
    verdict = capsys.readouterr().out
    (folder,) = Path("results").glob(RESULTS)
    assert (folder / ".gitignore").read_text() == "*\n", "it is no part of the tree that is gated next"
    shown = command_line("show")
    assert shown.status == 0
    assert shown.out.startswith("Gate of 20")
    assert "the working tree against base" in shown.out.splitlines()[0]
    assert shown.out.endswith(verdict)
    page = folder / "report.html"
    page.write_text("of an earlier version")
    assert command_line("show") == shown
    assert page.read_text() == "of an earlier version"
    page.unlink()
    assert command_line("show") == shown
    assert page.is_file(), "it was missing"
    file = folder / stored_gate.FILE
    file.write_text(file.read_text()[:-100])
    refused = command_line("show", folder)
    assert refused.status == 2
    assert "it is cut off or not JSON: run the gate again" in refused.err


def test_a_quiet_gate_prints_the_verdict_and_where_it_is(files, judged, capsys):
    gate_run.run_gate(OPTIONS, Request(), undecided=None, files=files, wait=False, progress=GateProgress(quiet=True))
    printed = capsys.readouterr()
    (verdict,) = printed.out.splitlines()
    assert "100.0 % slower" in verdict
    (path,) = printed.err.splitlines()
    assert path.startswith("Results: results/")


def test_the_events_of_a_gate_have_the_documented_fields(files, judged, capsys):
    stream = io.StringIO()
    progress = GateProgress(events=JsonEvents("gate", stream))
    progress.start_case("step", "the working tree", "base")
    progress.note_pair(judge_pairs([make_pair(2.0)], MARGINS, 1, 0.01))
    gate_run.run_gate(OPTIONS, Request(), undecided=None, files=files, wait=False, progress=progress)
    progress.note_verdict(SLOWER)
    printed = capsys.readouterr()
    assert printed.out == "", "stdout is for events"
    assert "100.0 % slower" in printed.err
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["case-started", "pair-finished", "finished", "verdict"]
    documented = read_documented_fields("gate")
    for event in events:
        assert event.keys() == documented[event["event"]], event["event"]
    assert events[1]["metrics"]["step"]["interval"] is None, "one pair has no interval"
    assert events[2]["report"]["cases"][0]["verdict"] == "slower"


def test_events_of_a_gate_are_written_to_stdout_in_place_of_a_file(command_line):
    ended = command_line("gate", "--json", "-", "--against", "HEAD", "--baseline", "main")
    assert ended.status == 2
    assert json.loads(ended.out)["event"] == "error"
    assert not Path("-").exists()


def test_results_that_cannot_be_written_cost_no_verdict(files, judged, capsys):
    Path("results").write_text("a file")
    assert run_gate(files) == 1
    printed = capsys.readouterr()
    assert "100.0 % slower" in printed.out
    assert "warning: cannot write results: it is no folder: choose another one: the verdict stands" in printed.err


def test_the_interval_closes_in_over_the_pairs_up_to_that_of_the_decision():
    pairs = [make_pair(1.0 + 0.02 * (-1) ** number) for number in range(9)]
    judgement = judge_pairs(pairs, MARGINS, 1, 0.01, last=True)
    found = trace_decisions(judgement, "step", MARGINS["step"])
    assert [one.launches for one in found] == list(range(2, 10))
    assert found[-1].high - found[-1].low < found[1].high - found[1].low
    decided = judgement.decisions["step"]
    at_decision = found[decided.launches - 2]
    assert (at_decision.low, at_decision.high) == (decided.low, decided.high)


def test_a_summary_is_appended_to_and_a_device_is_written_to(files, judged, tmp_path):
    summary = tmp_path / "summary" / "summary.md"
    summary.write_text("before\n")
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    assert gate_report.write_files(ReportFiles(json=null), Comparison("base", {}, MARGINS, 0.01), [SLOWER]) == []
    assert null.is_symlink()
    assert summary.read_text().startswith("before\n### Training speed against base")


def test_the_name_of_a_baselines_file_has_no_folder():
    options = GateOptions(baseline="/data/jane/main.json")
    assert gate_run._describe_base(options) == "baseline …/main.json"


def test_a_gate_against_a_baseline_goes_on_without_its_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(baseline_comparison, "measure_launches", lambda *values: values[5](record()) or [])
    chosen = SimpleNamespace(suite=SimpleNamespace(model_dump=lambda mode: {}), skipped={}, tasks=())
    gone = tmp_path / "gone"
    assert baseline_comparison._measure_until_decided(OPTIONS, MARGINS, chosen, {}, gone, {}, GateProgress()) == []
    assert capsys.readouterr().err.startswith(f"warning: cannot write {gone}/records/")


def test_two_pairs_show_a_change_and_no_interval():
    for launches, shown in ((1, False), (2, False), (3, True)):
        line = gate_report.format_progress(judge_pairs([make_pair(2.0)] * launches, MARGINS, 1, 0.01))
        assert ("step +100.0 %" in line) == (launches > 1)
        assert ("[" in line) == shown
