"""The conductor with real workers: the order of their work, and how the others go on when one fails."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from backends.task import Task, Variant
from bench import data
from bench.data.subset import limit_training_images
from bench.measure import conductor, record_builder, silence
from bench.measure.launch_outcome import WorkerOutcome
from bench.measure.worker_environment import build_environment
from bench.records.round_kinds import COMPARED, KINDS
from bench.weights import checkpoints
from bench.worker.job import Job
from bench.worker.planted_fault import PlantedFault
from tests.bench.processes import SITE, arguments_of, living

TASK = Task(
    name="sound",
    backbone="resnet18",
    weights="random",
    dataset="digits",
    image_size=32,
    batch_size=4,
    epochs=1,
    train_limit=64,
)


class Watcher:
    """Notes all progress; may call `between` after each round, when no worker has the baton."""

    def __init__(self, between=lambda kind, number: None) -> None:
        self.rounds: list[tuple[str, int, str]] = []
        self.events: list[tuple[str, str]] = []
        self.between = between

    def on_event(self, case, message) -> None:
        self.events.append((case, message["event"]))

    def on_round(self, case, kind, number, of, images_per_second) -> None:
        self.rounds.append((kind, number, case))
        self.between(kind, number)


def make_jobs(folder: Path, *names: str, rounds: int = 4, later: int = 0) -> list[Job]:
    """Make a job for each name, which is its case and also the fault of its arithmetic backend."""
    dataset = limit_training_images(data.load("digits"), TASK.train_limit, 0)
    kinds = ("train_images", "train_labels", "test_images", "test_labels")
    save_file({kind: getattr(dataset, kind) for kind in kinds}, folder / "data.safetensors")
    checkpoint = checkpoints.obtain(TASK).folder
    made = []
    for name in names:
        (folder / name).mkdir()
        made.append(
            Job(
                case=name,
                backend="pytorch",
                task=TASK.model_copy(update={"name": name}),
                variant=Variant(threads=1),
                data=folder / "data.safetensors",
                scratch=folder,
                checkpoint=checkpoint,
                folder=folder / name,
                proof_images=4,
                proof_steps=3,
                rounds=rounds,
                later=later,
                seeds=(0,),
                descriptor=-1,
            )
        )
    return made


def run_launch(
    folder: Path, *names: str, watcher: Watcher, rounds: int = 4, later: int = 0, round_seconds: float = 0.02
) -> dict[str, WorkerOutcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SITE))
        patch.setattr(conductor, "ROUND_TIMEOUT", 5.0)
        made = make_jobs(folder, *names, rounds=rounds, later=later)
        done = conductor.run_launch(made, round_seconds, random.Random(1), watcher)
    return {outcome.job.case: outcome for outcome in done.outcomes}


def find_worker(case: str) -> psutil.Process:
    """Find the worker that runs a case, by its job file."""
    children = living(psutil.Process().children())
    return next(p for p in children if any(f"/{case}/job.json" in part for part in arguments_of(p)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A launch of three cases without failures, one of which sleeps 10 ms in every step.

    All do the same number of steps, so its rounds last a hundred times as long as those of the others.
    """
    watcher = Watcher()
    folder = tmp_path_factory.mktemp("sound")
    outcomes = run_launch(folder, "a", "b", "sleep 10", watcher=watcher, later=2, round_seconds=0.002)
    return outcomes, watcher, folder


@pytest.mark.slow
def test_every_worker_finishes_and_writes_its_files(sound):
    outcomes, _, folder = sound
    assert [outcome.failure for outcome in outcomes.values()] == [None] * 3
    for case, outcome in outcomes.items():
        assert {p.name for p in (folder / case).glob("*.npz")} == {"proof.npz", "fine_tune.npz"}
        assert (folder / case / "benchmark.json").stat().st_size
        messages = outcome.messages
        assert set(messages) >= {
            "built",
            "proven",
            "memory",
            "calibrated pipeline",
            "calibrated compute",
            "fine-tuned 0",
        }
        assert messages["fine-tuned 0"]["correct"] > 36, "better than chance on 360 test images"


@pytest.mark.slow
def test_rounds_interleave_and_every_second_order_is_the_reverse(sound):
    _, watcher, _ = sound
    for kind in KINDS:
        orders = [[case for k, n, case in watcher.rounds if (k, n) == (kind, number)] for number in (1, 2, 3, 4)]
        assert [sorted(order) for order in orders] == [["a", "b", "sleep 10"]] * 4
        assert orders[1] == orders[0][::-1]
        assert orders[3] == orders[2][::-1]


@pytest.mark.slow
def test_later_rounds_follow_after_the_first_ones_of_all_kinds_and_count_with_them(sound):
    outcomes, watcher, _ = sound
    order = list(dict.fromkeys((kind, number) for kind, number, _ in watcher.rounds))
    first = [(kind, number) for kind in COMPARED for number in (1, 2)]
    later = [(kind, number) for kind in COMPARED for number in (3, 4)]
    assert order == [*first, *(("loader", number) for number in (1, 2, 3, 4)), *later]
    for outcome in outcomes.values():
        assert {
            kind: len(seconds) for kind, seconds in record_builder.read_step_seconds(outcome).items()
        } == dict.fromkeys(KINDS, 4)
        assert [phase["name"] for phase in outcome.messages["memory"]["host"]].count("training") == 1
    by_case = {case: record_builder.read_step_seconds(outcome)["compute"] for case, outcome in outcomes.items()}
    assert min(by_case["sleep 10"]) > 0.01 > max(by_case["a"]), "in both halves"


@pytest.mark.slow
def test_the_first_worker_waits_while_the_others_start(sound):
    _, watcher, _ = sound
    calibrated = watcher.events.index(("a", "calibrated"))
    assert calibrated < watcher.events.index(("b", "phase"))
    assert watcher.events.index(("sleep 10", "calibrated")) < watcher.events.index(("a", "ready"))


@pytest.mark.slow
def test_all_cases_do_the_same_steps_and_a_planted_sleep_appears_in_full(sound):
    _, _, folder = sound
    entries = {
        case: json.loads((folder / case / "benchmark.json").read_text())["benchmarks"] for case in ("a", "sleep 10")
    }
    for quick, slow in zip(entries["a"], entries["sleep 10"], strict=True):
        steps = slow["extra_info"]["steps_per_round"]
        if slow["extra_info"]["kind"] == "loader":
            continue  # nothing is compared with it, and it has no sleep
        assert quick["extra_info"]["steps_per_round"] == steps
        assert len(slow["stats"]["data"]) == 2, "in each half"
        assert min(slow["stats"]["data"]) >= steps * 0.010
        images = slow["extra_info"]["images_per_round"]
        assert images == steps * TASK.batch_size
        median = np.median(slow["stats"]["data"])
        assert slow["extra_info"]["images_per_second"] == pytest.approx(images / median)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """One launch with a worker for every kind of failure, and one without a fault."""

    def between(kind, number):
        if (kind, number) == ("pipeline", 1) and not killed:
            killed.append(find_worker("resting"))
            grandchildren.extend(killed[0].children(recursive=True))
            killed[0].kill()

    killed: list[psutil.Process] = []
    grandchildren: list[psutil.Process] = []
    watcher = Watcher(between)
    names = (
        "sound",
        "raise in build",
        "raise in round",
        "die in round",
        "hang in round",
        "raise in fine-tune",
        "resting",
    )
    outcomes = run_launch(tmp_path_factory.mktemp("failing"), *names, watcher=watcher)
    return outcomes, [*killed, *grandchildren]


@pytest.mark.slow
def test_other_workers_go_on_when_some_fail(failing):
    outcomes, _ = failing
    assert [case for case, outcome in outcomes.items() if not outcome.failure] == ["sound"]
    assert "fine-tuned 0" in outcomes["sound"].messages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "phase", "reason"),
    [
        ("raise in build", "build", "ValueError: planted: raised in build"),
        ("raise in round", "pipeline rounds", "ArithmeticError: planted: raised in round"),
        ("raise in fine-tune", "fine-tune", "ArithmeticError: planted: raised in fine-tune"),
        ("die in round", "pipeline rounds", "killed by SIGKILL: by someone, or by the kernel because memory ran out"),
        ("resting", "pipeline rounds", "killed by SIGKILL: by someone, or by the kernel because memory ran out"),
        ("hang in round", "pipeline rounds", "no answer for 5 s, killed"),
    ],
)
def test_a_failure_has_its_phase_and_reason(failing, case, phase, reason):
    failure = failing[0][case].failure
    assert (failure.phase, failure.reason) == (phase, reason)


@pytest.mark.slow
def test_a_failure_carries_the_last_lines_of_the_output(failing):
    outcomes, _ = failing
    assert outcomes["die in round"].failure.last_lines[-1].endswith("the last words")
    assert any("planted: raised in round" in line for line in outcomes["raise in round"].failure.last_lines)
    assert len(outcomes["raise in round"].failure.last_lines) <= 12


@pytest.mark.slow
def test_the_failure_of_a_hung_worker_has_its_stacks_and_its_peak(failing):
    failure = failing[0]["hang in round"].failure
    stacks = "\n".join(failure.stacks)
    assert "in _fail" in stacks, "where it sleeps"
    assert "lifeline" in stacks, "the thread that would end it"
    assert failure.peak > 20 * 2**20


@pytest.fixture(scope="module")
def extracting(tmp_path_factory):
    """A launch whose workers extract features: one is longer than it may be silent in each phase, and one hangs."""
    folder = tmp_path_factory.mktemp("extracting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SITE))
        patch.setenv("HEADTOHEAD_HOME", str(folder))
        patch.setattr(conductor, "START_TIMEOUT", 4.0)
        patch.setattr(silence, "CPU_READING_SECONDS", 0.5)
        patch.setattr(silence, "CPU_SIGN_OF_LIFE", 0.1)
        made = [
            job.model_copy(
                update={
                    "variant": Variant(threads=1, features="cached"),
                    "features": folder / f"{job.case}.safetensors",
                    "cache_limit": 10**9,
                    "kinds": (),
                    "proof_steps": 0,
                }
            )
            for job in make_jobs(folder, "slow extraction", "hang in extraction", rounds=0)
        ]
        watcher = Watcher()
        done = conductor.run_launch(made, 0.02, random.Random(1), watcher)
    return {outcome.job.case: outcome for outcome in done.outcomes}, watcher


@pytest.mark.slow
def test_a_worker_that_reports_is_not_ended_however_long_it_takes(extracting):
    slow = extracting[0]["slow extraction"]
    assert slow.failure is None
    assert slow.messages["built"]["start_up"]["extraction_s"] > 5.0 + 4.0, "in each of its phases"
    assert slow.messages["built"]["features"]["form"] == "as in training"
    events = [event for case, event in extracting[1].events if case == "slow extraction"]
    assert events.count("part") >= 6
    assert "fine-tuned 0" in slow.messages


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_with_its_stacks(extracting):
    hung = extracting[0]["hang in extraction"].failure
    assert hung.phase == "extraction, making as in training"
    assert hung.reason == "no answer for 4 s, killed"
    assert any("in extract" in line for line in hung.stacks)


@pytest.mark.slow
def test_no_process_is_left(failing):
    _, killed = failing
    assert len(killed) >= 2, "the worker, and the process that represents its data loader"
    assert living(killed) == []
    assert living(psutil.Process().children(recursive=True)) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from Linux' /proc")
def test_300_planted_mb_appear_in_their_phase_and_in_no_earlier_one(tmp_path):
    made = make_jobs(tmp_path, "plain", "holds", rounds=2)
    made[1] = made[1].model_copy(update={"plant": PlantedFault(memory=300 * 2**20)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SITE))
        done = conductor.run_launch(made, 0.02, random.Random(1), Watcher())
    plain, holds = (
        {phase["name"]: phase["peak"] / 2**20 for phase in outcome.messages["memory"]["host"]}
        for outcome in done.outcomes
    )
    before = ["interpreter", "import", "data", "build", "first step"]
    assert list(plain) == [*before, "training", "fine-tune", "evaluation"]
    assert holds["training"] - plain["training"] == pytest.approx(300, abs=5)
    for phase in before:
        assert holds[phase] == pytest.approx(plain[phase], abs=5)


def test_an_order_is_drawn_for_every_round_and_alternates():
    orders = list(conductor.draw_balanced_orders(["a", "b", "c"], 40, random.Random(2)))
    assert all(second == first[::-1] for first, second in zip(orders[::2], orders[1::2], strict=True))
    assert len({tuple(order) for order in orders}) == 6, "all orders occur"
    first = [order[0] for order in orders]
    assert min(first.count(worker) for worker in "abc") >= 5


def test_a_launch_does_not_change_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--benchmark-disable")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    before = dict(os.environ)
    job = Job.model_construct(backend="pytorch", variant=Variant(threads=3), folder=tmp_path)
    made = build_environment(job)
    assert dict(os.environ) == before
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == "3"
    assert "PYTEST_ADDOPTS" not in made, "the user's options for pytest are not for the workers"
    assert len({len(build_environment(job)["HEADTOHEAD_PADDING"]) for _ in range(20)}) > 10


@pytest.mark.slow
def test_a_worker_that_has_not_finished_at_the_end_has_failed(tmp_path, monkeypatch):
    """Otherwise its rounds would be lost without a message."""
    run_rounds = conductor._LaunchWorkers.run_rounds

    def forgetful(self, kind, *arguments) -> None:
        if kind != "compute":
            run_rounds(self, kind, *arguments)

    monkeypatch.setattr(conductor._LaunchWorkers, "run_rounds", forgetful)
    outcome = run_launch(tmp_path, "sound", watcher=Watcher(), rounds=2)["sound"]
    assert outcome.failure
    assert outcome.failure.reason == "it rests at 'calibrated' when all should have finished"
