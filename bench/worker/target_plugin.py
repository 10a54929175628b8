"""The pytest plugin that measures a pytest-benchmark test of another project, in turns with the gate's other arm.

The test is not changed. Its fixture `benchmark` is replaced by one that warms up by this project's rule, and then calls
the test's function equally often in each round. pytest-benchmark still times the rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.machine import memory
from bench.worker.job import TargetJob
from bench.worker.plugin import Baton, WorkerHooks
from bench.worker.warmup import Warmup, warm_up

KIND = "step"
#: The packages of the harness itself: they may be imported from anywhere.
HARNESS_PACKAGES = ("bench", "backends")
#: Warm-up calls of a test with a `setup`, which allows only one call per round.
SINGLE_CALL_WARMUP = 5


class TargetPlugin(WorkerHooks):
    """The hooks and fixtures of one job."""

    def __init__(self, job: TargetJob) -> None:
        super().__init__(job.descriptor)
        self.job = job

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


class _Fixtures:
    def __init__(self, job: TargetJob, baton: Baton) -> None:
        self.job, self.baton = job, baton

    @pytest.fixture
    def benchmark(self, benchmark: BenchmarkFixture) -> BenchmarkFixture:
        """pytest-benchmark's fixture with another class: pytest-benchmark accepts only its own object."""
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
        return self.pedantic(function, args, kwargs)

    def pedantic(  # type: ignore[override]
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        **_: int,
    ) -> Any:
        """Time calls of `target`, as many as the gate chooses; with a `setup` or `teardown`, one call per round."""
        calls = _Calls(target, args, kwargs or {}, setup, teardown)
        first_step = self._time_first_call(calls)
        warmup = self._warm_up(calls)
        self._baton.give_back("calibrated", kind=KIND, **warmup._asdict())
        message = self._baton.take()
        steps = 1 if calls.single else message["steps"]
        run_in = 0 if calls.single else message["run_in"]
        result = self._run_rounds(calls, steps, run_in)
        self.extra_info.update(case=self._job.case, kind=KIND, steps_per_round=steps, images_per_round=steps)
        self._baton.send("first-step", seconds=first_step)
        if foreign := find_foreign_modules(self._job.repository):
            raise RuntimeError(
                f"{foreign[0]} was imported from the working tree and not from the revision that is measured: "
                "uninstall the project from this environment, or keep its packages in the top folder or in src"
            )
        self._phases.end("training", children=True)
        self._baton.send("memory", host=self._phases.as_dicts())
        return result

    def _time_first_call(self, calls: _Calls) -> float:
        self._baton.send("phase", name="first step")
        return calls.time_one()

    def _warm_up(self, calls: _Calls) -> Warmup:
        self._baton.send("phase", name=f"{KIND} warm-up")
        if not calls.single:
            return warm_up(calls.call)
        seconds = [calls.time_one() for _ in range(SINGLE_CALL_WARMUP)]
        return Warmup(SINGLE_CALL_WARMUP, min(seconds), False)

    def _run_rounds(self, calls: _Calls, steps: int, run_in: int) -> Any:
        def setup() -> None:
            self._baton.take()
            calls.call(run_in)
            calls.prepare()

        def teardown(steps: int) -> None:
            calls.clear()
            self._baton.give_back("round")

        self._baton.send("phase", name=f"{KIND} rounds")
        self._baton.give_back("ready")
        try:
            result = super().pedantic(
                calls.call, args=(steps,), setup=setup, teardown=teardown, rounds=self._job.rounds
            )
        finally:
            # After an exception in a round. Otherwise the baton is back already, and this does nothing.
            self._baton.give_back("aborted")
        self._baton.take()
        return result


def find_foreign_modules(repository: Path) -> list[str]:
    """Find modules imported from the files of a repository, except installed packages and the harness itself."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return [
        name
        for name, file in files.items()
        if file
        and (path := Path(file)).is_relative_to(repository)
        and "site-packages" not in path.parts
        and name.partition(".")[0] not in HARNESS_PACKAGES
    ]


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
