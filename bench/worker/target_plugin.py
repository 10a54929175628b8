"""The pytest plugin that runs a pytest-benchmark test of somebody else's by the baton.

The test is left as it is. In place of pytest-benchmark's `benchmark` it gets one that warms up by this project's rule,
and then times the same number of calls in each round, in turns with the other arm. pytest-benchmark still times them.
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
from bench.worker.channel import Channel
from bench.worker.job import TargetJob
from bench.worker.plugin import Baton, ConductorGone
from bench.worker.warmup import Warmup, warm_up

KIND = "step"
#: Packages that run the measurement, wherever they lie.
OURS = ("bench", "backends")
#: Calls that warm up a test with a `setup`, which allows one call a round.
SINGLE_WARMUP = 5


class Target:
    """Hooks and fixtures of one job."""

    def __init__(self, job: TargetJob) -> None:
        self.job = job
        self.baton = Baton(Channel.from_descriptor(job.descriptor))

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the fixtures late: the fixture that is registered last replaces pytest-benchmark's."""
        config.pluginmanager.register(_Fixtures(self.job, self.baton))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """One test is one case.

        Raises:
            pytest.UsageError: the target names several.
        """
        if len(session.items) > 1:
            names = ", ".join(item.nodeid for item in session.items[:3])
            self.baton.say("failed", reason=f"{self.job.target} names {len(session.items)} tests ({names}): name one")
            raise pytest.UsageError("one test at a time")

    def pytest_exception_interact(self, call: pytest.CallInfo) -> None:
        """Tell the conductor why this worker is about to end."""
        error = call.excinfo.value if isinstance(call, pytest.CallInfo) and call.excinfo else None
        if error is not None and not isinstance(error, (ConductorGone, pytest.skip.Exception)):
            self.baton.say("failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])

    def pytest_benchmark_generate_machine_info(self) -> dict[str, object]:
        """Nothing, as in every worker."""
        return {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Hold this worker back until the last round of all is over."""
        self.baton.give_back("finished")
        if self.baton.channel.receive() is None:
            raise ConductorGone


class _Fixtures:
    def __init__(self, job: TargetJob, baton: Baton) -> None:
        self.job, self.baton = job, baton

    @pytest.fixture
    def benchmark(self, benchmark: BenchmarkFixture) -> BenchmarkFixture:
        """pytest-benchmark's own, as it insists on it, with rounds by the baton."""
        benchmark.__class__ = Interleaved
        cast(Interleaved, benchmark).begin(self.job, self.baton)
        return benchmark


class Interleaved(BenchmarkFixture):
    """What a test gets as `benchmark`: called, or `pedantic`; all else is pytest-benchmark's."""

    def begin(self, job: TargetJob, baton: Baton) -> None:
        """Take it over, before the test runs."""
        self._job, self._baton = job, baton
        self._phases = memory.Phases()
        self._phases.end("import")

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Time calls of `function`; gives what the last one returned."""
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
        """Time calls of `target`; how many is the gate's choice. With a `setup` or `teardown`, one call a round."""
        calls = _Calls(target, args, kwargs or {}, setup, teardown)
        first_step = self._first(calls)
        warm = self._warm(calls)
        self._baton.give_back("calibrated", kind=KIND, **warm._asdict())
        told = self._baton.take()
        steps = 1 if calls.single else told["steps"]
        run_in = 0 if calls.single else told["run_in"]
        result = self._rounds(calls, steps, run_in)
        self.extra_info.update(case=self._job.case, kind=KIND, steps_per_round=steps, images_per_round=steps)
        self._baton.say("first-step", seconds=first_step)
        if foreign := strangers(self._job.repository):
            raise RuntimeError(
                f"{foreign[0]} was imported from the working tree and not from the revision that is measured: "
                "uninstall the project from this environment, or keep its packages in the top folder or in src"
            )
        self._phases.end("training", children=True)
        self._baton.say("memory", host=self._phases.told())
        return result

    def _first(self, calls: _Calls) -> float:
        self._baton.say("phase", name="first step")
        return calls.seconds()

    def _warm(self, calls: _Calls) -> Warmup:
        self._baton.say("phase", name=f"{KIND} warm-up")
        if not calls.single:
            return warm_up(calls.call)
        seconds = [calls.seconds() for _ in range(SINGLE_WARMUP)]
        return Warmup(SINGLE_WARMUP, min(seconds), False)

    def _rounds(self, calls: _Calls, steps: int, run_in: int) -> Any:
        def setup() -> None:
            self._baton.take()
            calls.call(run_in)
            calls.prepare()

        def teardown(steps: int) -> None:
            calls.clear()
            self._baton.give_back("round")

        self._baton.say("phase", name=f"{KIND} rounds")
        self._baton.give_back("ready")
        try:
            result = super().pedantic(
                calls.call, args=(steps,), setup=setup, teardown=teardown, rounds=self._job.rounds
            )
        finally:
            # The last round's baton is back already; after an exception this is where it comes back.
            self._baton.give_back("aborted")
        self._baton.take()
        return result


def strangers(repository: Path) -> list[str]:
    """Modules that were imported from a repository's own files; those of an environment in it, and ours, are none."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return [
        name
        for name, file in files.items()
        if file
        and (path := Path(file)).is_relative_to(repository)
        and "site-packages" not in path.parts
        and name.partition(".")[0] not in OURS
    ]


class _Calls:
    """Calls of the test's function, each prepared and cleared as the test asks."""

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
        """What the last of several calls returned."""
        result = None
        for _ in range(times):
            result = self.function(*self.args, **self.kwargs)
        return result

    def prepare(self) -> None:
        """Call the test's `setup`, which may give the arguments."""
        given = self.setup() if self.setup else None
        if given:
            self.args, self.kwargs = given

    def clear(self) -> None:
        """Call the test's `teardown`."""
        if self.teardown:
            self.teardown(*self.args, **self.kwargs)

    def seconds(self) -> float:
        """That one call takes, outside rounds."""
        self.prepare()
        began = time.perf_counter()
        self.call(1)
        taken = time.perf_counter() - began
        self.clear()
        return taken
