"""The launches of a comparison of tests: what they return, once, and then their speed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from backends.task import Variant
from bench.errors import UserError
from bench.head_to_head.stored_targets import OutputCheck, TargetLaunch
from bench.head_to_head.target_tests import ComparedTest
from bench.measure import conductor
from bench.measure.conductor import LaunchLimits
from bench.measure.launch_outcome import WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.start_plan import START_UP_LAUNCHES, count_parallel_builds
from bench.measure.target_launch import describe_failure, extract_target_figures, make_untimed_error
from bench.parity.output_comparison import compare_outputs
from bench.plan.suite import Suite
from bench.records.record import Conditions
from bench.report.live.silent_progress import SilentProgress
from bench.worker.job import TargetJob
from bench.worker.output_file import read_output

Value = TypeVar("Value")
#: Reads what is wanted of a test's worker; the test has a name for messages.
Read = Callable[[str, WorkerOutcome[TargetJob]], Value]


@dataclass(frozen=True)
class _Launch(Generic[Value]):
    """What one launch gave: a value for each test, the machine's state by group, and the largest worker's memory."""

    values: tuple[Value, ...]
    conditions: tuple[Conditions | None, ...]
    peak: int


@dataclass(frozen=True)
class TargetMeasurement:
    """Tests of the project in a folder, and how they are measured.

    Attributes:
        tests: that are compared.
        folder: in which pytest is started.
        pytest_arguments: further arguments of pytest.
        variant: has the workers' threads and device.
        suite: has the number and the duration of the rounds.
        isolated: whether one worker runs at a time, so that rounds do not take turns.
        say: called with lines of progress.
    """

    tests: Sequence[ComparedTest]
    folder: Path
    pytest_arguments: tuple[str, ...]
    variant: Variant
    suite: Suite
    isolated: bool
    say: Callable[[str], object]

    def check_outputs(self, tolerance: float) -> OutputCheck:
        """Call each test's function once, and compare what it returns with what the first one's returns.

        Args:
            tolerance: largest relative difference, see `bench.parity.output_comparison`.

        Raises:
            UserError: a test fails, or returns nothing that can be compared.
        """
        first, *others = self._run_launch(_read_output, random.Random(), keep_output=True).values
        compared = (
            compare_outputs(test.label, first, output, tolerance)
            for test, output in zip(self.tests[1:], others, strict=True)
        )
        return OutputCheck(tolerance=tolerance, comparisons=tuple(compared))

    def measure(self) -> Iterator[TargetLaunch]:
        """Measure launches, one for each item that the caller takes; the iterator never ends.

        As in other runs, the first launches start their workers one after the other: they have the figures of a start.

        Raises:
            UserError: a test fails, or times nothing.
        """
        draw, peak = random.Random(), 0
        for number in itertools.count(1):
            builds = count_parallel_builds(len(self.tests), peak) if number > START_UP_LAUNCHES else 1
            launch = self._run_launch(extract_target_figures, draw, builds=builds, reverse=number % 2 == 0)
            peak = max(peak, launch.peak)
            yield TargetLaunch(figures=launch.values, conditions=launch.conditions)

    def _run_launch(
        self,
        read: Read[Value],
        draw: random.Random,
        *,
        builds: int = 1,
        reverse: bool = False,
        keep_output: bool = False,
    ) -> _Launch[Value]:
        """Run a launch of all tests, and read a value of each before its files are removed."""
        builds = 1 if self.isolated else builds
        with make_scratch_folder() as scratch:
            jobs = [
                self._make_job(number, test, scratch, builds > 1, keep_output)
                for number, test in enumerate(self.tests, start=1)
            ]
            values, conditions, peak = [], [], 0
            tests = iter(self.tests)
            for group in [[job] for job in jobs] if self.isolated else [jobs]:
                launched = conductor.run_launch(
                    group,
                    self.suite.round_seconds,
                    draw,
                    SilentProgress(self.say, deaths=False),
                    reverse_start=reverse,
                    limits=LaunchLimits(parallel_builds=builds),
                )
                conditions.append(launched.conditions)
                for outcome, test in zip(launched.outcomes, tests, strict=False):
                    if outcome.failure:
                        raise UserError(
                            f"cannot compare: the worker of {test.name} {describe_failure(outcome.failure)}"
                        )
                    values.append(read(test.name, outcome))
                    peak = max(peak, outcome.peak_memory)
        return _Launch(tuple(values), tuple(conditions), peak)

    def _make_job(self, number: int, test: ComparedTest, scratch: Path, rests: bool, keep_output: bool) -> TargetJob:
        """Make the job of a test, which imports what `python -m pytest` would import in the current folder."""
        folder = scratch / str(number)
        folder.mkdir()
        return TargetJob(
            case=test.label,
            variant=self.variant,
            scratch=scratch,
            folder=folder,
            rounds=0 if keep_output else self.suite.rounds,
            rests=rests,
            descriptor=-1,
            root=self.folder,
            target=test.name,
            start_folder=self.folder,
            repository=self.folder,
            top=self.folder,
            source_folders=(self.folder,),
            pytest_arguments=(*_list_folders(folder), *self.pytest_arguments),
            keep_output=keep_output,
            group=test.label,
        )


def _list_folders(scratch: Path) -> tuple[str, str, str]:
    """Arguments with which pytest and pytest-benchmark leave nothing in the project."""
    return "-o", f"cache_dir={scratch / 'pytest'}", f"--benchmark-storage=file://{scratch / 'benchmarks'}"


def _read_output(name: str, outcome: WorkerOutcome[TargetJob]) -> Mapping[str, np.ndarray]:
    """Read what the function of a test returned.

    Raises:
        UserError: nothing that can be compared.
    """
    message = outcome.messages.get("output")
    if message is None:
        raise make_untimed_error(name, outcome)
    advice = "let the function that it gives to `benchmark` return arrays, numbers, or tuples, lists and dicts of them"
    if message["problem"]:
        raise UserError(f"--same-output: {name} returns {message['problem']}, which cannot be compared: {advice}")
    output = read_output(outcome.job.output_file)
    if all(array.size == 0 or (array.dtype.kind == "U" and (array == "None").all()) for array in output.values()):
        raise UserError(f"--same-output: {name} returns nothing that could be compared: {advice}")
    return output
