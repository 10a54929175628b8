"""A sweep's fine-tunes, one after the other in one worker: each built anew, proven, and tested after every epoch."""

from __future__ import annotations

import time

import numpy as np

from bench.parity.verdict import prove
from bench.worker.epoch import evaluate, train_epoch
from bench.worker.job import Combination, SweepJob
from bench.worker.lap_timer import Laps
from bench.worker.plugin import Baton, Bench


def test_combinations(baton: Baton, job: SweepJob) -> None:
    """All combinations of the job; between two of them the baton goes round."""
    for one in job.combinations:
        baton.give_back("fine-tune ready")
        baton.take()
        baton.say("combination", number=one.number)
        bench, refused = _proven(job, one, baton)
        if one.fine_tune:
            _fine_tune(bench, one, refused)
        else:
            baton.say("shown", number=one.number)


def _proven(job: SweepJob, one: Combination, baton: Baton) -> tuple[Bench, str | None]:
    """The combination built and its evidence left, on cached features if those prove the same, and why not if not.

    What the case can be held to by itself says it: the head after the same steps, and that nothing frozen moved.
    """
    if one.features is None:
        return _built(job.of(one, cached=False), baton), None
    bench = _built(job.of(one, cached=True), baton)
    with np.load(one.folder / "proof.npz") as evidence:
        verdict = prove(dict(evidence), None, one.task, None)
    if verdict.status != "failed":
        return bench, None
    return _built(job.of(one, cached=False), baton), verdict.reason


def _built(job: SweepJob, baton: Baton) -> Bench:
    bench = Bench(job, baton)
    bench.give_evidence()
    return bench


def _fine_tune(bench: Bench, one: Combination, refused: str | None) -> None:
    """The whole fine-tune. While the test set is looked at training rests, and its clock with it."""
    baton, labels = bench.baton, bench.test[1]
    bench.trainer.reset()
    started, laps, epochs = time.monotonic(), Laps(), []
    training = bench.begin(bench.order)
    predictions = np.zeros_like(labels)
    for epoch in range(bench.task.epochs):
        baton.say("phase", name="fine-tune")
        loss = train_epoch(bench, training.advance, epoch)
        laps.end("training")
        baton.say("phase", name="evaluation")
        predictions = evaluate(bench).argmax(axis=1)
        correct = int((predictions == labels).sum())
        epochs.append({"train_loss": loss, "correct": correct, "train_s": laps.seconds["training"]})
        laps.end("evaluation")
    training.close()
    laps.end("closing")
    intact = bench.unchanged_tensors()
    np.savez(one.folder / "fine_tune.npz", allow_pickle=False, predictions=predictions, labels=labels, **intact)
    baton.say(
        "fine-tuned",
        kind=str(bench.task.seed),
        number=one.number,
        epochs=epochs,
        evaluation_s=laps.seconds["evaluation"],
        closing_s=laps.seconds["closing"],
        elapsed_s=time.monotonic() - started,
        cached=bench.features is not None,
        refused=refused,
    )
