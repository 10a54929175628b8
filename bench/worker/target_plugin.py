"""The pytest plugin that measures a pytest-benchmark test of another project, in turns with other workers.

The test is not changed. Its fixture `benchmark` is replaced by one that warms up by this project's rule, and then calls
the test's function equally often in each round. pytest-benchmark still times the rounds.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture, FixtureAlreadyUsed

from bench.machine import memory
from bench.worker import imported_modules
from bench.worker.baton import Baton
from bench.worker.hooks import WorkerHooks
from bench.worker.job import TargetJob
from bench.worker.lifeline import Lifeline
from bench.worker.output_file import UnknownOutput, write_output
from bench.worker.warmup import Warmup, warm_up

KIND = "step"
#: Options of pytest's plugins that a project may have set for all its tests, and that a measurement cannot have: other
#: processes that run the tests, tests that are skipped or not timed, comparisons with earlier results, profiles.
OPTIONS = {
    "numprocesses": 0,
    "dist": "no",
    "benchmark_skip": False,
    "benchmark_disable": False,
    "benchmark_enable": True,
    "benchmark_autosave": False,
    "benchmark_save": None,
    "benchmark_compare": None,
    "benchmark_compare_fail": None,
    "benchmark_histogram": None,
    "benchmark_cprofile": None,
}
#: Warm-up calls of a test with a `setup`, which allows only one call per round.
SINGLE_CALL_WARMUP = 5


def run_job(fields: Mapping[str, Any]) -> int:
    """Run pytest on the test of a job, which is given as its file has it; returns pytest's exit status."""
    job = TargetJob.model_validate(fields)
    lifeline = Lifeline(job.descriptor, job.scratch)
    try:
        return pytest.main([job.target, *_list_arguments(job)], plugins=[TargetPlugin(job)])
    finally:
        lifeline.finish()


def _list_arguments(job: TargetJob) -> list[str]:
    """The arguments of pytest; the project's own `addopts` come before them."""
    autoload = "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ
    return [
        "--quiet",
        "--exitfirst",
        "--tb=native",
        # The last lines of a failed worker's output are shown to the user: they must be its traceback.
        "--disable-warnings",
        "-rN",
        "--color=no",
        "--benchmark-quiet",
        "--capture=no",  # otherwise what a framework prints before a crash would be lost
        # A selection for usual runs, as `-m "not benchmark"`, would deselect the test.
        "-m",
        "",
        "-k",
        "",
        *(["--no-cov"] if autoload and importlib.util.find_spec("pytest_cov") else []),
        *job.pytest_arguments,
        f"--benchmark-json={job.folder / 'benchmark.json'}",
    ]


class TargetPlugin(WorkerHooks):
    """The hooks and fixtures of one job."""

    def __init__(self, job: TargetJob) -> None:
        super().__init__(job.descriptor)
        self.job = job

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """Set the options that a measurement needs, before any plugin reads them."""
        for name, value in OPTIONS.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        return (yield)

    def find_foreign_modules(self) -> dict[str, str]:
        """See `WorkerHooks`: modules of the project that do not come from the revision's files."""
        job = self.job
        return imported_modules.find_project_modules_outside(
            job.top.resolve(), job.source_folders, job.repository, job.distributions
        )

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the fixtures late: the fixture that is registered last replaces pytest-benchmark's."""
        config.pluginmanager.register(_Fixtures(self.job, self._baton))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check that the target is one test.

        Raises:
            pytest.UsageError: the target names several tests.
        """
        if len(session.items) > 1:
            names = ", ".join(item.nodeid for item in session.items[:3])
            self._baton.send("failed", reason=f"{self.job.target} names {len(session.items)} tests ({names}): name one")
            raise pytest.UsageError("one test at a time")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Send the reason for which the test's whole file is skipped: pytest says that it finds no such test."""
        if report.skipped:
            self._baton.send("failed", reason=f"{self.job.target} is skipped: {_read_skip_reason(report)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send the reason for which the test is skipped. A test that is expected to fail counts as skipped, too."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._baton.send("skipped", reason=_read_skip_reason(report))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:  # type: ignore[override]
        """See `WorkerHooks`; also says why there is no test to measure."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            self._baton.send(
                "failed", reason=f"pytest's options and the project's conftest.py leave out {self.job.target}"
            )
        super().pytest_sessionfinish()


def _read_skip_reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """The reason for a skip, in one line."""
    text = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    return (text.removeprefix("Skipped: ").splitlines() or ["no reason"])[0]


class _Fixtures:
    def __init__(self, job: TargetJob, baton: Baton) -> None:
        self.job, self.baton = job, baton

    @pytest.fixture
    def benchmark(self, benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> BenchmarkFixture:
        """pytest-benchmark's fixture with another class: pytest-benchmark accepts only its own object."""
        # pytest-timeout's limit is for a usual run of the test, and would go on while the worker waits for its turn.
        if cancel := getattr(request.config.hook, "pytest_timeout_cancel_timer", None):
            cancel(item=request.node)
        benchmark.__class__ = InterleavedBenchmark
        cast(InterleavedBenchmark, benchmark).attach(self.job, self.baton)
        return benchmark


class InterleavedBenchmark(BenchmarkFixture):
    """The fixture `benchmark` of a test: calls and `pedantic` are replaced, everything else is pytest-benchmark's."""

    def attach(self, job: TargetJob, baton: Baton) -> None:
        """Set the job and the baton, before the test runs."""
        self._job, self._baton = job, baton
        self._phases = memory.PhaseRecorder()
        self._phases.end("import")

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Time calls of `function`; returns the result of the last one."""
        return self.pedantic(function, args, kwargs, rounds=self._min_rounds)

    def pedantic(  # type: ignore[override]
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Time calls of `target`, as many as the conductor chooses; with a `setup` or `teardown`, one call per round.

        Afterwards the rounds that the test asks for are run. The test sees their statistics: they are of single calls,
        as in a usual run, where the conductor's rounds hold many calls.
        """
        if self._mode:  # as in pytest-benchmark: one measurement for each test
            self.has_error = True
            raise FixtureAlreadyUsed(f"a test can use `benchmark` once, and this one used it before, as {self._mode}")
        calls = _Calls(target, args, kwargs or {}, setup, teardown)
        with _without_alarm():
            (self._keep_output if self._job.keep_output else self._measure)(calls)
            self._mode = None  # pytest-benchmark lets a test use its fixture only once
            self._add_stats = lambda _: None  # the benchmark's file has the conductor's rounds
            return super().pedantic(
                target,
                args,
                dict(kwargs or {}),
                setup,
                teardown,
                rounds=rounds,
                warmup_rounds=warmup_rounds,
                iterations=iterations,
            )

    def _measure(self, calls: _Calls) -> None:
        first_step = self._time_first_call(calls)
        self._rest()
        warmup = self._warm_up(calls)
        self._baton.give_back("calibrated", kind=KIND, **warmup._asdict())
        message = self._baton.take()
        steps = 1 if calls.single else message["steps"]
        run_in = 0 if calls.single else message["run_in"]
        self._run_rounds(calls, steps, run_in)
        self.extra_info.update(case=self._job.case, kind=KIND, steps_per_round=steps, images_per_round=steps)
        self._baton.send("first-step", seconds=first_step)
        self._phases.end("training", children=True)
        self._baton.send("memory", host=self._phases.as_dicts())

    def _keep_output(self, calls: _Calls) -> None:
        """Write what the first call returns: later calls may depend on how many there were before."""
        self._baton.send("phase", name="first step")
        calls.prepare()
        problem = None
        try:
            write_output(self._job.output_file, calls.call(1))
        except UnknownOutput as error:
            problem = str(error)
        calls.clear()
        self._baton.send("output", problem=problem)

    def _time_first_call(self, calls: _Calls) -> float:
        self._baton.send("phase", name="first step")
        return calls.time_one()

    def _rest(self) -> None:
        """Say that the test has made its first call, and let other workers warm up if they were started meanwhile."""
        if not self._job.rests:
            self._baton.send("built", can_rest=True)
            return
        self._baton.give_back("built", can_rest=True)
        self._baton.take()

    def _warm_up(self, calls: _Calls) -> Warmup:
        self._baton.send("phase", name=f"{KIND} warm-up")
        if not calls.single:
            return warm_up(calls.call)
        seconds = [calls.time_one() for _ in range(SINGLE_CALL_WARMUP)]
        return Warmup(SINGLE_CALL_WARMUP, min(seconds), False)

    def _run_rounds(self, calls: _Calls, steps: int, run_in: int) -> None:
        run_in_s = 0.0

        def setup() -> None:
            nonlocal run_in_s
            self._baton.take()
            began = time.perf_counter()
            calls.call(run_in)
            calls.prepare()
            run_in_s = time.perf_counter() - began

        def teardown(steps: int) -> None:
            calls.clear()
            self._baton.give_back("round", run_in_s=run_in_s)

        self._baton.send("phase", name=f"{KIND} rounds")
        self._baton.give_back("ready")
        try:
            super().pedantic(calls.call, args=(steps,), setup=setup, teardown=teardown, rounds=self._job.rounds)
        finally:
            # After an exception in a round. Otherwise the baton is back already, and this does nothing.
            self._baton.give_back("aborted")
        self._baton.take()


@contextmanager
def _without_alarm() -> Iterator[None]:
    """Stop the process' alarm clock, with which a project limits the time of a test, and let it run on afterwards.

    A measurement takes longer than the test, and waits for its turn in between; the conductor limits its time.
    """
    remaining = signal.setitimer(signal.ITIMER_REAL, 0) if hasattr(signal, "setitimer") else (0.0, 0.0)
    try:
        yield
    finally:
        if remaining[0]:
            signal.setitimer(signal.ITIMER_REAL, *remaining)


class _Calls:
    """Calls of the test's function, with the test's `setup` and `teardown`."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        setup: Callable[[], Any] | None,
        teardown: Callable[..., Any] | None,
    ) -> None:
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs)
        self.setup, self.teardown = setup, teardown
        self.single = bool(setup or teardown)

    def call(self, times: int) -> Any:
        """Call the function several times; returns the result of the last call."""
        result = None
        for _ in range(times):
            result = self.function(*self.args, **self.kwargs)
        return result

    def prepare(self) -> None:
        """Call the test's `setup`, which may return the arguments."""
        arguments = self.setup() if self.setup else None
        if arguments:
            self.args, self.kwargs = arguments

    def clear(self) -> None:
        """Call the test's `teardown`."""
        if self.teardown:
            self.teardown(*self.args, **self.kwargs)

    def time_one(self) -> float:
        """Measure the seconds of one call, outside the rounds."""
        self.prepare()
        began = time.perf_counter()
        self.call(1)
        taken = time.perf_counter() - began
        self.clear()
        return taken
