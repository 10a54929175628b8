"""The cause of a worker's death in words, from its exit status and its output, with what to do where that is known."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

#: How many lines of a dead worker's output are shown, and how many of them before the stack that it dumped.
LAST_LINES, LINES_BEFORE_STACK = 12, 3
#: How Python's faulthandler begins the stack of a process that a signal is about to end.
_STACK = "Fatal Python error"
#: What says nothing about the cause: frames of Python's import system, and how pytest ends its output.
_IMPORT_FRAME = '  File "<frozen importlib.'
_PYTEST_END = re.compile(
    r"!+ stopping after .* !+|\d+ (?:passed|failed|skipped|warnings?|errors?)\b.* in [\d.]+s.*|\s*"
)
#: How a failure names an end by SIGKILL.
KILLED = "killed by SIGKILL"
#: PyTorch's input pipeline hands its batches over in shared memory, which a container has 64 MB of.
SHARED_MEMORY = (
    "the shared memory in /dev/shm is full: make it larger (docker run --shm-size=1g), or do without: "
    "bench run --knob workers=0"
)
#: The usual causes of an end by a signal.
SIGNAL_CAUSES = {
    "SIGKILL": "by someone, or by the kernel because memory ran out",
    "SIGBUS": SHARED_MEMORY,
    "SIGILL": "the CPU lacks an instruction that a package was compiled for: install a build for this CPU",
    "SIGSEGV": "compiled code of a framework or a driver is faulty: install other versions, and report it there",
    "SIGABRT": "a library gave up, see its last lines",
    "SIGXCPU": "it used up its limit of CPU time: raise it (ulimit -t)",
    "SIGTERM": "by someone",
    "SIGINT": "by someone",
    "SIGHUP": "by someone",
}
#: What is behind an error, and what to do, by words of its message.
ERROR_CAUSES = (
    # PyTorch, in a DataLoader's process or where it starts one.
    (re.compile(r"signal: Bus error|shared memory|/dev/shm|file </torch_"), SHARED_MEMORY),
    (
        re.compile(r"ModuleNotFoundError: No module named '[^']+'"),
        "install it into the environment of the worker, or leave out what needs it",
    ),
    (re.compile(r"signal: Illegal instruction"), SIGNAL_CAUSES["SIGILL"]),
    (re.compile(r"signal: Segmentation fault"), SIGNAL_CAUSES["SIGSEGV"]),
    (
        re.compile(r"unrecognized arguments: .*--benchmark-json"),  # an option that every worker gets
        "pytest-benchmark is not loaded: add -p pytest_benchmark.plugin after --",
    ),
    (
        re.compile(r"unrecognized arguments: "),
        "install the plugin of pytest that has them into the environment of the worker, or leave them out",
    ),
)
#: Lines that name an error: Python's, also as pytest shows it, that of an option, below which its usage may stand, and
#: pytest's own, which often follow from one of Python.
_ERROR_LINES = (
    re.compile(r"(?:E\s+)?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)(?::\s.*)?)"),
    re.compile(r"(?:[\w.]+\(\)|python -m pytest|pytest): error: (.*)"),
    re.compile(r"ERROR:?\s+(.*)"),
)
#: Errors whose cause is in the output: pytest's when a test's file cannot be imported, and PyTorch's for an error in a
#: process of its input pipeline.
_WRAPPERS = re.compile(r"CollectError|\w+: Caught \w+ in DataLoader worker process")


def explain_death(status: int, reason: str | None, lines: Sequence[str]) -> str:
    """Explain in one line why a worker died.

    Args:
        status: the exit status, as `subprocess` gives it.
        reason: the error that the worker sent; None if it sent none.
        lines: its output.
    """
    if reason is None or _WRAPPERS.match(reason):
        reason = (find_last_error(lines) if status >= 0 else None) or reason or describe_exit(status)
    # PyTorch raises this one from the error that names the signal.
    text = "\n".join([reason, *(lines if "exited unexpectedly" in reason else [])])
    cause = next((cause for words, cause in ERROR_CAUSES if words.search(text) and cause not in reason), None)
    return f"{reason}: {cause}" if cause else reason


def choose_last_lines(lines: Sequence[str]) -> Sequence[str]:
    """Choose the lines of an output that a failure keeps: the last ones, or those around the start of a dumped stack,
    whose end is the same for all workers. Python's import system and pytest's last lines say nothing, and are left out.
    """
    lines = [line for line in lines if not line.startswith(_IMPORT_FRAME)]
    while lines and _PYTEST_END.fullmatch(lines[-1]):
        lines.pop()
    dumps = [number for number, line in enumerate(lines) if line.startswith(_STACK)]
    if not dumps:
        return lines[-LAST_LINES:]
    start = max(0, dumps[-1] - LINES_BEFORE_STACK)
    return lines[start : start + LAST_LINES]


def describe_exit(status: int) -> str:
    """Describe in words how a process ended, from its exit status as `subprocess` gives it."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        return f"killed by signal {-status}"
    cause = SIGNAL_CAUSES.get(name)
    return f"killed by {name}: {cause}" if cause else f"killed by {name}"


def find_last_error(lines: Sequence[str]) -> str | None:
    """Find the last line that names an error of Python, or else one of pytest; None without one."""
    found = (form.fullmatch(line.strip()) for form in _ERROR_LINES for line in reversed(lines))
    return next((match[1] for match in found if match), None)
