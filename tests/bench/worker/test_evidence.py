"""`bench parity`: the whole proof by real processes, its table, and its exit status."""

from __future__ import annotations

import pytest

from bench.data import cifar10
from tests.bench.data.test_cifar10 import batch, python2_pickle
from tests.bench.processes import Bench

pytestmark = pytest.mark.slow
SMALL = ("--task", "cifar10-resnet18", "--weights", "random", "--epochs", 1)
TWO = ("--backend", "pytorch", "--backend", "keras")


def run_parity(tmp_path, *more: object, **planted: str) -> tuple[int, str]:
    for number, name in enumerate((*cifar10.TRAIN, cifar10.TEST)):
        (tmp_path / name).write_bytes(python2_pickle(batch(number, images=40)))
    with Bench("parity", *SMALL, "--data-dir", tmp_path, *TWO, *more, cwd=tmp_path, **planted) as bench:
        return bench.end(), bench.stdout


def test_the_same_fine_tune_is_proven_in_a_table(tmp_path):
    status, shown = run_parity(tmp_path)
    assert status == 0, shown
    for check in ("features", "first gradient", "trajectory", "predictions"):
        assert f" {check} " in shown
    assert "proven" in shown
    assert "failed" not in shown


def test_another_computation_fails_its_named_check(tmp_path):
    status, shown = run_parity(tmp_path, "--knob", "features=cached", PLANTED_KERAS="other features")
    assert status == 1
    assert "pipeline order" in shown
    assert "failed" in shown


def test_a_dead_worker_is_shown(tmp_path):
    status, shown = run_parity(tmp_path, PLANTED_KERAS="raise in build")
    assert status == 1
    assert "died: ValueError: planted: raised in build" in shown
