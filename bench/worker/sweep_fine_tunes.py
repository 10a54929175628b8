"""The fine-tunes of a sweep, in turn in one worker: each is built, proven, and evaluated after every epoch."""

from __future__ import annotations

import time

import numpy as np

from bench.parity.sameness_proof import prove
from bench.worker.baton import Baton
from bench.worker.epoch import evaluate, train_epoch
from bench.worker.job import CombinationJob, SweepJob
from bench.worker.lap_timer import LapTimer
from bench.worker.plugin import CaseSession


def test_combinations(baton: Baton, job: SweepJob) -> None:
    """Run all combinations of the job; before each of them the baton goes to the other workers."""
    for one in job.combinations:
        baton.give_back("fine-tune ready")
        baton.take()
        baton.send("combination", number=one.number)
        session, refusal = _build_proven(job, one, baton)
        if one.fine_tune:
            _fine_tune(session, one, refusal)
        else:
            baton.send("shown", number=one.number)


def _build_proven(job: SweepJob, one: CombinationJob, baton: Baton) -> tuple[CaseSession, str | None]:
    """Build a combination and save its evidence: on cached features, or recomputed if its proof on cached ones fails.

    Returns the session, and the reason why cached features are not used. The proof is the part that needs no reference:
    the head after the same steps, and that no frozen tensor has changed.
    """
    if one.features is None:
        return _build_with_evidence(job.make_combination_job(one, cached=False), baton), None
    session = _build_with_evidence(job.make_combination_job(one, cached=True), baton)
    with np.load(one.folder / "proof.npz") as evidence:
        verdict = prove(dict(evidence), None, one.task, None)
    if verdict.status != "failed":
        return session, None
    return _build_with_evidence(job.make_combination_job(one, cached=False), baton), verdict.reason


def _build_with_evidence(job: SweepJob, baton: Baton) -> CaseSession:
    session = CaseSession(job, baton)
    session.save_evidence()
    return session


def _fine_tune(session: CaseSession, one: CombinationJob, refusal: str | None) -> None:
    """Run the complete fine-tune. An evaluation interrupts the training, and the training's clock."""
    baton, labels = session.baton, session.test[1]
    session.trainer.reset()
    started, laps, epochs = time.monotonic(), LapTimer(), []
    training = session.start_training(session.order)
    predictions = np.zeros_like(labels)
    for epoch in range(session.task.epochs):
        baton.send("phase", name="fine-tune")
        loss = train_epoch(session, training.advance, epoch)
        laps.end("training")
        baton.send("phase", name="evaluation")
        predictions = evaluate(session).argmax(axis=1)
        correct = int((predictions == labels).sum())
        epochs.append({"train_loss": loss, "correct": correct, "train_s": laps.seconds["training"]})
        laps.end("evaluation")
    training.close()
    laps.end("closing")
    alterations = session.find_alterations()
    np.savez(one.folder / "fine_tune.npz", allow_pickle=False, predictions=predictions, labels=labels, **alterations)
    baton.send(
        "fine-tuned",
        kind=str(session.task.seed),
        number=one.number,
        epochs=epochs,
        evaluation_s=laps.seconds["evaluation"],
        closing_s=laps.seconds["closing"],
        elapsed_s=time.monotonic() - started,
        cached=session.features is not None,
        refused=refusal,
    )
