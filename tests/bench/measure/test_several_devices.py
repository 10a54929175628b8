"""A case on several devices: its processes are one worker, and none outlives another."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.machine.core_shares import deal_cores
from bench.measure import conductor
from bench.measure.launch_outcome import WorkerOutcome
from bench.parity.sameness_proof import prove
from bench.records.record import Memory, Phase, Proof
from tests.bench.measure.test_conductor import Watcher, find_worker, make_jobs
from tests.bench.processes import SITE, Bench, arguments_of, living, suite_file, wait_until


def run_launch(
    folder: Path,
    *names: str,
    watcher: Watcher | None = None,
    devices: int = 2,
    features: bool = False,
    **variables: str,
) -> dict[str, WorkerOutcome]:
    """Run a launch of cases on several devices, each with the fault that it is named after; `alone` has one device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SITE))
        patch.setattr(conductor, "ROUND_TIMEOUT", 5.0)
        for name, value in variables.items():
            patch.setenv(name, value)
        made = []
        for job in make_jobs(folder, *names):
            change = {"threads": 2, "devices": None if job.case == "alone" else 2}
            change |= {"features": "cached"} if features else {}
            job = job.model_copy(update={"variant": job.variant.model_copy(update=change)})
            made.append(job.model_copy(update={"features": folder / f"{job.case}.safetensors"}) if features else job)
        done = conductor.run_launch(made, 0.001, random.Random(1), watcher or Watcher())
    return {outcome.job.case: outcome for outcome in done.outcomes}


def read_proof(outcome: WorkerOutcome, reference: WorkerOutcome) -> Proof:
    """The verdict of the proof of sameness on a case."""
    loaded = []
    for one in (outcome, reference):
        with np.load(one.job.folder / "proof.npz") as evidence:
            loaded.append(dict(evidence))
    return prove(*loaded, one.job.task, None)


def test_cores_are_dealt_out_without_overlap():
    assert deal_cores([0, 1, 4, 5, 6], 2) == ((0, 1), (4, 5))
    assert deal_cores([3, 7], 2) == ((3,), (7,))
    assert deal_cores([3, 7], 3) == ((3,), (7,), (3,))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A launch of a case on one device and one on two."""
    watcher = Watcher()
    return run_launch(tmp_path_factory.mktemp("sound"), "alone", "two", watcher=watcher), watcher


@pytest.mark.slow
def test_the_processes_of_a_case_are_one_worker_to_the_conductor(sound):
    outcomes, watcher = sound
    assert [outcome.failure for outcome in outcomes.values()] == [None, None]
    assert {case for _, _, case in watcher.rounds} == {"alone", "two"}
    assert len([1 for kind, _, case in watcher.rounds if (kind, case) == ("pipeline", "two")]) == 4
    resolved = outcomes["two"].messages["built"]["resolved"]
    assert resolved["devices"] == 2
    assert resolved["flags"]["exchange"] == "pickle"
    assert resolved["intra_op_threads"] == 1
    first, second = map(set, resolved["cores"])
    assert first
    assert second
    assert not first & second or len(os.sched_getaffinity(0)) == 1
    assert "devices" not in outcomes["alone"].messages["built"]["resolved"]


@pytest.mark.slow
def test_the_memory_of_a_case_is_that_of_all_its_processes(sound):
    outcomes, _ = sound
    memory = {case: outcome.messages["memory"] for case, outcome in outcomes.items()}
    for phase in memory["two"]["host"]:
        assert len(phase["processes"]) == 2
        assert phase["peak"] == sum(phase["processes"])
        assert min(phase["processes"]) > 20e6, "a Python with NumPy"
    assert all("processes" not in phase for phase in memory["alone"]["host"])


@pytest.mark.slow
def test_two_devices_train_the_same_head_as_one(sound):
    outcomes, _ = sound
    proof = read_proof(outcomes["two"], outcomes["alone"])
    assert (proof.status, proof.reason) == ("proven", "")
    checks = {check.name: check for check in proof.checks}
    assert checks["trajectory"].difference < 1e-6
    assert checks["one head"].difference == 0
    assert {"division of a batch", "division in the pipeline"} <= checks.keys()
    losses = [outcome.messages["fine-tuned 0"]["train_loss"] for outcome in outcomes.values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.thorough
def test_two_devices_train_on_cached_features(tmp_path):
    outcomes = run_launch(tmp_path, "alone", "two", features=True)
    assert [outcome.failure for outcome in outcomes.values()] == [None, None]
    assert read_proof(outcomes["two"], outcomes["alone"]).status == "proven"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("no average", "one head"),
        ("no division", "division of a batch"),
        ("no division in the pipeline", "division in the pipeline"),
    ],
)
def test_a_backend_that_divides_or_averages_wrongly_fails_the_proof(tmp_path, sound, fault, check):
    outcomes = run_launch(tmp_path, fault)
    proof = read_proof(outcomes[fault], sound[0]["alone"])
    assert proof.status == "failed"
    assert check in [one.name for one in proof.checks if not one.passed]


@pytest.mark.thorough
def test_a_dead_peer_ends_the_case_and_no_other(tmp_path):
    faults = ("peer dies in round", "peer raises in build", "peer hangs in round", "die in round")
    began: dict[str, float] = {}

    class Timer(Watcher):
        def on_event(self, case, message) -> None:
            super().on_event(case, message)
            if message["event"] == "peer died":
                began[case] = time.monotonic()
            if message["event"] == "died" and case in began:
                began[case] = time.monotonic() - began[case]

    outcomes = run_launch(tmp_path, *faults, "two", watcher=Timer())
    reasons = {case: outcome.failure.reason if outcome.failure else None for case, outcome in outcomes.items()}
    assert reasons["two"] is None
    assert reasons["peer dies in round"].startswith("process 1 of 2: killed by SIGKILL")
    assert any("the last words" in line for line in outcomes["peer dies in round"].failure.last_lines)
    assert reasons["peer raises in build"] == "process 1 of 2: ValueError: planted: raised in a peer"
    assert reasons["peer hangs in round"] == "no answer for 5 s, killed"
    assert any("_fail" in line for line in outcomes["peer hangs in round"].failure.stacks)
    assert reasons["die in round"].startswith("killed by SIGKILL")
    assert began["peer dies in round"] < 5
    assert not list_living_workers()


def list_living_workers() -> list[str]:
    """The command lines of living peers and workers that this process has started."""
    return [
        " ".join(arguments_of(p))
        for p in psutil.Process().children(recursive=True)
        if "bench.worker" in str(arguments_of(p))
    ]


@pytest.mark.thorough
def test_processes_meet_at_another_port_if_theirs_is_taken(tmp_path):
    outcomes = run_launch(tmp_path, "two", PORT_TAKEN="1")
    assert outcomes["two"].failure is None


def find_peers(pid: int) -> list[int]:
    """The process numbers of the peers below a process."""
    family = psutil.Process(pid).children(recursive=True)
    return [p.pid for p in family if p.is_running() and "bench.worker.group.peer" in arguments_of(p)]


@pytest.mark.thorough
def test_ctrl_c_leaves_no_peer(tmp_path):
    suite = suite_file(tmp_path, launches=3)
    with Bench("run", "--suite", suite, "--backend", "pytorch", "--devices", 2, cwd=tmp_path) as bench:
        bench.until(lambda: "launch 2 of 3" in bench.events and find_peers(bench.process.pid))
        alive = bench.workers()
        os.killpg(bench.process.pid, signal.SIGINT)
        assert bench.end(30) == 130
    assert len(alive) >= 2
    assert wait_until(lambda: not living(alive), 5)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(6))
def test_whichever_process_is_killed_whenever_none_is_left_after_five_seconds(tmp_path, seed):
    draw = random.Random(seed)
    victim, delay = seed % 2, draw.uniform(0.0, 3.0)
    killed: list[tuple[float, list[psutil.Process]]] = []

    def kill() -> None:
        while len(family := list_family()) < 2:
            time.sleep(0.01)
        time.sleep(delay)
        family[victim].kill()
        killed.append((time.monotonic(), family))

    def list_family() -> list[psutil.Process]:
        try:
            worker = find_worker("sleep 20")
            return [worker, *(p for p in worker.children() if "bench.worker.group.peer" in arguments_of(p))]
        except (StopIteration, psutil.Error):  # not started yet, or one of them has just ended
            return []

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = run_launch(tmp_path, "sleep 20")["sleep 20"]
    thread.join()
    (moment, family), failure = killed[0], outcome.failure
    assert wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), 5)
    assert time.monotonic() - moment < 6
    assert failure.reason.startswith("process 1 of 2: killed by SIGKILL" if victim else "killed by SIGKILL")


def test_the_peaks_of_the_processes_are_in_a_record_and_absent_on_one_device():
    one, two = Phase(name="training", peak=5, live=4), Phase(name="training", peak=9, live=8, processes=(4, 5))
    written = Memory(host=(one, two), resettable=True, device_allocated=None, device_reserved=None, nvml_device=None)
    assert ["processes" in phase for phase in written.model_dump()["host"]] == [False, True]
    assert Memory.model_validate_json(written.model_dump_json()) == written
