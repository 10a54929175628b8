"""Runs on disk: records are read as they were written, and damaged files are named."""

from __future__ import annotations

import errno
import json
import math
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bench.cli.run_list import list_runs
from bench.errors import UserError
from bench.records import store
from bench.records.checksummed_json import compute_checksum
from bench.records.record import SCHEMA
from tests.bench.example_records import launches, record

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def run(tmp_path):
    return store.create_run(tmp_path / "results", "quick", NOW)


def test_a_run_is_named_by_utc_and_suite_and_never_overwritten(tmp_path):
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    names = [store.create_run(tmp_path, suite, elsewhere).name for suite in ("quick", "quick", "my suites/own.toml")]
    assert names == ["20260102T030405Z-quick", "20260102T030405Z-quick-2", "20260102T030405Z-own"]


def test_records_are_read_as_they_were_written(run):
    made = [*launches("pytorch", 11), *launches("keras", 1)]
    for each in made:
        store.write_record(run, each)

    records, problems = store.read_records(run)

    assert problems == []
    assert [(r.backend, r.launch) for r in records] == [("keras", 0), *(("pytorch", n) for n in range(11))]
    assert sorted(records, key=lambda r: r.launch) == sorted(made, key=lambda r: (r.launch, r.case))
    assert not [p for p in (run / "records").iterdir() if p.suffix != ".json"], "nothing unfinished is left"


def test_a_loss_that_is_not_finite_is_read_as_it_was_written(run):
    tune = record().fine_tunes[0].model_copy(update={"train_loss": (math.inf, math.nan)})
    store.write_record(run, record().model_copy(update={"fine_tunes": (tune,)}))
    loss = store.read_records(run)[0][0].fine_tunes[0].train_loss
    assert loss[0] == math.inf
    assert math.isnan(loss[1])


def test_a_record_that_is_cut_off_edited_or_newer_is_named_and_left_out(run):
    paths = [store.write_record(run, each) for each in launches("pytorch", 4)]
    paths[0].write_bytes(paths[0].read_bytes()[:-50])
    paths[1].write_text(paths[1].read_text().replace('"suite": "quick"', '"suite": "other"'))
    newer = record(launch=2).model_copy(update={"schema_version": SCHEMA + 1})
    assert store.write_record(run, newer) == paths[2]
    (run / "records" / "list.json").write_text("[]")
    (run / "records" / "bytes.json").write_bytes(b"\xff\xfe")

    records, problems = store.read_records(run)

    assert [r.launch for r in records] == [3]
    assert len(problems) == 5
    for path, reason in zip(
        paths, ("cut off", "checksum", f"schema {SCHEMA + 1} is newer than the {SCHEMA}"), strict=False
    ):
        assert [p for p in problems if path.name in p and reason in p], (path.name, reason, problems)


def test_a_record_that_cannot_be_opened_is_named_with_what_to_do(run):
    (run / "records" / "folder-0.json").mkdir()
    reason = "it cannot be opened (Is a directory): ask for access, or copy it"
    assert store.read_records(run) == ([], [f"records/folder-0.json is left out: {reason}"])
    assert "unreadable: no access" in list_runs(run.parent)[0][-1]


@pytest.mark.parametrize(
    ("facts", "left"), [(["x"], {}), ({"run": ["x"]}, {}), ({"banner": 9, "command": "run"}, {"command": "run"})]
)
def test_facts_about_a_run_that_are_of_another_shape_are_not_known(run, facts, left):
    path = store.write_record(run, record())
    content = json.loads(path.read_text())["record"]
    content["about"] = {"run": facts}
    path.write_text(json.dumps({"sha256": compute_checksum(content), "record": content}))
    (found,), problems = store.read_records(run)
    assert problems == []
    assert {name: one for name, one in found.about.get("run", {}).items() if name != "run"} == left


def test_escape_sequences_in_a_record_do_not_reach_the_terminal(run):
    hostile = record().task.model_copy(update={"name": "\x1b[2J\x1b]0;title\x07mine"})
    store.write_record(run, record().model_copy(update={"task": hostile}))
    (found,), problems = store.read_records(run)
    assert (found.task.name, problems) == ("mine", [])


def test_a_record_that_is_nested_without_end_is_named_and_left_out(run):
    (run / "records" / "deep-0.json").write_text("[" * 100_000)
    assert store.read_records(run) == ([], ["records/deep-0.json is left out: it is cut off or not JSON"])


def test_a_record_of_the_right_schema_number_and_the_wrong_shape_is_named(run):
    path = store.write_record(run, record())
    content = json.loads(path.read_text())["record"]
    del content["backend"]
    path.write_text(json.dumps({"sha256": compute_checksum(content), "record": content}))
    records, problems = store.read_records(run)
    assert records == []
    assert "does not fit the schema: backend: Field required" in problems[0]


@pytest.mark.parametrize(
    ("part", "changes", "where"),
    [
        ("pipeline", {"seconds": [0.1, 0.0]}, "pipeline.seconds.1"),
        ("pipeline", {"seconds": [-0.1]}, "pipeline.seconds.0"),
        ("compute", {"seconds": [math.nan]}, "compute.seconds.0"),
        ("compute", {"seconds": [math.inf]}, "compute.seconds.0"),
        ("pipeline", {"seconds": []}, "pipeline.seconds"),
        ("loader", {"images": 0}, "loader.images"),
        ("pipeline", {"steps": 0}, "pipeline.steps"),
        ("start_up", {"import_s": math.inf}, "start_up.import_s"),
    ],
)
def test_a_record_with_a_figure_that_cannot_be_is_named_and_left_out(run, part, changes, where):
    path = store.write_record(run, record())
    content = json.loads(path.read_text())["record"]
    content[part] |= changes
    path.write_text(json.dumps({"sha256": compute_checksum(content), "record": content}))
    records, problems = store.read_records(run)
    assert records == []
    assert f"does not fit the schema: {where}" in problems[0]


@pytest.mark.parametrize("changes", [{"seconds": math.nan}, {"elapsed_s": math.inf}, {"train_loss": []}])
def test_a_record_with_a_fine_tune_that_cannot_be_is_left_out(run, changes):
    path = store.write_record(run, record())
    content = json.loads(path.read_text())["record"]
    content["fine_tunes"][0] |= changes
    path.write_text(json.dumps({"sha256": compute_checksum(content), "record": content}))
    records, problems = store.read_records(run)
    assert records == []
    assert f"does not fit the schema: fine_tunes.0.{next(iter(changes))}" in problems[0]


def test_runs_are_listed_oldest_first_and_found_by_name_path_or_age(tmp_path):
    made = [store.create_run(tmp_path, "quick", NOW) for _ in range(11)]
    made.append(store.create_run(tmp_path, "all", NOW + timedelta(seconds=1)))
    (tmp_path / "baselines").mkdir()
    (tmp_path / "20260102T030405Z-no-records").mkdir()

    assert store.list_runs(tmp_path) == made
    assert store.find_run(tmp_path) == made[-1]
    assert store.find_run(tmp_path, made[3].name) == made[3]
    assert store.find_run(tmp_path / "nowhere", made[3]) == made[3]


def test_a_missing_run_is_an_error_of_one_line(tmp_path):
    with pytest.raises(UserError, match=r"there is no run in .* yet"):
        store.find_run(tmp_path)
    store.create_run(tmp_path, "quick", NOW)
    with pytest.raises(UserError, match="did you mean '20260102T030405Z-quick'"):
        store.find_run(tmp_path, "20260102T030405Z-quikc")
    with pytest.raises(UserError, match="is not a run"):
        store.read_records(tmp_path)


def test_a_text_is_old_or_new_and_never_partial(tmp_path, monkeypatch):
    path = tmp_path / "tables.md"
    store.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", _fails(errno.EIO))
    with pytest.raises(UserError, match="Input/output error"):
        store.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_where_the_finished_part_lies(run, monkeypatch):
    store.write_record(run, record())
    monkeypatch.setattr(os, "fsync", _fails(errno.ENOSPC))
    with pytest.raises(UserError, match=rf"^the disk is full: .*; what is finished lies in {run}$"):
        store.write_record(run, record(launch=1))
    monkeypatch.undo()
    assert [r.launch for r in store.read_records(run)[0]] == [0]


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    # /proc refuses new folders to every user, root too.
    file = tmp_path / "file"
    file.touch()
    for parent in ("/proc/results", file):
        with pytest.raises(UserError, match=r"^cannot write .*") as caught:
            store.create_run(type(tmp_path)(parent), "quick", NOW)
        assert "\n" not in str(caught.value)


def test_a_folder_without_permission_is_an_error_of_one_line(tmp_path, monkeypatch):
    # Planted, because root writes everywhere.
    monkeypatch.setattr(os, "fsync", _fails(errno.EACCES))
    with pytest.raises(UserError, match=r"cannot write .*x\.csv: Permission denied"):
        store.write_text(tmp_path / "x.csv", "text")


def _fails(number):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    return fsync


def test_whether_a_file_can_be_written_is_found_out_without_a_trace(tmp_path):
    file = tmp_path / "file"
    store.check_writable(file)
    assert list(tmp_path.iterdir()) == []
    file.write_text("old")
    store.check_writable(file)
    assert file.read_text() == "old"
    store.check_writable(Path("/dev/null"))
    for path, line in (
        (tmp_path, "it is a folder: give the name of a file"),
        (tmp_path / "none" / "file", "No such file or directory: choose a folder that can be written"),
        (file / "file", "Not a directory: choose a folder that can be written"),
    ):
        with pytest.raises(UserError, match=f"^cannot write {path}: {line}$"):
            store.check_writable(path)


def test_a_text_with_bytes_that_are_no_utf8_is_written(tmp_path):
    store.write_text(tmp_path / "file", os.fsdecode(b"caf\xe9"))
    store.append_text(tmp_path / "file", os.fsdecode(b"\xe9"))
    assert (tmp_path / "file").read_text() == "caf??"


@pytest.mark.parametrize("make", ["file", "link"])
def test_results_that_are_no_folder_are_refused(tmp_path, make):
    results = tmp_path / "results"
    if make == "file":
        results.touch()
    else:
        results.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=f"^cannot write {results}: it is no folder: choose another one$"):
        store.create_run(results, "quick", NOW)
