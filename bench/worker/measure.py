"""The measurements of one case, in the order in which they run. pytest-benchmark times the rounds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench.worker.plugin import Bench
from bench.worker.warmup import warm_up

#: Steps ahead that a warm-up may use at the most, for the length of its input pipeline.
WARMUP_STEPS = 20_000
#: A fine-tune reports its progress about this often.
PROGRESS_SECONDS = 0.5


def test_proof(case: str, bench: Bench) -> None:
    """The evidence for the proof of sameness."""
    if not bench.job.proof_steps:
        pytest.skip("an earlier launch of this case has proven it")
    bench.give_evidence()


@pytest.mark.parametrize("kind", ["pipeline", "compute"])
def test_throughput(kind: str, case: str, bench: Bench, benchmark) -> None:
    """Training steps: with the framework's own input pipeline, and on batches that are on the device already."""
    job, baton = bench.job, bench.baton
    if not job.rounds:
        pytest.skip("this job measures no rounds")
    baton.say("phase", name=f"{kind} warm-up")
    training = bench.start(kind, WARMUP_STEPS)
    warm = warm_up(training.advance)
    training.close()
    baton.give_back("calibrated", kind=kind, **warm._asdict())

    steps = baton.take()["steps"]
    training = bench.start(kind, steps * (job.rounds + 1))
    training.advance(steps)  # a pipeline's start belongs to no round
    baton.say("phase", name=f"{kind} rounds")
    baton.give_back("ready")
    try:
        benchmark.pedantic(
            training.advance,
            args=(steps,),
            setup=lambda: baton.take() and None,
            teardown=lambda steps: baton.give_back("round"),
            rounds=job.rounds,
        )
    finally:
        # The last round's baton is back already; after an exception this is where it comes back.
        baton.give_back("aborted")
    baton.take()
    training.close()
    images = steps * bench.task.batch_size
    benchmark.extra_info.update(
        case=job.case,
        kind=kind,
        steps_per_round=steps,
        images_per_round=images,
        images_per_second=images / benchmark.stats.stats.median,
    )
    if kind == "pipeline":
        bench.report_memory()
    bench.trainer.reset()


def test_fine_tune(case: str, bench: Bench) -> None:
    """The whole fine-tune of the task, for real, and its accuracy on the whole test set."""
    job, baton = bench.job, bench.baton
    if not job.fine_tune:
        pytest.skip("this launch does not fine-tune")
    baton.give_back("fine-tune ready")
    baton.take()
    baton.say("phase", name="fine-tune")
    bench.trainer.reset()
    began = time.perf_counter()
    training = bench.trainer.start(*bench.train, bench.order)
    losses = [_epoch(bench, training.advance, epoch) for epoch in range(bench.task.epochs)]
    seconds = time.perf_counter() - began
    training.close()
    intact = bench.unchanged_tensors()

    baton.say("phase", name="evaluation")
    began = time.perf_counter()
    images, labels = bench.test
    size = bench.evaluation_batch
    logits = np.concatenate([bench.trainer.logits(images[at : at + size]) for at in range(0, len(images), size)])
    evaluation_s = time.perf_counter() - began
    predictions = logits.argmax(axis=1)
    np.savez(job.folder / "fine_tune.npz", allow_pickle=False, predictions=predictions, labels=labels, **intact)
    baton.say(
        "fine-tuned",
        seconds=seconds,
        evaluation_s=evaluation_s,
        train_loss=losses,
        correct=int((predictions == labels).sum()),
    )


def _epoch(bench: Bench, advance, epoch: int) -> float:
    """One epoch in pieces that let progress be seen; the mean loss per image."""
    total = bench.order.steps_per_epoch
    done, piece, loss_sum, images = 0, 1, 0.0, 0
    while done < total:
        piece = min(piece, total - done)
        began = time.perf_counter()
        loss = advance(piece)
        took = time.perf_counter() - began
        done += piece
        size = piece * bench.task.batch_size
        if done == total:
            size = len(bench.order.permutations[0]) - images if not bench.order.drop_last else size
        loss_sum += loss * size
        images += size
        bench.baton.say("progress", epoch=epoch, steps=done, of=total)
        piece = max(1, round(piece * PROGRESS_SECONDS / max(took, 1e-9)))
    return loss_sum / images
