"""`bench run --target`: pytest-benchmark tests of the user, measured in turns and compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.warnings import MIN_LAUNCHES
from bench.errors import UserError
from bench.head_to_head import stored_targets, target_output
from bench.head_to_head.stored_targets import StoredTargets
from bench.head_to_head.target_measurement import TargetMeasurement
from bench.head_to_head.target_standings import find_standings, find_widest_half_width
from bench.head_to_head.target_tables import format_time, list_warnings
from bench.head_to_head.target_tests import find_tests
from bench.machine.environment import describe_environment
from bench.measure.machine_lock import hold_lock
from bench.measure.stop_signals import StopSignals
from bench.plan.plan import check_time_limit, explain_threads, make_default_variant, resize
from bench.plan.request import Request
from bench.plan.suite import Suite, load
from bench.records.private_paths import shorten_command, shorten_paths
from bench.report.live.json_events import JsonEvents
from bench.report.step_sentences import join_texts
from bench.report.tables.number_format import format_times

STOPPED = 130


@dataclass(frozen=True)
class TargetOptions:
    """What is compared.

    Attributes:
        targets: node ids of the tests; ratios are relative to the first.
        pytest_arguments: further arguments of pytest.
        tolerance: of the comparison of what they return; None to compare only their speed.
    """

    targets: tuple[str, ...]
    pytest_arguments: tuple[str, ...] = ()
    tolerance: float | None = None


@dataclass(frozen=True)
class TargetPrinting:
    """What is printed of a comparison: with `events`, only problems; they get all the rest."""

    console: Console
    quiet: bool = False
    full: bool = False
    events: JsonEvents | None = None

    def say(self, line: str) -> None:
        """Print a line of progress."""
        if not self.quiet and not self.events:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print a line about a problem."""
        Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)

    def emit(self, event: str, **fields: Any) -> None:
        """Write an event, if events are written."""
        if self.events:
            self.events.emit(event, **fields)


def run_targets(
    options: TargetOptions,
    request: Request,
    printing: TargetPrinting,
    *,
    command: Sequence[str],
    wait: bool = False,
    strict: bool = False,
) -> int:
    """Compare tests, and print and store what was found.

    The exit status is 0; 1 if they do not return the same, or with `strict` if there is a warning; 130 after Ctrl-C.

    Args:
        options: the tests.
        request: its device, threads, results folder and effort count.
        printing: what is printed.
        command: the command line behind `bench`, as the result contains it.
        wait: wait for another measurement on this machine to end.
        strict: whether a warning is an error.

    Raises:
        UserError: the options have a mistake, or a test cannot be measured. What is finished was shown.
    """
    tests = find_tests(options.targets, Path.cwd())
    check_time_limit(request)
    suite = resize(request.suite if isinstance(request.suite, Suite) else load(request.suite), request)
    variant = make_default_variant(request)
    if note := explain_threads(request):
        printing.say(note)
    arguments = options.pytest_arguments
    measurement = TargetMeasurement(tests, Path.cwd(), arguments, variant, suite, request.isolated, printing.say)
    with (
        stored_targets.prepare_results(request.results),
        hold_lock("bench run", wait, printing.warn),
        StopSignals() as signals,
    ):
        started = datetime.now(UTC)
        about = describe_environment(variant.threads)
        result = StoredTargets(
            started=started.isoformat(timespec="seconds"),
            about={**about, "run": {"command": shorten_command(command)}},
            names=tuple(shorten_paths(test.name) for test in tests),
            labels=tuple(shorten_paths(test.label) for test in tests),
            isolated=request.isolated,
        )
        printing.emit("started", targets=list(result.names), launches=suite.launches)
        folder: Path | None = None
        stopped: KeyboardInterrupt | UserError | None = None
        try:
            for found in _measure(result, measurement, options.tolerance, request):
                result = found
                folder = folder or stored_targets.create_folder(request.results, started)
                stored_targets.write(folder, result)
                _report_launch(printing, result, suite)
                signals.check()
        except (KeyboardInterrupt, UserError) as error:  # what is finished is shown, whatever ended it
            stopped = error
            result = result.model_copy(update={"stopped": shorten_paths(str(error)) or "stopped"})
        signals.begin_end()
        if folder:
            _conclude(printing, folder, result)
        return _end(printing, folder, result, stopped, strict)


def _measure(
    result: StoredTargets, measurement: TargetMeasurement, tolerance: float | None, request: Request
) -> Iterator[StoredTargets]:
    """Measure what there is to measure; yields the result as it grows. Tests that return different things have no speed
    that could be compared."""
    if tolerance is not None:
        measurement.say(f"Comparing what {join_texts(result.labels)} return.")
        result = result.model_copy(update={"output": measurement.check_outputs(tolerance)})
        yield result
        if result.output and result.output.differing:
            return
    measurement.say(f"Measuring {join_texts(result.labels)}.")
    began = time.monotonic()
    for launch in measurement.measure():
        result = result.model_copy(update={"launches": (*result.launches, launch)})
        yield result
        if _is_enough(result, measurement.suite, request, time.monotonic() - began):
            return


def _is_enough(result: StoredTargets, suite: Suite, request: Request, spent: float) -> bool:
    """Whether there are the suite's launches, or its time is over; and the intervals are as narrow as `--until` says.

    Args:
        spent: seconds since the first launch began.
    """
    done = len(result.launches)
    is_late = suite.most_minutes is not None and spent > 60 * suite.most_minutes and done >= MIN_LAUNCHES
    if done < suite.launches and not is_late:
        return False
    if request.until is None or (request.max_time is not None and spent > request.max_time):
        return True
    return find_widest_half_width(find_standings(result)) <= request.until


def _report_launch(printing: TargetPrinting, result: StoredTargets, suite: Suite) -> None:
    """Say what is known after a launch: the time of each test, and its ratio to the first."""
    if not result.launches:
        return
    standings, number = find_standings(result), len(result.launches)
    texts = [
        f"{label} {format_time(seconds)}" + (f", × {format_times(ratio)}" if position else "")
        for position, (label, seconds, ratio) in enumerate(
            zip(result.labels, standings.seconds, standings.ratios, strict=True)
        )
    ]
    printing.say(f"  launch {number} of {max(number, suite.launches)}: {'; '.join(texts)}")
    printing.emit("launch-finished", launch=number, launches=suite.launches, **target_output.describe_result(result))


def _conclude(printing: TargetPrinting, folder: Path, result: StoredTargets) -> None:
    """Write the files of the result, and print it."""
    for problem in target_output.write_files(folder, result):
        printing.warn(problem)
    if not printing.events:
        target_output.print_result(printing.console, result, quiet=printing.quiet, full=printing.full)
        printing.console.print(f"Results: {folder}", soft_wrap=True, markup=False, highlight=False)


def _end(
    printing: TargetPrinting,
    folder: Path | None,
    result: StoredTargets,
    stopped: KeyboardInterrupt | UserError | None,
    strict: bool,
) -> int:
    """Write the last events, and choose the exit status, see `run_targets`.

    Raises:
        UserError: the one that has ended the measurement.
    """
    warnings = list_warnings(result)
    for warning in warnings if printing.events else ():
        printing.emit("warning", case="all tests", **warning.model_dump(mode="json"))
    path = str(folder) if folder else None
    printing.emit("finished", path=path, stopped=stopped is not None, verdict=target_output.describe_result(result))
    if isinstance(stopped, UserError):
        raise stopped
    if stopped:
        done = f"{len(result.launches)} finished launches are kept in {folder}" if folder else "nothing had finished"
        printing.warn(f"Stopped: {done}.")
        return STOPPED
    if strict and warnings:
        printing.warn(f"Strict: {', '.join(warning.name for warning in warnings)}.")
    return 1 if (result.output and result.output.differing) or (strict and warnings) else 0
