"""The measurements of one case, in the order in which they run. pytest-benchmark times the rounds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench.records.correct_images import pack
from bench.records.round_kinds import COMPARED
from bench.worker import kernel_rounds
from bench.worker.epoch import evaluate, train_epoch
from bench.worker.kernels import LAYERS, RATES
from bench.worker.lap_timer import Laps
from bench.worker.plugin import Bench
from bench.worker.step_parts import PARTS
from bench.worker.step_profile import FIRST_STEPS, profile
from bench.worker.warmup import MOST_STEPS, lengthened, warm_up

#: After a pipeline's start and before the first round, as many steps as this share of a round: its buffers fill, and
#: what it tunes by itself (tf.data) settles. The steps themselves are warm since the warm-up.
LEAD_SHARE = 0.2


def test_proof(case: str, bench: Bench) -> None:
    """The evidence for the proof of sameness."""
    if not bench.job.proof_steps:
        pytest.skip("an earlier launch of this case has proven it")
    bench.give_evidence()


@pytest.mark.parametrize("kind", ["pipeline", "compute", "loader", *PARTS, *RATES])
def test_throughput(kind: str, case: str, bench: Bench, benchmark) -> None:
    """Training steps with the framework's own input pipeline, steps on batches that are on the device already, and
    the input pipeline without steps; for a profile, the parts of a step; for a roofline, the framework's kernels.
    """
    job = bench.job
    if not job.rounds or kind not in job.kinds:
        pytest.skip("this job measures no such rounds")
    bench.baton.say("phase", name=f"{kind} warm-up")
    training = bench.start(kind, MOST_STEPS)
    bench.warm[kind] = warm_up(training.advance)
    training.close()
    _rounds(kind, job.first_rounds(kind), bench, benchmark, ends_phase=kind == "pipeline")


@pytest.mark.parametrize("kind", COMPARED)
def test_throughput_later(kind: str, case: str, bench: Bench, benchmark) -> None:
    """More of the same rounds, some time after the first: a slow phase of the machine hits not all of a kind."""
    job = bench.job
    if not job.later or kind not in job.kinds:
        pytest.skip("this job measures no such rounds")
    _rounds(kind, job.later, bench, benchmark)


def _rounds(kind: str, rounds: int, bench: Bench, benchmark, ends_phase: bool = False) -> None:
    """So many rounds, by the baton, after the warm-up of their kind."""
    job, baton = bench.job, bench.baton
    baton.give_back("calibrated", kind=kind, **bench.warm[kind]._asdict())
    told = baton.take()
    steps, run_in = told["steps"], told["run_in"]
    lead = max(1, round(steps * LEAD_SHARE))
    training = bench.start(kind, lead + (steps + run_in) * rounds)
    training.advance(lead)  # a pipeline's start belongs to no round

    def setup() -> None:
        baton.take()
        if run_in:
            training.advance(run_in)

    baton.say("phase", name=f"{kind} rounds")
    baton.give_back("ready")
    try:
        benchmark.pedantic(
            training.advance,
            args=(steps,),
            setup=setup,
            teardown=lambda steps: baton.give_back("round"),
            rounds=rounds,
        )
    finally:
        # The last round's baton is back already; after an exception this is where it comes back.
        baton.give_back("aborted")
    baton.take()
    if ends_phase:
        bench.phases.end("training", children=True)
        bench.device = bench.trainer.device_memory()
    training.close()
    images = steps * bench.task.batch_size
    benchmark.extra_info.update(
        case=job.case,
        kind=kind,
        steps_per_round=steps,
        images_per_round=images,
        images_per_second=images / benchmark.stats.stats.median,
    )
    bench.report_memory()
    bench.trainer.reset()


def test_layers(case: str, bench: Bench) -> None:
    """For a roofline, each convolution alone."""
    if LAYERS not in bench.job.kinds:
        pytest.skip("this job asks for no such thing")
    bench.baton.say("phase", name=LAYERS)
    bench.baton.say(LAYERS, seconds=kernel_rounds.layers(bench.backend, bench.job))


def test_profile(case: str, bench: Bench) -> None:
    """Some training steps under the framework's own profiler."""
    job = bench.job
    if not job.profile_steps:
        pytest.skip("this job asks for no profile")
    bench.baton.say("phase", name="profile")
    training = bench.begin(lengthened(bench.order, FIRST_STEPS + job.profile_steps))
    profile(bench.backend, training, job.profile_steps, job.folder)
    training.close()


def test_fine_tune(case: str, bench: Bench) -> None:
    """The whole fine-tune of the task, for real, and its accuracy on the whole test set; once a seed."""
    job, baton = bench.job, bench.baton
    if not job.seeds:
        pytest.skip("this launch does not fine-tune")
    baton.give_back("fine-tune ready")
    baton.take()
    for seed in job.seeds:
        _fine_tune(bench, seed)
    bench.phases.end("evaluation")
    bench.report_memory()


def _fine_tune(bench: Bench, seed: int) -> None:
    job, baton = bench.job, bench.baton
    baton.say("phase", name="fine-tune")
    bench.order, head = bench.drawn(seed)
    bench.trainer.reset(head)
    started, laps = time.monotonic(), Laps()
    training = bench.begin(bench.order)
    losses = [train_epoch(bench, training.advance, epoch) for epoch in range(bench.task.epochs)]
    laps.end("training")
    training.close()
    laps.end("closing")
    bench.phases.end("fine-tune")
    baton.say("phase", name="evaluation")
    laps.end("harness")

    labels, logits = bench.test[1], evaluate(bench)
    laps.end("evaluation")
    elapsed_s, spent = time.monotonic() - started, laps.seconds
    right = logits.argmax(axis=1) == labels
    if seed == bench.task.seed:
        intact = bench.unchanged_tensors()
        np.savez(
            job.folder / "fine_tune.npz",
            allow_pickle=False,
            predictions=logits.argmax(axis=1),
            labels=labels,
            **intact,
        )
    baton.say(
        "fine-tuned",
        kind=str(seed),
        seconds=spent["training"],
        evaluation_s=spent["evaluation"],
        closing_s=spent["closing"],
        harness_s=spent["harness"],
        elapsed_s=elapsed_s,
        train_loss=losses,
        correct=int(right.sum()),
        right=pack(right),
    )
