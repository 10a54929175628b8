"""The cache of features: made once, verified, limited, and never in the way of training."""

from __future__ import annotations

import multiprocessing
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from backends.task import Variant
from bench.cache import features
from bench.cache.features import Extracted
from bench.plan.task_table import TASKS
from bench.worker.extraction import feature_extraction
from tests.bench.processes import Bench, suite_file

TASK = TASKS["cifar10-resnet18"]
TRAIN, TEST = np.arange(24, dtype=np.float32).reshape(6, 4), np.ones((2, 4), np.float32)
LIMIT = 10**6


@pytest.fixture
def entry(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    return features.get_folder() / "0123456789abcdef.safetensors"


def extract():
    return Extracted(TRAIN, TEST, 2.5, "eager")


def never():
    raise AssertionError("it was to be in the cache")


def test_what_was_extracted_is_found_again_with_the_seconds_it_took(entry):
    made, found = features.obtain(entry, LIMIT, extract), features.obtain(entry, LIMIT, never)
    assert (made.hit, found.hit) == (False, True)
    assert (made.problem, found.problem) == (None, None)
    assert (found.extraction_s, found.form) == (2.5, "eager")
    for got, put in ((found.train, TRAIN), (found.test, TEST)):
        assert np.array_equal(got, put)
    assert [path.name for path in features.get_folder().iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("damage", ["cut off", "edited", "empty", "other"])
def test_a_damaged_entry_is_computed_again_and_reported(entry, damage):
    features.obtain(entry, LIMIT, extract)
    content = bytearray(entry.read_bytes())
    if damage == "edited":
        content[-1] ^= 1
    entry.write_bytes({"cut off": content[:-9], "edited": content, "empty": b"", "other": b"x" * 500}[damage])
    again = features.obtain(entry, LIMIT, extract)
    assert not again.hit
    assert again.problem.startswith("the entry 0123456789abcdef.safetensors is damaged (")
    assert features.obtain(entry, LIMIT, never).hit


def test_an_entry_with_other_features_is_computed_again_and_reported(entry):
    other = entry.with_name("fedcba9876543210.safetensors")
    features.obtain(other, LIMIT, lambda: Extracted(TRAIN + 1, TEST, 1.0, "eager"))
    other.rename(entry)
    again = features.obtain(entry, LIMIT, extract)
    assert (again.hit, np.array_equal(again.train, TRAIN)) == (False, True)
    assert "(it has other features), it was made again" in again.problem


def test_on_a_full_disk_the_computed_features_are_still_returned(entry, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "save_file", full)
    made = features.obtain(entry, LIMIT, extract)
    assert np.array_equal(made.train, TRAIN)
    assert "could not be written" in made.problem
    assert "No space left on device" in made.problem
    assert not entry.exists()


def test_without_a_folder_the_computed_features_are_still_returned(entry):
    features.get_folder().parent.joinpath(features.FOLDER).write_text("a file in its place")
    made = features.obtain(entry, LIMIT, extract)
    assert np.array_equal(made.test, TEST)
    assert "could not be written" in made.problem


def test_what_was_not_used_for_longest_goes_when_the_limit_is_reached(entry):
    features.obtain(entry, LIMIT, extract)
    size = entry.stat().st_size
    others = [entry.with_name(f"{name}.safetensors") for name in ("a", "b", "c")]
    for age, other in enumerate(others):
        features.obtain(other, LIMIT, extract)
        os.utime(other, (time.time() - 100 + age,) * 2)
    os.utime(entry, (time.time() - 200,) * 2)
    features.obtain(entry, LIMIT, never)  # used again: the newest now
    features.obtain(entry.with_name("d.safetensors"), 3 * size, extract)
    assert {kept.path.stem for kept in features.list_entries()} == {"d", entry.stem, "c"}


def test_features_larger_than_the_limit_are_not_kept(entry):
    small = entry.with_name("small.safetensors")
    features.obtain(small, LIMIT, lambda: Extracted(TRAIN[:1], TEST[:1], 0.1, "eager"))
    large = np.zeros((LIMIT // 4, 4), np.float32)
    made = features.obtain(entry, LIMIT, lambda: Extracted(large, TEST, 2.5, "eager"))
    assert "bytes of features are more than the limit of 1,000,000 bytes" in made.problem
    assert made.train is large
    assert [kept.path for kept in features.list_entries()] == [small], "nothing makes room for what does not fit anyway"


@pytest.mark.parametrize("limit", [LIMIT, 64])
def test_a_process_that_wants_the_same_again_extracts_once_even_where_nothing_can_be_kept(entry, limit, monkeypatch):
    calls = []
    monkeypatch.setattr(feature_extraction, "extract", lambda *_: calls.append(1) or extract())
    job = SimpleNamespace(features=entry, cache_limit=limit, backend="pytorch")
    twice = [feature_extraction.obtain(None, TRAIN, TEST, job, None) for _ in range(2)]
    assert len(calls) == 1
    assert all(np.array_equal(found.train, TRAIN) for found in twice)
    other = SimpleNamespace(**{**vars(job), "features": entry.with_name("other.safetensors")})
    feature_extraction.obtain(None, TRAIN, TEST, other, None)
    assert len(calls) == 2, "other features are others"


def test_what_others_left_unfinished_goes_and_what_somebody_makes_now_stays(entry):
    for name in ("killed", "made now"):
        features.get_folder().mkdir(parents=True, exist_ok=True)
        features.get_folder().joinpath(f"{name}.part").write_bytes(b"x" * 100)
    with features._hold_lock(features.get_folder() / "made now.lock", None):
        features.obtain(entry, LIMIT, extract)
        assert [path.stem for path in features.get_folder().glob("*.part")] == ["made now"]
        size = entry.stat().st_size
        assert features.clear() == size
        assert [path.stem for path in features.get_folder().glob("*.part")] == ["made now"]
    assert features.clear() == 100


def test_an_entry_that_vanishes_while_they_are_listed_is_left_out(entry):
    features.obtain(entry, LIMIT, extract)
    entry.with_name("gone.safetensors").symlink_to("nowhere")
    assert [kept.path for kept in features.list_entries()] == [entry]


def test_a_home_that_is_only_read_has_its_entries_used(entry, monkeypatch):
    features.obtain(entry, LIMIT, extract)

    def raise_error(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", raise_error)
    found = features.obtain(entry, LIMIT, never)
    assert (found.hit, found.problem) == (True, None)


def _slow(entry, count, waited):
    def note_waiting():
        waited.value += 1

    def extract():
        with count.get_lock():
            count.value += 1
        time.sleep(0.5)
        return Extracted(TRAIN, TEST, 0.5, "eager")

    features.obtain(entry, LIMIT, extract, note_waiting)


def test_two_processes_that_want_the_same_make_it_once_and_the_other_one_says_that_it_waits(entry):
    forked = multiprocessing.get_context("fork")
    count, waited = forked.Value("i", 0), forked.Value("i", 0)
    both = [forked.Process(target=_slow, args=(entry, count, waited)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert count.value == 1
    assert waited.value >= 1
    assert features.obtain(entry, LIMIT, never).hit


def test_the_key_depends_on_everything_that_features_depend_on():
    def key(backend="pytorch", task=TASK, checkpoint="a", dataset="d", **knobs):
        return features.make_key(backend, task, Variant(features="cached", **knobs), checkpoint, dataset)

    others = [
        key(backend="keras"),
        key(task=TASK.model_copy(update={"image_size": 64})),
        key(task=TASK.model_copy(update={"mean": (0.1, 0.5, 0.5)})),
        key(task=TASK.model_copy(update={"backbone": "resnet34"})),
        key(checkpoint="b"),
        key(dataset="e"),
        key(precision="bf16"),
    ]
    assert len({key(), *others}) == len(others) + 1
    same = TASK.model_copy(update={"batch_size": 128, "learning_rate": 0.1, "epochs": 9, "seed": 3})
    assert key(task=same, threads=1) == key()


@pytest.mark.slow
def test_a_run_extracts_once_trains_the_same_head_and_has_its_own_table(tmp_path, monkeypatch, command_line):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    suite = suite_file(tmp_path, launches=2, rounds=2)
    arguments = ("run", "--suite", suite, "--backend", "pytorch", "--variant", "default", "--knob", "features=cached")
    with Bench(*arguments, "--full", "--results", tmp_path / "results", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stdout[-3000:] + bench.stderr
    assert "Cached features: " in bench.stdout
    assert "division cached" in bench.stdout
    assert "form of the extraction: pytorch/cached: as in training" in " ".join(bench.stdout.split())
    assert "FAILED" not in bench.stdout
    from bench.records import store

    records, problems = store.read_records(next((tmp_path / "results").iterdir()))
    assert problems == []
    cached = [record for record in records if record.variant.features == "cached"]
    assert [record.features.hit for record in cached] == [False, True]
    assert cached[0].proof.comparable
    assert cached[0].features.images > 64
    listed = command_line("cache", "list")
    assert (listed.status, len(listed.out.splitlines())) == (0, 2)
    assert command_line("cache", "clear").status == 0
    assert features.list_entries() == []


def test_cached_features_are_refused_where_the_backbone_moves(tmp_path, command_line, arithmetic_here):
    suite = suite_file(tmp_path)
    suite.write_text(suite.read_text().replace("epochs = 1", 'epochs = 1, batch_norm = "batch_stats"'))
    ended = command_line("run", "--suite", suite, "--knob", "features=cached", "--results", tmp_path / "results")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    assert "features 'cached' need a backbone whose statistics do not move" in ended.err


def test_a_size_that_is_none_is_one_line(command_line):
    ended = command_line("run", "--cache-limit", "lots")
    assert ended.status == 2
    assert ended.err.strip() == "bench: --cache-limit: 'lots' is no size: give MB, GB or TB, as 500MB or 4GB"
