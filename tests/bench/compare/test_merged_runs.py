"""Merged runs: each machine keeps its own records, intervals, tables and report; other suites and tasks are refused."""

from __future__ import annotations

import shutil

import pytest

from bench.cli.app import run_command_line
from bench.compare import merged_runs
from bench.compare.stored_run import read_runs
from bench.records import store
from bench.report.run_report import read_report
from tests.bench.compare.example_runs import make_records, write_run
from tests.bench.example_records import TASK, about

FIRST, SECOND = "20260101T000000Z-quick", "20260102T000000Z-quick"
STEPS = {"pytorch": 5.0, "keras": 7.0}
OTHER = about(cpu="Xeon", cores=16)


@pytest.fixture
def results(tmp_path):
    """A folder with a run, and another one as a colleague sent it."""
    write_run(tmp_path / "results", FIRST, make_records(STEPS))
    write_run(tmp_path / "mail", SECOND, make_records({"pytorch": 1.5, "keras": 3.0}, described=OTHER))
    return tmp_path / "results"


def run(capsys, *arguments):
    status = run_command_line(list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def merge(capsys, results, *names, into="merged"):
    return run(capsys, "merge", *names, "--results", results, "--into", results / into)


def test_each_machine_keeps_its_records_tables_and_report(results, capsys):
    mail = results.parent / "mail" / SECOND
    status, out, _ = merge(capsys, results, FIRST, mail)
    assert status == 0
    assert "2 runs of 2 machines are in" in out
    merged = results / "merged"
    for source in (results / FIRST, mail):
        copy = merged / "machines" / source.name
        originals = {path.name: path.read_bytes() for path in (source / store.RECORDS).iterdir()}
        assert {path.name: path.read_bytes() for path in (copy / store.RECORDS).iterdir()} == originals
        own = [table for table in read_report(source)[0].tables if table.title.startswith("Throughput")]
        copied = [table for table in read_report(copy)[0].tables if table.title.startswith("Throughput")]
        assert own[0].rows == copied[0].rows
        assert {path.name for path in copy.iterdir()} >= {"results.csv", "tables.md", "benchmark.json", "report.html"}
    page = (merged / "report.html").read_text()
    assert page.index("A: AMD EPYC, 2 cores, 24 GiB") < page.index("B: Xeon, 16 cores, 24 GiB")
    assert page.index("keras/default, A") < page.index("keras/default, B")  # the ratios of all machines in one plot


def test_show_has_the_tables_of_each_machine_under_its_heading(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    merge(capsys, results, FIRST, results.parent / "mail" / SECOND)
    status, out, _ = run(capsys, "show", results / "merged", "--results", results)
    assert status == 0
    parts = ("A: AMD EPYC", " 802 ", "B: Xeon", " 2,672 ", "A, AMD EPYC", "B, Xeon", "in no interval of another")
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    wide = [line for line in out.splitlines() if len(line) > 80]
    assert all(line.startswith(("All tables: ", "Report: ")) for line in wide)  # they have paths
    _, full, _ = run(capsys, "show", results / "merged", "--results", results, "--full")
    assert full.count("\nMemory: ") == 2
    assert "\nMemory: " not in out


def test_a_caution_about_one_machine_stands_in_its_part(results, capsys):
    described = {**OTHER, "run": {**about()["run"], "banner": "random weights replace the real ones"}}
    cautious = write_run(results.parent / "offline", SECOND, make_records(STEPS, described=described))
    merge(capsys, results, FIRST, cautious)
    _, out, _ = run(capsys, "show", results / "merged", "--results", results)
    assert out.count("random weights replace the real ones") == 1
    assert out.index("random weights replace") > out.index("B: Xeon")
    page = (results / "merged" / "report.html").read_text()
    assert page.count("random weights replace the real ones") == 1


def test_a_merged_folder_is_in_the_list_and_can_be_compared_and_merged_again(results, capsys):
    mail = results.parent / "mail" / SECOND
    assert run(capsys, "merge", FIRST, mail, "--results", results)[0] == 0
    (merged,) = results.glob("*-quick-merged")
    _, out, _ = run(capsys, "list", "runs", "--results", results)
    assert merged.name in out
    assert "merged: 2 runs of 2 machines" in " ".join(out.split())
    status, out, _ = run(capsys, "compare", merged.name, "--results", results)
    assert status == 0
    assert "B against A, other machine" in out
    third = write_run(results, "20260103T000000Z-quick", make_records(STEPS, described=about(cpu="Third")))
    assert merge(capsys, results, merged.name, third)[0] == 0
    assert len(merged_runs.list_merged(results / "merged")) == 3
    status, _, err = run(capsys, "export", merged.name, "csv", "--results", results)
    assert status == 2
    assert "has runs of several machines: choose one of those in" in err


def test_two_runs_of_one_name_stay_two(results, capsys):
    twin = results.parent / "mail" / FIRST
    write_run(results.parent / "mail", FIRST, make_records(STEPS, described=OTHER))
    assert merge(capsys, results, FIRST, twin)[0] == 0
    assert [path.name for path in merged_runs.list_merged(results / "merged")] == [FIRST, f"{FIRST}-2"]


def test_a_run_with_a_hostile_name_stays_in_the_folder(results, capsys):
    records = [one.model_copy(update={"run": "../../<b>out"}) for one in make_records(STEPS, described=OTHER)]
    hostile = results.parent / "hostile"
    (hostile / store.RECORDS).mkdir(parents=True)
    for record in records:
        store.write_record(hostile, record)
    assert merge(capsys, results, FIRST, hostile)[0] == 0
    names = sorted(path.name for path in (results / "merged" / "machines").iterdir())
    assert names == ["00000000T000000Z-..%2F..%2F%3Cb%3Eout", FIRST]
    assert "<b>out" not in (results / "merged" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"suite": "standard"},
            "the suite quick and 20260102T000000Z-quick standard: merge runs of one suite",
        ),
        ({"task": TASK.model_copy(update={"batch_size": 8})}, "task cifar10-resnet18 differs: batch_size 4 and 8"),
        ({"task": TASK.model_copy(update={"name": "mine"})}, "task cifar10-resnet18 is only in 20260101T000000Z-quick"),
        ({"dataset_fingerprint": "x"}, "task cifar10-resnet18 has other images"),
        ({"checkpoint_hash": "x"}, "task cifar10-resnet18 has another checkpoint"),
    ],
)
def test_other_suites_and_tasks_are_refused_in_one_line(change, reason, results, capsys):
    records = [one.model_copy(update=change) for one in make_records(STEPS, described=OTHER)]
    other = write_run(results.parent / "other", SECOND, records)
    status, out, err = merge(capsys, results, FIRST, other)
    assert (status, out) == (2, "")
    assert reason in err
    assert "bench compare shows others side by side" in err
    assert err.count("\n") == 1
    assert not (results / "merged").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "a merge needs two runs or more"), ((FIRST,), "a merge needs"), ((FIRST, FIRST), "is given twice")],
)
def test_one_run_is_no_merge(names, message, results, capsys):
    status, _, err = merge(capsys, results, *names)
    assert status == 2
    assert message in err


def test_a_folder_that_is_in_use_is_left_alone(results, capsys):
    (results / "merged").mkdir()
    (results / "merged" / "mine.txt").write_text("x")
    status, _, err = merge(capsys, results, FIRST, results.parent / "mail" / SECOND)
    assert status == 2
    assert "it is there already: choose another --into" in err
    assert [path.name for path in (results / "merged").iterdir()] == ["mine.txt"]


def test_an_interrupted_merge_leaves_nothing_behind(results, monkeypatch):
    runs = read_runs([results / FIRST, results.parent / "mail" / SECOND])
    copied = []

    def fail(run, folder):
        if copied:
            raise KeyboardInterrupt
        copied.append(run)
        shutil.copytree(run.folder, folder / run.name)

    monkeypatch.setattr(merged_runs, "_copy", fail)
    with pytest.raises(KeyboardInterrupt):
        merged_runs.merge_runs(runs, results / "merged")
    assert [path.name for path in results.iterdir()] == [FIRST]


def test_a_record_that_cannot_be_read_is_named_and_left_out(results, capsys):
    mail = results.parent / "mail" / SECOND
    path = sorted((mail / store.RECORDS).iterdir())[0]
    path.write_text(path.read_text()[:100])
    status, out, _ = merge(capsys, results, FIRST, mail)
    assert status == 1
    assert f"{SECOND}: records/{path.name} is left out: it is cut off" in out
    assert not (results / "merged" / "machines" / SECOND / store.RECORDS / path.name).exists()
    assert run(capsys, "show", results / "merged", "--results", results)[0] == 0


def test_an_empty_merged_folder_is_one_line(results, capsys):
    (results / "20260105T000000Z-quick-merged" / "machines").mkdir(parents=True)
    status, _, err = run(capsys, "show", "20260105T000000Z-quick-merged", "--results", results)
    assert status == 2
    assert "has no run in machines/: merge the runs again with bench merge" in err
