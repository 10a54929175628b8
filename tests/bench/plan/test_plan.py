"""A request becomes a plan, or falls back to the offline suite if the user named no task."""

from __future__ import annotations

import importlib.util
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import Unavailable, UserError
from bench.plan import suite
from bench.plan.offline_fallback import fall_back_to_offline
from bench.plan.plan import find_usable_backends, make_plan
from bench.plan.prepared_task import override_task
from bench.plan.request import Request
from bench.plan.task_table import TASKS


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Nothing at home, and a network on which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEADTOHEAD_CIFAR10_URL", f"http://127.0.0.1:{port}/cifar-10-python.tar.gz")
    monkeypatch.setenv("HEADTOHEAD_WEIGHTS_MIRROR", f"http://127.0.0.1:{port}")


@pytest.mark.slow
def test_without_data_the_offline_suite_takes_over_and_says_so(offline):
    made = make_plan(Request())
    assert made.suite.name == "offline"
    assert made.banner.startswith("Offline suite: ")
    assert "127.0.0.1" in made.banner, "it says what was tried"
    assert [prepared.task.dataset for prepared in made.tasks] == ["digits", "digits"]
    assert made.tasks[0].overridden == ("weights", "dataset")
    assert made.tasks[0].fine_tune is False, "accuracy with random weights says nothing"
    assert made.tasks[1].fine_tune is True


def test_the_offline_suite_says_which_files_of_the_user_it_does_not_use():
    request = Request(data_dir=Path("images"), checkpoint=Path("w.pth"))
    _, banner, own = fall_back_to_offline(Unavailable("no network"), request, lambda own, _: own)
    assert banner.endswith(", not of --data-dir images, not of --checkpoint w.pth.")
    assert (own.data_dir, own.checkpoint) == (None, None)
    assert "not of" not in fall_back_to_offline(Unavailable("no network"), Request(), lambda own, _: own)[1]


@pytest.mark.slow
def test_a_task_or_suite_that_the_user_names_is_never_replaced(offline):
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        make_plan(Request(tasks=["cifar10-resnet18"]))
    with pytest.raises(Unavailable):
        make_plan(Request(suite="quick"))


@pytest.mark.slow
def test_an_option_that_the_offline_tasks_cannot_have_tells_what_could_not_be_had(offline):
    for overrides in ({"train_limit": 5000}, {"weights": "IMAGENET1K_V1"}):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            make_plan(Request(overrides=overrides))


@pytest.mark.parametrize(
    ("command", "module"),
    [("parity", "plan.plan"), ("roofline", "roofline.roofline_run"), ("tune", "tune.tuning")],
    ids=["parity", "roofline", "tune"],
)
def test_other_commands_announce_the_offline_suite_too(command, module, command_line, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = make_plan(Request(tasks=["embedded"], overrides={"weights": "random"}, backends=["pytorch"]))
    fallen = replace(made, banner="Offline suite: no network.", tasks=())
    monkeypatch.setattr(f"bench.{module}.make_plan", lambda _: fallen)
    monkeypatch.setattr("bench.measure.run.run_proofs", lambda *_: iter(()))
    monkeypatch.setattr("bench.roofline.roofline_output.write_page", lambda *_: None)
    ended = command_line(command)
    assert (ended.status, ended.out.count("Offline suite: no network.")) == (0, 1)


def test_a_run_says_so_once_in_a_box_at_its_start(command_line, monkeypatch, tmp_path):
    fallen = replace(
        make_plan(Request(tasks=["embedded"], overrides={"weights": "random"})), banner="Offline suite: here."
    )
    monkeypatch.setattr("bench.head_to_head.whole_run.make_plan", lambda _: fallen)
    monkeypatch.setattr("bench.head_to_head.whole_run.measure_launches", lambda *_: iter(()))
    ended = command_line("run", "--results", tmp_path / "results")
    lines = [line for line in ended.out.splitlines() if line]
    assert ended.status == 0
    assert [("Offline suite: here." in line) for line in lines[:3]] == [False, True, False]
    assert ended.out.count("Offline suite: here.") == 1


def test_ratios_may_be_to_a_case_that_is_measured():
    case = {"tasks": ["embedded"], "overrides": {"weights": "random"}, "variants": ["default", "matched"]}
    assert make_plan(Request(**case, relative_to="keras/matched")).relative_to == "keras/matched"
    with pytest.raises(UserError, match="unknown backend or case 'keras/tuned'"):
        make_plan(Request(**case, relative_to="keras/tuned"))


def test_without_the_reference_backend_ratios_are_to_the_first_one():
    case = {"tasks": ["embedded"], "overrides": {"weights": "random"}}
    assert make_plan(Request(**case, backends=["tensorflow", "keras"])).relative_to == "tensorflow"
    assert make_plan(Request(**case, backends=["tensorflow", "keras"], relative_to="keras")).relative_to == "keras"
    assert make_plan(Request(**case)).relative_to == "pytorch"


def test_with_all_at_hand_there_is_no_banner():
    made = make_plan(Request(tasks=["embedded"], overrides={"weights": "random"}, launches=2, rounds=3))
    assert made.banner is None
    assert (made.suite.launches, made.suite.rounds) == (2, 3)
    assert made.backends == ("pytorch", "tensorflow", "keras")
    assert made.default.threads >= 1
    assert [prepared.task.name for prepared in made.tasks] == ["embedded"]
    assert made.tasks[0].overridden == ("weights",)


def test_a_suite_limits_the_training_images_of_a_task_and_a_limit_of_ones_own_wins(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'description = "d"\nlaunches = 1\nrounds = 2\nround_seconds = 0.1\nmost_training_images = 100\n'
        '[[entries]]\ntask = "embedded"\noverride = { weights = "random" }\n'
    )
    limited = make_plan(Request(suite=str(path))).tasks[0]
    assert (limited.task.train_limit, len(limited.dataset.train_images)) == (100, 100)
    assert len(limited.dataset.test_images) == 360
    own = make_plan(Request(suite=str(path), overrides={"train_limit": 50})).tasks[0]
    assert len(own.dataset.train_images) == 50


def test_a_schedule_takes_the_whole_training_unless_the_task_says_how_many_steps():
    fields = {"weights": "random", "schedule": "cosine", "train_limit": 100, "epochs": 3}
    made = make_plan(Request(tasks=["embedded"], overrides=fields)).tasks[0]
    assert made.task.schedule_steps == 12, "three epochs of 32, 32, 32 and 4 images"
    assert "schedule_steps" not in made.overridden
    fewer = make_plan(Request(tasks=["embedded"], overrides={**fields, "last_batch": "dropped"})).tasks[0]
    assert fewer.task.schedule_steps == 9
    own = make_plan(Request(tasks=["embedded"], overrides={**fields, "schedule_steps": 20})).tasks[0]
    assert own.task.schedule_steps == 20
    accumulated = make_plan(Request(tasks=["embedded"], overrides={**fields, "accumulate": 5})).tasks[0]
    assert accumulated.task.schedule_steps == 2, "updates, each of five steps; two steps are left over"
    constant = make_plan(Request(tasks=["embedded"], overrides={**fields, "schedule": "constant"})).tasks[0]
    assert constant.task.schedule_steps is None


def test_overrides_that_change_nothing_are_none():
    task, changed = override_task("embedded", {"batch_size": 32, "epochs": 3})
    assert changed == ("epochs",)
    assert task.hash != TASKS["embedded"].hash
    assert override_task("embedded", {"batch_size": 32})[0].hash == TASKS["embedded"].hash


def test_backends_without_their_packages_are_skipped_with_the_way_out(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "keras_hub" else real(name, *a))
    usable, skipped = find_usable_backends(())
    assert usable == ("pytorch",)
    assert skipped == {
        "tensorflow": "keras_hub not installed: pip install 'head-to-head[tensorflow]'",
        "keras": "keras_hub not installed: pip install 'head-to-head[keras]'",
    }
    with pytest.raises(UserError, match="no backend can run here: keras: keras_hub not installed"):
        find_usable_backends(["keras"])


def test_backends_named_twice_run_once():
    assert find_usable_backends(["keras", "pytorch", "keras"])[0] == ("keras", "pytorch")


@pytest.mark.parametrize(
    ("entries", "request_fields", "line"),
    [
        (
            [{"task": "cifar10-resnet18"}, {"task": "cifar10-resnet18", "override": {"batch_size": 32}}],
            {"overrides": {"epochs": 1, "batch_size": 8}},
            "cifar10-resnet18 and cifar10-resnet18 (batch_size = 32) are the same task with --batch-size: leave that "
            "out, or name one task with --task",
        ),
        (
            [{"task": "embedded"}, {"task": "embedded", "override": {"seed": 0}, "fine_tune": False}],
            {},
            "embedded and embedded (seed = 0) are the same task: name each task once in suite twice",
        ),
        (
            [{"task": "embedded"}, {"task": "embedded", "override": {"train_limit": 500}}],
            {},
            "embedded and embedded (train_limit = 500) are the same task: name each task once in suite twice",
        ),
        (
            [{"task": "embedded"}],
            {"tasks": ["embedded", "embedded"]},
            "embedded and embedded are the same task: name each task once",
        ),
    ],
)
def test_tasks_that_are_the_same_are_refused_before_anything_is_loaded(offline, entries, request_fields, line):
    twice = suite.Suite(
        name="twice",
        description="d",
        launches=1,
        rounds=2,
        round_seconds=0.1,
        most_training_images=500,
        entries=entries,
    )
    with pytest.raises(UserError) as raised:
        make_plan(Request(suite=twice, **request_fields))
    assert str(raised.value) == line


def test_the_tasks_of_the_projects_suites_differ():
    for name in suite.list_names():
        hashes = [override_task(entry.task, entry.override)[0].hash for entry in suite.load(name).entries]
        assert len(set(hashes)) == len(hashes), name


def test_the_suite_that_may_fall_back_exists_and_needs_data():
    assert {entry.task for entry in suite.load(Request.suite).entries} == {"cifar10-resnet18"}
