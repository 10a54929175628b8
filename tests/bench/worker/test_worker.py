"""The worker's side: the baton, the evidence of frozen weights, and how an end is described."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from bench.measure.worker_death import describe_exit
from bench.plan.task_table import TASKS
from bench.worker import evidence
from bench.worker.baton import Baton, ConductorGone
from bench.worker.channel import Channel
from bench.worker.job import Job


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    conductor, worker = Channel(ours), Channel(theirs)
    yield conductor, worker
    conductor.close()
    worker.close()


def test_a_baton_is_given_back_only_once(ends):
    conductor, worker = ends
    baton = Baton(worker)
    baton.give_back("round")
    baton.give_back("aborted")
    baton.send("phase", name="still talking")
    assert conductor.receive(1) == {"event": "round"}
    assert conductor.receive(1) == {"event": "phase", "name": "still talking"}
    conductor.send(steps=7)
    assert baton.take() == {"steps": 7}
    assert baton.held
    baton.give_back("finished")
    assert conductor.receive(1) == {"event": "finished"}


def test_a_waiting_worker_raises_when_its_conductor_has_ended(ends):
    conductor, worker = ends
    conductor.close()
    with pytest.raises(ConductorGone):
        Baton(worker).take()


def test_alterations_are_bitwise_and_listed_by_kind():
    before = {
        "conv1.weight": np.ones(3, np.float32),
        "bn1.weight": np.ones(3, np.float32),
        "bn1.running_mean": np.zeros(3, np.float32),
        "bn1.running_var": np.ones(3, np.float32),
    }
    assert all(
        len(evidence.find_alterations(before, before)[kind]) == 0 for kind in ("altered_weights", "altered_statistics")
    )
    after = {name: tensor.copy() for name, tensor in before.items()}
    after["bn1.weight"][1] = np.nextafter(np.float32(1), np.float32(2))
    after["bn1.running_var"] += 1
    found = evidence.find_alterations(before, after)
    assert found["altered_weights"].tolist() == ["bn1.weight"]
    assert found["altered_statistics"].tolist() == ["bn1.running_var"]
    assert found["statistics"].tolist() == ["bn1.running_mean", "bn1.running_var"]


def test_a_batch_that_normalises_itself_is_evaluated_as_it_is_trained():
    assert evidence.choose_evaluation_batch_size(TASKS["tutorial"]) == TASKS["tutorial"].batch_size
    assert evidence.choose_evaluation_batch_size(TASKS["cifar10-resnet18"]) > TASKS["cifar10-resnet18"].batch_size


@pytest.mark.parametrize(
    ("status", "words"), [(-9, "killed by SIGKILL: by someone, or by the kernel"), (-11, "killed by SIGSEGV"), (3, "3")]
)
def test_an_exit_is_described_in_words(status, words):
    assert words in describe_exit(status)


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({}, 10),
        ({"accumulate": 4}, 10),
        ({"accumulate": 8}, 16),
        ({"trainable": "all"}, 3),
        ({"trainable": "all", "accumulate": 4}, 12),
    ],
)
def test_a_proof_sees_more_than_one_update(fields, steps):
    task = TASKS["embedded"].model_copy(update=fields)
    assert evidence.count_proof_steps(task, Job.model_construct(proof_steps=10)) == 2 * steps
