"""All backends do the same as PyTorch, by the proof that users see; planted faults are caught and named."""

from __future__ import annotations

import numpy as np
import pytest

from bench.parity.sameness_proof import prove
from bench.parity.tolerances import FORWARD as FORWARD_TOLERANCE
from tests.backends.faults import FAULTS
from tests.backends.sessions import OTHERS, REFERENCE, make_case
from tests.backends.tasks import FORWARD, TASKS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("task", TASKS)
def test_the_same_fine_tune_as_in_pytorch_is_proven(evidence, backend, task):
    reference = evidence.arrays("pytorch", task)
    proof = prove(evidence.arrays(backend, task), reference, TASKS[task], None)
    assert (proof.status, proof.reason) == ("proven", "")
    names = {check.name for check in proof.checks}
    assert names >= {"weights", "order", "preprocessing", "features", "logits", "first loss", "first gradient"}
    assert names >= {"losses", "trajectory", "pipeline order", "pipeline loss", "frozen", "frozen, statistics"}
    assert ("running statistics" in names) == (TASKS[task].batch_norm == "batch_stats")
    below = {"first gradient below", "trajectory below"}
    assert names & below == (below if TASKS[task].trained else set())


@pytest.mark.parametrize("task", TASKS)
def test_pytorch_is_the_reference_and_keeps_what_is_frozen(evidence, task):
    mine = evidence.arrays("pytorch", task)
    assert prove(mine, mine, TASKS[task], None).status == "reference"


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("task", FORWARD)
def test_deeper_resnets_compute_the_same_features_and_logits(evidence, backend, task):
    mine, reference = evidence.arrays(backend, task), evidence.arrays("pytorch", task)
    assert reference["features"].shape == (8, FORWARD[task].network.features)
    for name in ("features", "logits"):
        worst = np.abs(mine[name] - reference[name]).max() / np.abs(reference[name]).max()
        assert worst <= FORWARD_TOLERANCE, name


@pytest.mark.engines
@pytest.mark.parametrize("task", [*TASKS, *FORWARD])
def test_the_reference_is_gathered_for_the_engines(evidence, task):
    assert np.isfinite(evidence.arrays(REFERENCE, task)["features"]).all()


def test_the_evidence_is_of_different_tasks_and_training_did_something(evidence):
    frozen, moving = (evidence.arrays("pytorch", task) for task in ("frozen", "batch_stats"))
    assert np.ptp(frozen["features"], axis=0).max() > 0.05, "the features of different images differ"
    assert not np.allclose(frozen["features"], moving["features"], rtol=0.1)
    assert len(frozen["losses"]) == 12
    assert frozen["losses"].std() > 0.01
    assert len(moving["altered_statistics"]) == len(moving["statistics"]) == 40


@pytest.mark.parametrize("title", [make_case(fault.backend, title) for title, fault in FAULTS.items()])
def test_a_planted_fault_is_caught_and_named(evidence, title):
    fault = FAULTS[title]
    proof = prove(
        evidence.arrays(fault.backend, title), evidence.arrays("pytorch", fault.task), TASKS[fault.task], None
    )
    failed = [check.name for check in proof.checks if not check.passed]
    assert proof.status == "failed"
    assert not proof.comparable
    assert failed[0] == fault.named
    assert proof.reason.startswith(f"{fault.named}: ")
    assert set(fault.others) <= set(failed)


def test_a_fault_that_hides_in_one_place_leaves_the_other_checks_passed(evidence):
    def failed(title):
        fault = FAULTS[title]
        mine, reference = evidence.arrays(fault.backend, title), evidence.arrays("pytorch", fault.task)
        return {c.name for c in prove(mine, reference, TASKS[fault.task], None).checks if not c.passed}

    assert failed("biased running variance") == {"running statistics"}
    assert failed("another order of images") == {"pipeline order", "pipeline loss"}
    assert "features" not in failed("softmax twice")
    assert "preprocessing" not in failed("another epsilon")


def test_a_trained_gamma_is_named_by_its_tensor(evidence):
    altered = evidence.arrays("keras", "trained gamma")["altered_weights"]
    assert altered[0] == "bn1.weight"
    assert all(name.endswith(".weight") for name in altered)
