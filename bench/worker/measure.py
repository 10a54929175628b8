"""The measurements of one case, as pytest tests in the order in which they run. pytest-benchmark times the rounds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backends.values import Head
from bench.records.correct_images import encode_correct_images
from bench.records.round_kinds import COMPARED
from bench.worker import kernel_rounds
from bench.worker.epoch import evaluate, train_epoch
from bench.worker.epoch_accuracy import can_score_epochs, score_epochs
from bench.worker.kernels import LAYERS, RATES
from bench.worker.lap_timer import LapTimer
from bench.worker.part_report import PartReport
from bench.worker.plugin import CaseSession
from bench.worker.step_parts import PARTS
from bench.worker.step_profile import FIRST_STEPS, profile
from bench.worker.warmup import MAX_STEPS, lengthen_order, warm_up

#: Untimed steps between a pipeline's start and the first round, as a share of a round: its buffers fill, and automatic
#: tuning (tf.data) settles. The steps themselves are already warm from the warm-up.
LEAD_SHARE = 0.2


def test_proof(case: str, session: CaseSession) -> None:
    """Save the evidence for the proof of sameness."""
    if not session.job.proof_steps:
        pytest.skip("this launch makes no proof")
    session.save_evidence()


@pytest.mark.parametrize("kind", ["pipeline", "compute", "loader", *PARTS, *RATES])
def test_throughput(kind: str, case: str, session: CaseSession, benchmark) -> None:
    """Warm up and measure the first rounds of a kind.

    `pipeline`: training steps with the framework's own input pipeline; `compute`: steps on batches that are already on
    the device; `loader`: the input pipeline without steps; for a profile, the parts of a step; for a roofline, the
    framework's kernels.
    """
    job = session.job
    if not job.rounds or kind not in job.kinds:
        pytest.skip("this job has no rounds of this kind")
    session.baton.send("phase", name=f"{kind} warm-up", compiles=True)
    training = session.start_rounds(kind, MAX_STEPS)
    report = PartReport(session.baton, None, "blocks")
    session.warmups[kind] = warm_up(training.advance, report=report)
    training.close()
    _run_rounds(kind, job.count_first_rounds(kind), session, benchmark, ends_phase=kind == "pipeline")


@pytest.mark.parametrize("kind", COMPARED)
def test_throughput_later(kind: str, case: str, session: CaseSession, benchmark) -> None:
    """Measure the later rounds of a kind: a slow phase of the machine then affects only some of its rounds."""
    job = session.job
    if not job.later or kind not in job.kinds:
        pytest.skip("this job has no rounds of this kind")
    _run_rounds(kind, job.later, session, benchmark)


def _run_rounds(kind: str, rounds: int, session: CaseSession, benchmark, ends_phase: bool = False) -> None:
    """Run `rounds` rounds of a kind that is warmed up; the baton goes back to the conductor after each."""
    job, baton = session.job, session.baton
    baton.give_back("calibrated", kind=kind, **session.warmups[kind]._asdict())
    message = baton.take()
    steps, run_in = message["steps"], message["run_in"]
    lead = max(1, round(steps * LEAD_SHARE))
    training = session.start_rounds(kind, lead + (steps + run_in) * rounds)
    training.advance(lead)  # no round contains a pipeline's start

    run_in_s = 0.0

    def setup() -> None:
        nonlocal run_in_s
        baton.take()
        began = time.perf_counter()
        if run_in:
            training.advance(run_in)
        run_in_s = time.perf_counter() - began

    baton.send("phase", name=f"{kind} rounds")
    baton.give_back("ready")
    try:
        benchmark.pedantic(
            training.advance,
            args=(steps,),
            setup=setup,
            teardown=lambda steps: baton.give_back("round", run_in_s=run_in_s),
            rounds=rounds,
        )
    finally:
        # After an exception in a round. Otherwise the baton is back already, and this does nothing.
        baton.give_back("aborted")
    baton.take()
    if ends_phase:
        session.phases.end("training", children=True)
        session.device = session.trainer.device_memory()
    training.close()
    images = steps * session.task.batch_size
    benchmark.extra_info.update(
        case=job.case,
        kind=kind,
        steps_per_round=steps,
        images_per_round=images,
        images_per_second=images / benchmark.stats.stats.median,
    )
    session.report_memory()
    session.trainer.reset()


def test_layers(case: str, session: CaseSession) -> None:
    """For a roofline, time each convolution separately."""
    if LAYERS not in session.job.kinds:
        pytest.skip("this job times no single convolutions")
    session.baton.send("phase", name=LAYERS, compiles=True)
    seconds = kernel_rounds.time_convolutions(session.backend, session.job, session.baton)
    session.baton.send(LAYERS, seconds=seconds)


def test_profile(case: str, session: CaseSession) -> None:
    """Run some training steps under the framework's own profiler."""
    job = session.job
    if not job.profile_steps:
        pytest.skip("this job makes no profile")
    session.baton.send("phase", name="profile")
    training = session.start_training(lengthen_order(session.order, FIRST_STEPS + job.profile_steps))
    profile(session.backend, training, job.profile_steps, job.folder)
    training.close()


def test_trial(case: str, session: CaseSession) -> None:
    """Make some training steps, and report their memory."""
    steps = session.job.trial_steps
    if not steps:
        pytest.skip("this job makes no trial")
    session.baton.send("phase", name="trial")
    training = session.start_training(lengthen_order(session.order, steps))
    for _ in range(steps):
        training.advance(1)
        session.baton.send("trial step")
    session.phases.end("training", children=True)
    session.device = session.trainer.device_memory()
    training.close()
    session.report_memory()


def test_fine_tune(case: str, session: CaseSession) -> None:
    """Run the complete fine-tune of the task, and measure its accuracy on the whole test set; once per seed."""
    job, baton = session.job, session.baton
    if not job.seeds:
        pytest.skip("this launch does not fine-tune")
    baton.give_back("fine-tune ready")
    baton.take()
    heads = {seed: _fine_tune(session, seed) for seed in job.seeds}
    session.phases.end("evaluation")
    session.report_memory()
    if can_score_epochs(session.task):
        score_epochs(session, heads)


def _fine_tune(session: CaseSession, seed: int) -> list[Head]:
    """Run one fine-tune. Returns copies of its head at the end of each epoch, where they give the epoch's accuracy."""
    job, baton, keeps_heads = session.job, session.baton, can_score_epochs(session.task)
    baton.send("phase", name="fine-tune")
    session.order, head = session.draw(seed)
    session.trainer.reset(head)
    started, laps = time.monotonic(), LapTimer()
    training = session.start_training(session.order)
    losses, epoch_seconds, heads = [], [], []
    for epoch in range(session.task.epochs):
        losses.append(train_epoch(session, training.advance, epoch))
        laps.end("training")
        epoch_seconds.append(laps.seconds["training"])
        if keeps_heads:
            heads.append(session.trainer.head())
            laps.end("harness")
    training.close()
    laps.end("closing")
    session.phases.end("fine-tune")
    baton.send("phase", name="evaluation")
    laps.end("harness")

    labels, logits = session.test[1], evaluate(session)
    laps.end("evaluation")
    elapsed_s, spent = time.monotonic() - started, laps.seconds
    correct = logits.argmax(axis=1) == labels
    if seed == session.task.seed:
        alterations = session.find_alterations()
        np.savez(
            job.folder / "fine_tune.npz",
            allow_pickle=False,
            predictions=logits.argmax(axis=1),
            labels=labels,
            **alterations,
        )
    baton.send(
        "fine-tuned",
        kind=str(seed),
        seconds=spent["training"],
        evaluation_s=spent["evaluation"],
        closing_s=spent["closing"],
        harness_s=spent["harness"],
        elapsed_s=elapsed_s,
        train_loss=losses,
        epoch_seconds=epoch_seconds,
        correct=int(correct.sum()),
        right=encode_correct_images(correct),
    )
    return heads
