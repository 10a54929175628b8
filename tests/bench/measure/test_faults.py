"""Faults in real processes: kills at random moments, no memory, a full disk, a clock that jumps."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.analysis.launches import group_by_task
from bench.measure import resume, worker_process
from bench.records import store
from tests.bench.measure.test_conductor import Watcher, run_launch
from tests.bench.processes import Bench, living, suite_file, wait_until

pytestmark = pytest.mark.slow

#: Kills in each chain of resumed runs, and the number of chains, which run side by side.
KILLS = 10
CHAINS = 2
#: Approximate duration of a complete run of two launches on an idle machine.
RUN_SECONDS = 3.0


@pytest.mark.thorough
def test_kills_at_random_moments_lose_no_finished_launch(tmp_path):
    """Conductors and workers are killed. Each time the run is resumed, until it is done; then a new one starts."""
    folders = [tmp_path / str(number) for number in range(CHAINS)]
    with ThreadPoolExecutor(CHAINS) as pool:
        chains = list(pool.map(chain, folders))
    killed = sum((hit for hit, _ in chains), Counter())
    assert killed.total() >= CHAINS * KILLS
    assert min(killed["conductor"], killed["worker"]) > 0
    assert any(finished for _, finished in chains)


def chain(folder: Path) -> tuple[Counter[str], bool]:
    """One chain of kills: whom they hit, and whether a record was there to be lost."""
    folder.mkdir()
    draw = random.Random(folder.name)
    results, suite = folder / "results", suite_file(folder, launches=2)
    home = {"HEADTOHEAD_HOME": str(folder / "home")}  # each home has its own lock
    run: Path | None = None
    seen: dict[Path, dict[str, object]] = {}
    killed: Counter[str] = Counter()
    lasts = RUN_SECONDS
    while killed.total() < KILLS:
        command = ("--resume", run) if run else ("--suite", suite, "--backend", "pytorch", "--backend", "keras")
        with Bench("run", *command, "--results", results, cwd=folder, **home) as bench:
            began = time.monotonic()
            if wait_until(lambda: bench.process.poll() is not None, draw.uniform(0.2, lasts)):
                lasts = time.monotonic() - began
            else:
                workers = bench.workers()
                lasts *= 1 if workers else 1.2  # on a busy machine it lasts longer
                victim = draw.choice(["conductor", "worker"]) if workers else "conductor"
                kill(bench.process.pid if victim == "conductor" else draw.choice(workers).pid)
                killed[victim] += 1
                if victim == "conductor":
                    bench.end(10)
                    assert wait_until(lambda w=workers: not living(w), 5), "workers end on their own"
            status = bench.end()
        assert status in (0, 1, -signal.SIGKILL), bench.stdout + bench.stderr
        assert "Traceback" not in bench.stdout + bench.stderr
        for one in store.list_runs(results):
            records, problems = store.read_records(one)
            assert problems == [], "a record is whole or absent"
            now = {f"{r.case} {r.launch}": (r.pipeline, r.fine_tunes, r.failure) for r in records}
            assert seen.get(one, {}).items() <= now.items(), "a finished launch stays unchanged"
            seen[one] = now
        newest = store.list_runs(results)[-1:]
        begun = newest and status == -signal.SIGKILL and (newest[0] / resume.REQUEST_FILE).is_file()
        run = newest[0] if begun else None
    if run:
        with Bench("run", "--resume", run, "--results", results, cwd=folder, **home) as bench:
            assert bench.end() in (0, 1)
        (task,) = group_by_task(store.read_records(run)[0])
        assert all(len(case.finished) + len(case.failed) >= 2 for case in task.cases)
    return killed, any(seen.values())


def kill(pid: int) -> None:
    if psutil.pid_exists(pid):
        psutil.Process(pid).kill()


def test_a_lack_of_memory_is_reported_with_phase_and_peak(tmp_path):
    outcomes = run_launch(tmp_path, "sound", "exhaust memory in round", watcher=Watcher())
    failure = outcomes["exhaust memory in round"].failure
    assert outcomes["sound"].failure is None
    assert failure.phase == "pipeline rounds"
    assert failure.reason.startswith("out of memory at ")
    assert "Unable to allocate" in failure.reason
    assert "smaller --batch-size" in failure.reason
    assert failure.peak > 20 * 2**20


def test_a_kill_for_lack_of_memory_differs_from_any_other_kill(tmp_path, monkeypatch):
    """The kernel's counter is faked: to make it count, a separate control group would be needed."""
    counts = iter(range(1000))
    monkeypatch.setattr(worker_process, "count_out_of_memory_kills", lambda: next(counts))
    failure = run_launch(tmp_path, "die in round", watcher=Watcher())["die in round"].failure
    assert failure.phase == "pipeline rounds"
    assert failure.reason.startswith("out of memory at ")
    assert "killed by SIGKILL" in failure.reason


def test_a_clock_that_jumps_changes_no_figure(tmp_path):
    results = tmp_path / "results"
    command = ("run", "--suite", suite_file(tmp_path, launches=2), "--backend", "pytorch", "--results", results)
    began = time.monotonic()
    with Bench(*command, cwd=tmp_path, JUMPING_CLOCK="yes") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    took = time.monotonic() - began
    records, problems = store.read_records(next(results.iterdir()))
    assert (len(records), problems) == (2, [])
    assert len({record.started[:10] for record in records}) == 2, "the planted clock does jump by days"
    for record in records:
        assert 0 < sum(record.pipeline.seconds) < took
        assert 0 < record.start_up.elapsed_s < took
        assert 0 < record.conditions.seconds < took
        assert all(0 < tune.elapsed_s < took for tune in record.fine_tunes)


@pytest.fixture
def tiny_disk(tmp_path):
    """Makes a file system of a given number of bytes; that needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def make(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        return disk

    yield make
    subprocess.run(["umount", "--lazy", str(disk)], capture_output=True)


def test_a_full_disk_is_reported_in_one_line_and_complete_files_stay(tiny_disk, tmp_path):
    disk = tiny_disk(2**14)
    suite = suite_file(tmp_path, launches=2)
    command = ("run", "--suite", suite, "--backend", "pytorch", "--results", disk)
    with Bench(*command, cwd=tmp_path) as bench:
        bench.until(lambda: "launch 1 of 2" in bench.events)
        (disk / "ballast").write_bytes(b"x" * 2**12)
        with pytest.raises(OSError, match="No space"), (disk / "more").open("wb") as file:
            file.write(b"x" * 2**20)
        workers = bench.workers()
        assert bench.end() == 2
    assert "the disk is full" in bench.stderr
    assert len(bench.stderr.strip().splitlines()) == 1
    assert "Traceback" not in bench.stdout + bench.stderr
    assert wait_until(lambda: not living(workers), 5)
    run = next(path for path in disk.iterdir() if path.is_dir())
    assert not list(run.rglob("*.tmp"))


def test_a_full_home_is_reported_in_one_line_and_no_partial_file_stays(tiny_disk, tmp_path, command_line, monkeypatch):
    disk = tiny_disk(2**20)
    monkeypatch.setenv("HEADTOHEAD_HOME", str(disk))
    refusal = command_line("run", "--task", "embedded", "--weights", "random")
    assert (refusal.status, refusal.out) == (2, "")
    assert refusal.err.startswith(f"bench: {disk / 'checkpoints'} cannot be written (")
    assert "No space left on device" in refusal.err
    assert refusal.err.count("\n") == 1
    assert list((disk / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("size", [2**14, 98_304])
def test_a_full_temporary_folder_is_reported_in_one_line(tiny_disk, tmp_path, size):
    """Either the images do not fit, or they do but a worker's files do not."""
    disk = tiny_disk(size)
    command = ("run", "--suite", suite_file(tmp_path), "--backend", "pytorch", "--results", tmp_path / "results")
    with Bench(*command, cwd=tmp_path, TMPDIR=str(disk)) as bench:
        status = bench.end()
    assert "Traceback" not in bench.stdout + bench.stderr
    if "cannot write the images" in bench.stderr:
        assert status == 2
        assert len(bench.stderr.strip().splitlines()) == 1
    else:
        assert status == 1
        assert "the disk of temporary files is full" in bench.stdout.replace("\n", " ")
