"""One complete `bench run` with the real frameworks, checked in all respects; other runs use arithmetic backends."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest

from backends.task import Variant
from bench.analysis.costs import split_wall_time
from bench.measure import conductor
from bench.measure import run as run_module
from bench.measure.case_job import format_case_id
from bench.measure.launch_outcome import LaunchInterrupted, LaunchOutcome, WorkerOutcome
from bench.measure.stop_signals import SignalDeferral
from bench.plan import suite as suite_module
from bench.plan.prepared_task import PreparedTask, override_task
from bench.plan.task_table import TASKS
from bench.records import store
from bench.records.launch_rows import COLUMNS
from bench.worker.job import Job
from tests.bench.processes import Bench, living, suite_file, wait_until

NAMES = ("pytorch", "tensorflow", "keras")
REST_SECONDS = 3
ROUNDS = 4
#: A user's configuration of Keras that changes what is computed; with `channels_first` the engine TensorFlow fails.
KERAS_CONFIGURATION = {"floatx": "float16", "epsilon": 1e-3, "backend": "jax", "image_data_format": "channels_first"}


class Run:
    """A finished run: its exit status, output and files, and the CPU time that it used while it was paused."""

    def __init__(self, folder) -> None:
        self.results = folder / "results"
        suite = suite_file(folder, rounds=ROUNDS, round_seconds=0.1)
        (folder / "keras.json").write_text(json.dumps(KERAS_CONFIGURATION))
        real = {"REAL": "yes", "SHORT_WARMUP": "yes", "KERAS_HOME": str(folder), "KERAS_BACKEND": "jax"}
        with Bench("run", "--suite", suite, "--results", self.results, cwd=folder, **real) as bench:
            bench.until(lambda: bench.events.count("pipeline rounds") == 3, 300)
            bench.process.send_signal(signal.SIGSTOP)  # the worker with the baton ends its round, and then all wait
            tree = [psutil.Process(bench.process.pid), *bench.workers()]
            self.processes = len(tree)
            wait_until(lambda: self._at_rest(tree), 60)
            before = self._cpu_seconds(tree)
            time.sleep(REST_SECONDS)
            self.rest_cpu_share = (self._cpu_seconds(tree) - before) / REST_SECONDS
            bench.process.send_signal(signal.SIGCONT)
            self.status = bench.end()
            self.left_processes = living(tree)
        self.stdout, self.stderr = bench.stdout, bench.stderr
        self.folder = next(self.results.iterdir())
        self.records, self.problems = store.read_records(self.folder)

    def _at_rest(self, tree) -> bool:
        before = self._cpu_seconds(tree)
        time.sleep(0.5)
        return self._cpu_seconds(tree) == before

    @staticmethod
    def _cpu_seconds(tree) -> float:
        return sum(p.cpu_times().user + p.cpu_times().system for p in tree)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return Run(tmp_path_factory.mktemp("run"))


@pytest.mark.slow
def test_the_run_succeeds_and_leaves_no_process(run):
    assert run.status == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert run.left_processes == []
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.slow
def test_the_folder_has_all_files_and_no_unfinished_one(run):
    assert {path.name for path in run.folder.iterdir()} == {
        "benchmark.json",
        "results.csv",
        "environment.json",
        "tables.md",
        "report.html",
        "records",
        "request.json",
    }
    assert len(list((run.folder / "records").iterdir())) == 3
    assert run.problems == []
    assert f"Results: {run.folder}" in run.stdout


@pytest.mark.slow
def test_the_three_do_the_same_fine_tune(run):
    status = {record.backend: record.proof.status for record in run.records}
    assert status == {"pytorch": "reference", "tensorflow": "proven", "keras": "proven"}
    assert len({record.proof.weights_hash for record in run.records}) == 1
    assert len({record.proof.order_hash for record in run.records}) == 1
    for record in run.records:
        if record.backend != "pytorch":
            assert {"outcome", "predictions", "frozen after fine-tune"} <= {c.name for c in record.proof.checks}


@pytest.mark.slow
def test_the_records_contain_all_measurements(run):
    for record in run.records:
        assert record.failure is None
        assert len(record.pipeline.seconds) == len(record.compute.seconds) == ROUNDS
        assert record.fine_tunes[0].train_images == 64
        assert record.fine_tunes[0].correct is None, "random weights have no accuracy"
        assert record.start_up.import_s > 0
        assert record.memory.phase("training").peak > record.memory.phase("interpreter").peak > 0
        assert record.memory.device_allocated is None
        assert record.resolved["intra_op_threads"] == record.variant.threads
    for kind in ("pipeline", "compute"):
        assert len({getattr(record, kind).steps for record in run.records}) == 1, "all do the same steps"


@pytest.mark.slow
def test_the_users_configuration_of_keras_decides_nothing(run):
    for record in run.records:
        assert record.proof.comparable, record.proof.reason
        assert record.disobeyed == {"KERAS_BACKEND": ("jax", "tensorflow")}
        assert [one.name for one in record.warnings if one.name == "knob-without-effect"] == []
    assert "KERAS_BACKEND was jax and is tensorflow in the worker" in run.stdout
    about = json.loads((run.folder / "environment.json").read_text())
    assert about["keras_configuration"] == {name: str(value) for name, value in KERAS_CONFIGURATION.items()}
    assert about["frameworks"]["keras/default"]["variables"]["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.slow
def test_the_parts_of_a_fine_tune_add_up_to_its_wall_time(run):
    for record in run.records:
        parts = dataclasses.asdict(split_wall_time(record, record.fine_tunes[0], compute_share=0.9))
        wall = parts.pop("wall")
        assert sum(parts.values()) == pytest.approx(wall, rel=0.03)
        assert min(parts[name] for name in ("imported", "build", "first_step", "evaluation", "rest")) > 0


@pytest.mark.slow
def test_the_csv_has_exactly_the_documented_columns(run):
    rows = pd.read_csv(run.folder / "results.csv")
    assert tuple(rows.columns) == COLUMNS
    assert sorted(rows["backend"]) == sorted(NAMES)
    assert (rows["images_per_second"] > 0).all()


@pytest.mark.slow
def test_the_environment_file_describes_the_run(run):
    about = json.loads((run.folder / "environment.json").read_text())["run"]
    assert about["suite"]["rounds"] == ROUNDS
    assert about["interleaved"] is True
    assert about["skipped"] == {}
    assert "--suite" in about["command"]


@pytest.mark.slow
def test_show_prints_the_same_end_below_a_heading(run, command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = command_line("show", "--results", run.results)
    assert shown.status == 0
    heading, _, end = shown.out.partition("\n\n")
    assert heading.startswith(f"{run.folder.name}: cifar10-resnet18, ")
    assert len(end) > 500
    assert end.strip() in run.stdout


@pytest.mark.slow
def test_pytest_benchmark_compares_the_file(run, tmp_path):
    command = [sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare"]
    done = subprocess.run(
        [*command, str(run.folder / "benchmark.json")], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for backend in NAMES:
        assert f"{backend}-default-cifar10-resnet18" in done.stdout


@pytest.mark.slow
def test_waiting_workers_and_the_conductor_use_almost_no_cpu(run):
    assert run.processes >= 4, "the conductor, three workers, and PyTorch's loader"
    assert run.rest_cpu_share < 0.01, "of one core, all of them together"


@pytest.mark.slow
def test_one_backend_is_proven_against_a_reference_that_is_not_measured(tmp_path):
    results = tmp_path / "results"
    command = ("run", "--suite", suite_file(tmp_path), "--backend", "keras", "--results", results)
    with Bench(*command, cwd=tmp_path) as bench:
        assert bench.end() == 0
        events = bench.events
    records, _ = store.read_records(next(results.iterdir()))
    assert [(record.backend, record.proof.status) for record in records] == [("keras", "proven")]
    assert "pytorch/default: proof\n" in events, "its proof is shown in the progress"
    assert "keras/default: 2 pipeline rounds\n" in events
    assert not re.search(r"pytorch/default: \d+ \w+ rounds", events)


@pytest.mark.slow
def test_a_backend_without_its_package_is_skipped_with_a_message(tmp_path):
    results = tmp_path / "results"
    command = ("run", "--suite", suite_file(tmp_path, launches=2), "--isolated", "--results", results)
    with Bench(*command, cwd=tmp_path, MISSING="tensorflow") as bench:
        assert bench.end() == 0
    text = " ".join(bench.stdout.split())
    assert "Skipped: tensorflow: no_such_package not installed: pip install 'head-to-head[tensorflow]'" in text
    run = next(results.iterdir())
    assert "pip install 'head-to-head[tensorflow]'" in (run / "tables.md").read_text()
    records, _ = store.read_records(run)
    assert [(r.backend, r.launch) for r in records] == [("keras", 1), ("keras", 2), ("pytorch", 1), ("pytorch", 2)]
    assert all(record.pipeline and record.proof.comparable for record in records)
    assert [bool(record.fine_tunes) for record in records] == [False, True, False, True], (
        "the first launch has no fine-tune if others follow: the first ratios come sooner"
    )


class Planned:
    """A plan of two cases whose launches are made up; `launch` says which worker a signal ends."""

    def __init__(self, monkeypatch, isolated: bool, launch) -> None:
        task = TASKS["embedded"]
        prepared = PreparedTask(task, (), None, None, fine_tune=True)
        self.cases = [("pytorch", Variant()), ("keras", Variant())]
        self.prepared, self.launch = prepared, launch
        suite = suite_module.load("quick").model_copy(update={"most_minutes": None, "launches": 2})
        self.plan = SimpleNamespace(
            isolated=isolated, suite=suite, seeds=3, default=Variant(), cases=lambda prepared: self.cases
        )
        monkeypatch.setattr(run_module, "_make_jobs", lambda *_: [self.make_job(*case) for case in self.cases])
        monkeypatch.setattr(
            run_module.record_builder, "build_proof", lambda outcome, reference, _: reference and "proof"
        )
        monkeypatch.setattr(conductor, "run_launch", self.run_launch)

    def make_job(self, backend: str, variant: Variant) -> Job:
        case = format_case_id(self.prepared, backend, variant)
        return Job.model_construct(case=case, backend=backend, variant=variant, proof_steps=3)

    def run_launch(self, jobs, *_, **__):
        names = [job.backend for job in jobs]
        finished = self.launch(names)
        messages = {name: {"proven": {}} for name in ("pytorch", "keras")}
        outcomes = [WorkerOutcome(job, messages[job.backend]) for job in jobs]
        done = LaunchOutcome(outcomes, 1.0, None)
        if finished == names:
            return done
        cases = frozenset(job.case for job in jobs if job.backend in finished)
        raise LaunchInterrupted(done, cases)

    def run(self) -> tuple[list[str], bool]:
        """The backends whose cases are kept, and whether the launch was stopped."""
        watcher = SimpleNamespace(start_launch=lambda *_: None)
        launch = run_module.NextLaunch(1, ())
        with SignalDeferral() as deferral:
            done = run_module._run_launch(self.plan, self.prepared, launch, None, {}, None, watcher, deferral)
        return [case.outcome.job.backend for case, _ in done.cases], done.stopped


@pytest.mark.parametrize(
    ("isolated", "launch", "kept"),
    [
        (False, lambda names: names, ["pytorch", "keras"]),
        (False, lambda names: ["keras"], ["keras"]),
        (False, lambda names: [], []),
        (True, lambda names: [] if names == ["keras"] else names, ["pytorch"]),
        (True, lambda names: [] if names == ["pytorch"] else names, []),
    ],
)
def test_a_signal_loses_only_the_cases_that_had_not_finished(monkeypatch, isolated, launch, kept):
    assert Planned(monkeypatch, isolated, launch).run() == (kept, len(kept) < 2)


def test_a_case_without_the_reference_that_was_to_come_is_measured_again(monkeypatch):
    """Otherwise its proof would stay unproven when the run is resumed."""
    planned = Planned(monkeypatch, True, lambda names: [] if names == ["pytorch"] else names)
    planned.cases.reverse()
    planned.run_launch = lambda *_, **__: None
    complete = LaunchOutcome([WorkerOutcome(planned.make_job(*planned.cases[0]))], 1.0, None)
    reference = WorkerOutcome(planned.make_job(*planned.cases[1]))
    ended = LaunchInterrupted(LaunchOutcome([reference], 1.0, None), frozenset())
    steps = iter((complete, ended))

    def run_launch(*_, **__):
        step = next(steps)
        if isinstance(step, BaseException):
            raise step
        return step

    monkeypatch.setattr(conductor, "run_launch", run_launch)
    assert planned.run() == ([], True)


def test_the_seeds_of_a_launch_that_a_signal_ended_are_not_done(monkeypatch):
    planned = Planned(monkeypatch, False, None)

    def make_record(backend: str, launch: int, seed: int) -> SimpleNamespace:
        case = format_case_id(planned.prepared, backend, Variant())
        return SimpleNamespace(case=case, launch=launch, fine_tunes=[SimpleNamespace(seed=seed)])

    complete = [make_record("pytorch", 1, 0), make_record("keras", 1, 0)]
    cut_off = [make_record("pytorch", 2, 1)]
    found = run_module._plan_next_launch(planned.plan, planned.prepared, [*complete, *cut_off], lambda _: True, 0.0)
    assert (found.number, found.seeds) == (3, (1, 2))


def test_a_case_id_names_backend_variant_and_task():
    task, changed = override_task("cifar10-resnet18", {})
    plain = PreparedTask(task, changed, None, None, True)
    assert format_case_id(plain, "keras", Variant()) == "keras-default-cifar10-resnet18"
    task, changed = override_task("cifar10-resnet18", {"batch_size": 8})
    other = PreparedTask(task, changed, None, None, True)
    assert format_case_id(other, "keras", Variant()) == f"keras-default-cifar10-resnet18-{task.hash}"
