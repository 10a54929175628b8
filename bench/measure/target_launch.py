"""A launch of a pytest-benchmark test of another project: the figures that it measured, or why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.errors import UserError
from bench.measure import record_builder
from bench.measure.launch_outcome import WorkerOutcome
from bench.records.launch_figures import LaunchFigures
from bench.records.record import Failure
from bench.worker.job import TargetJob
from bench.worker.target_plugin import KIND

#: A line that pytest fills up to the width of the terminal.
RULER = re.compile(r"\s*([!=_-])\1{2,}")
#: Reasons that are no error of Python or pytest.
UNEXPLAINED = re.compile(r"ended with exit status|killed by|no answer|did not end|out of memory")


def extract_target_figures(name: str, outcome: WorkerOutcome[TargetJob]) -> LaunchFigures:
    """Extract the figures of a test from the outcome of its worker.

    Args:
        name: of the test, in the figures and in messages.

    Raises:
        UserError: the test measured nothing.
    """
    rounds = record_builder.read_step_seconds(outcome).get(KIND)
    if rounds is None or "memory" not in outcome.messages:
        raise make_untimed_error(name, outcome)
    single = {
        "first-step": outcome.messages["first-step"]["seconds"] if outcome.started_alone else None,
        "host-memory": outcome.peak_memory,
        "device-memory": outcome.nvml_device,
    }
    values = {name: (float(value),) for name, value in single.items() if value}
    return LaunchFigures(name, {KIND: rounds, **values})


def make_untimed_error(name: str, outcome: WorkerOutcome[TargetJob]) -> UserError:
    """Make the error for a test that never called the function which it gives to `benchmark`."""
    skipped = outcome.messages.get("skipped")
    cause = f"it is skipped ({skipped['reason']})" if skipped else "call pytest-benchmark's `benchmark` in it"
    return UserError(f"cannot compare: {name} times nothing: {cause}")


def describe_failure(failure: Failure) -> str:
    """Describe in one line in which phase a worker died and why, with the end of its output if no error says it."""
    lines = "; ".join(choose_shown_lines(failure.last_lines)) if UNEXPLAINED.match(failure.reason) else ""
    return f"died in {failure.phase}: {failure.reason}{f' ({lines})' if lines else ''}"


def choose_shown_lines(lines: Iterable[str]) -> list[str]:
    """Choose the lines of a dead worker's output for its message: the last three, without pytest's rulers."""
    return [line.strip() for line in lines if line.strip() and not RULER.match(line)][-3:]
