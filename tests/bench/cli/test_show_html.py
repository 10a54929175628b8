"""`bench show --html`: the report of a run, made from its records alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.records import store

REFERENCE_RUNS = Path(__file__).parents[3] / "results/reference"


@pytest.fixture
def run(tmp_path):
    """A copy of the reference run that has nothing but its records."""
    made = tmp_path / "results" / store.find_run(REFERENCE_RUNS).name
    shutil.copytree(store.find_run(REFERENCE_RUNS) / "records", made / "records")
    return made


def test_the_report_is_made_from_records_alone(command_line, run):
    ended = command_line("show", "--html", "--results", run.parent)
    assert (ended.status, ended.out) == (0, f"Report: {run / 'report.html'}\n")
    assert "cifar10-lite0" in (run / "report.html").read_text(encoding="utf-8")
    # It is the one that the run itself has.
    command_line("show", run.name, "--results", run.parent)
    first = (run / "report.html").read_text(encoding="utf-8")
    command_line("show", run.name, "--html", "--results", run.parent)
    assert (run / "report.html").read_text(encoding="utf-8") == first


def test_showing_a_run_changes_none_of_its_files(command_line, run):
    whole = store.find_run(REFERENCE_RUNS)
    shutil.copytree(whole, run, dirs_exist_ok=True)
    (run / "report.html").write_text("of an earlier version")
    (run / "tables.md").unlink()
    (run / "environment.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert command_line("show", run.name, "--results", run.parent).status == 0
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    assert {path.name for path in after.keys() - before.keys()} == {"tables.md", "environment.json"}, "were missing"


def test_it_goes_where_the_user_says_with_another_reference(command_line, run, tmp_path):
    page = tmp_path / "page.html"
    ended = command_line("show", run.name, "--html", page, "--relative-to", "keras", "--results", run.parent)
    assert ended.status == 0
    text = page.read_text(encoding="utf-8")
    assert text.index("× keras/default") < text.index("× pytorch/default")
    assert not (run / "report.html").exists()


def test_an_edited_record_is_left_out_and_said(command_line, run):
    record = next((run / "records").glob("keras*"))
    record.write_text(record.read_text().replace("keras", "kerbs"))
    ended = command_line("show", "--html", "--results", run.parent)
    assert ended.status == 1
    assert f"records/{record.name} is left out" in ended.out.replace("\n", "")
    assert (run / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--html", "RUN"], "a page ends with .html; a run stands before the option: bench show RUN --html"),
        (["RUN", "--html", "--relative-to", "keras"], "the run's own report has the run's reference: use --html FILE"),
        (["RUN", "--html", "nowhere/page.html"], "cannot write"),
        (["RUN", "--html", "page.html", "--relative-to", "mxnet"], "unknown backend 'mxnet'"),
        (["20200101T000000Z-quick", "--html"], "unknown run"),
    ],
)
def test_a_mistake_is_one_line(command_line, run, arguments, line):
    named = [run.name if argument == "RUN" else argument for argument in arguments]
    ended = command_line("show", *named, "--results", run.parent)
    assert ended.status == 2
    assert line in ended.err.replace("\n", " ")
    assert len(ended.err.splitlines()) == 1


def test_a_report_that_cannot_be_written_keeps_nothing_from_being_shown(command_line, run):
    (run / "report.html").mkdir()
    ended = command_line("show", run.name, "--results", run.parent)
    assert ended.status == 0
    assert "The missing files were not written" in ended.out
    assert "At batch 32" in ended.out
    assert (run / "tables.md").is_file()
