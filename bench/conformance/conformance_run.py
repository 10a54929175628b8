"""The conformance run: starts the processes of a check, and yields the results as they come."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import backends
from backends.registry import GROUP
from bench import data
from bench.conformance.items import ITEMS, Result
from bench.conformance.sameness_checks import NO_REFERENCE
from bench.conformance.small_tasks import IMAGES, TASKS, VARIANT, colour
from bench.conformance.worker import NEEDED, RESULTS, list_checks
from bench.errors import UserError, make_unknown_error
from bench.machine.backend_packages import advise_installation
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.worker_environment import build_environment, write_keras_configuration
from bench.parity.tolerances import REFERENCE
from bench.plan.plan import find_usable_backends
from bench.worker.job import Job

#: Seconds without a result after which a backend hangs: a compiler may take minutes for a task.
SILENCE_SECONDS = 300.0
LOOK_SECONDS = 0.1
#: Most characters that are shown of what a backend prints.
SHOWN_CHARACTERS = 200
#: Seconds after which importing an entry hangs, and training the reference on all of the small tasks.
ENTRY_SECONDS = 60.0
REFERENCE_SECONDS = 900.0
#: Frameworks, besides the entry's own packages, that importing an entry must not import.
LIGHT = frozenset({"numpy"})
_IMPORT_ENTRY = """
import contextlib, io, json, sys
from importlib import metadata
import backends.registry
output = io.StringIO()
with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
    points = [p for p in metadata.entry_points(group=sys.argv[1]) if p.name == sys.argv[2]]
    [point.load() for point in points]
    import backends
print(json.dumps([output.getvalue(), [name for name in sys.argv[3:] if name in sys.modules]]))
"""


def check_backend(
    name: str, items: Collection[str] = (), say: Callable[[str], object] = lambda line: None
) -> Generator[Result]:
    """Check a backend, and yield the result of each item as soon as it is there; about a minute on two cores.

    Args:
        name: of the backend.
        items: that are checked, and those that they need; without any, all are.
        say: called with each line of progress.

    Raises:
        UserError: the backend or an item is unknown, the backend cannot run here, or the reference's process died or
            hung.
    """
    find_usable_backends([name])
    for item in items:
        if item not in ITEMS:
            raise make_unknown_error("item", item, ITEMS)
    wanted = tuple(items) or tuple(ITEMS)
    if "entry" in wanted:
        yield _check_entry(name)
    with make_scratch_folder() as folder:
        digits = data.load("digits", progress=False)
        images = colour(digits.train_images[:IMAGES])
        np.savez(folder / "images.npz", images=images, labels=digits.train_labels[:IMAGES])
        if any(item.startswith("proof") for item in wanted):
            _gather_reference(folder, say)
        say(f"Checking {name}")
        yield from _check_in_worker(name, folder, wanted)


def _check_entry(name: str) -> Result:
    entry = backends.REGISTRY[name]
    watched = [package for package in (p.partition(".")[0] for p in entry.packages) if package not in LIGHT]
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT_ENTRY, GROUP, name, *watched],
            env=build_environment(_make_job(name, Path())),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ENTRY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        problem: str | None = f"importing the entry takes more than {ENTRY_SECONDS:.0f} s"
    else:
        problem = _find_entry_problem(done)
    return _make_result("entry", problem, time.monotonic() - began)


def _find_entry_problem(done: subprocess.CompletedProcess[str]) -> str | None:
    if done.returncode:
        return f"importing the entry fails: {_read_last_line(done.stderr)}"
    *before, last = done.stdout.splitlines(keepends=True) or [""]
    try:
        printed, imported = json.loads(last)
    except ValueError:
        return f"importing the entry ends the process, or prints at its end: {_read_last_line(done.stdout)!r}"
    printed = printed or "".join(before) or done.stderr
    if imported:
        return f"importing the entry imports {', '.join(imported)}"
    return _name_output("importing the entry", printed)


def _gather_reference(folder: Path, say: Callable[[str], object]) -> None:
    """Let a process of its own leave the reference's evidence, or write down why there is none.

    Raises:
        UserError: the process died, or did not end.
    """
    name = REFERENCE[0]
    if missing := backends.find_missing_packages(name):
        reason = f"{', '.join(missing)} not installed: {advise_installation(name)}"
        (folder / NO_REFERENCE).write_text(f"the reference is {name}, and {reason}")
        return
    say(f"Training the reference, {name}")
    with _start(name, folder, ()) as process:
        try:
            status = process.wait(REFERENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise UserError(f"the reference {name} did not end in {REFERENCE_SECONDS:.0f} s: try again") from None
        if status:
            last = _read_last_line((folder / "stderr.txt").read_text(errors="replace"))
            raise UserError(f"the reference {name} died: {last}")


def _check_in_worker(name: str, folder: Path, wanted: Collection[str]) -> Iterator[Result]:
    """Yield the results of a backend's process, and at its end those of what it printed and did not come to."""
    missing = [item for item in list_checks(folder) if item in (*NEEDED, *wanted)]
    silent_since = time.monotonic()
    with _start(name, folder, wanted) as process, _GrowingFile(folder / RESULTS) as file:
        has_ended = False
        while not has_ended:
            has_ended = process.poll() is not None
            for line in file.read_lines():
                result = Result(**json.loads(line))
                missing.remove(result.name)
                silent_since = time.monotonic()
                yield result
            if time.monotonic() - silent_since > SILENCE_SECONDS:
                break
            time.sleep(0 if has_ended else LOOK_SECONDS)
        status = process.poll()
        end = _describe_end(status, folder)
    for item in missing:
        if item == missing[0]:
            yield Result(item, "failed", end, "correct what ends the process")
        else:
            yield Result(item, "not checked", f"the process ended in {missing[0]!r}")
    if "output" in wanted:
        yield _make_result("output", _name_output("it", (folder / "stdout.txt").read_text(errors="replace")), 0.0)
    if missing:
        if "end" in wanted:
            yield Result("end", "not checked", f"the process ended in {missing[0]!r}")
    elif status != 0 or "end" in wanted:  # nobody need ask for a crash after the last item
        yield _make_result("end", None if status == 0 else f"after the last item, {end}", 0.0)


def _name_output(what: str, printed: str) -> str | None:
    """Name the beginning of the first line that something prints; None if it prints nothing."""
    first = printed.strip().partition("\n")[0]
    shown = first if len(first) <= SHOWN_CHARACTERS else f"{first[:SHOWN_CHARACTERS]}…"
    return f"{what} prints {shown!r}" if first else None


def _describe_end(status: int | None, folder: Path) -> str:
    if status is None:
        return f"nothing happened for {SILENCE_SECONDS:.0f} s"
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    last = _read_last_line((folder / "stderr.txt").read_text(errors="replace"))
    return f"its process ended with status {status}: {last}"


def _make_result(item: str, problem: str | None, seconds: float) -> Result:
    what, fix = ITEMS[item]
    if problem:
        return Result(item, "failed", problem, fix, round(seconds, 2))
    return Result(item, "passed", what, "", round(seconds, 2))


class _GrowingFile:
    """The lines of a file that grows; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open(encoding="utf-8")
        self._rest = ""

    def __enter__(self) -> _GrowingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read_lines(self) -> list[str]:
        """The lines that were finished since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        return lines


@contextlib.contextmanager
def _start(name: str, folder: Path, items: Collection[str]) -> Iterator[subprocess.Popen]:
    """Start a process of a backend, which writes its output into the folder. In the end nothing of it is left.

    It has a group of its own, so that its children end with it, and ends with this process.
    """
    job = _make_job(name, folder)
    write_keras_configuration(job)
    ours, theirs = socket.socketpair()
    with ours:
        command = [sys.executable, "-m", "bench.conformance.worker", name, str(folder), str(theirs.fileno()), *items]
        with theirs, (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
            process = subprocess.Popen(
                command,
                env=build_environment(job),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _make_job(name: str, folder: Path) -> Job:
    """The job by which the environment of a worker is built."""
    fields: dict[str, Any] = {"backend": name, "task": TASKS["frozen"], "variant": VARIANT, "folder": folder}
    return Job.model_construct(**fields)


def _read_last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
