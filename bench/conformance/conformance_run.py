"""The conformance run: starts the processes of a check, and yields the results as they come."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

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
#: Frameworks, besides the entry's own packages, that importing an entry must not import.
LIGHT = frozenset({"numpy"})
_IMPORT_ENTRY = """
import contextlib, io, json, sys
from importlib import metadata
import backends.registry
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    points = [p for p in metadata.entry_points(group=sys.argv[1]) if p.name == sys.argv[2]]
    [point.load() for point in points]
    import backends
print(json.dumps([said.getvalue(), [name for name in sys.argv[3:] if name in sys.modules]]))
"""


def check_backend(
    name: str, items: Collection[str] = (), say: Callable[[str], object] = lambda line: None
) -> Iterator[Result]:
    """Check a backend, and yield the result of each item as soon as it is there; about a minute on two cores.

    Args:
        name: of the backend.
        items: that are checked, and those that they need; without any, all are.
        say: called with each line of progress.

    Raises:
        UserError: the backend or an item is unknown, the backend cannot run here, or the reference's process died.
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
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ENTRY, GROUP, name, *watched],
        env=build_environment(_make_job(name, Path())),
        capture_output=True,
        text=True,
    )
    problem = None
    if done.returncode:
        problem = f"importing the entry fails: {_read_last_line(done.stderr)}"
    else:
        printed, imported = json.loads(done.stdout.splitlines()[-1])
        said = printed or "".join(done.stdout.splitlines(keepends=True)[:-1]) or done.stderr
        if imported:
            problem = f"importing the entry imports {', '.join(imported)}"
        elif said.strip():
            problem = f"importing the entry prints {said.strip().splitlines()[0]!r}"
    return _make_result("entry", problem, time.monotonic() - began)


def _gather_reference(folder: Path, say: Callable[[str], object]) -> None:
    """Let a process of its own leave the reference's evidence, or write down why there is none.

    Raises:
        UserError: the process died.
    """
    name = REFERENCE[0]
    if missing := backends.find_missing_packages(name):
        reason = f"{', '.join(missing)} not installed: {advise_installation(name)}"
        (folder / NO_REFERENCE).write_text(f"the reference is {name}, and {reason}")
        return
    say(f"Training the reference, {name}")
    with _start(name, folder, ()) as process:
        if process.wait():
            raise UserError(f"the reference {name} died: {_read_last_line((folder / 'stderr.txt').read_text())}")


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
        end = _describe_end(process.poll(), folder)
    for item in missing:
        if item == missing[0]:
            yield Result(item, "failed", end, "correct what ends the process")
        else:
            yield Result(item, "not checked", f"the process ended in {missing[0]!r}")
    if "output" in wanted:
        printed = (folder / "stdout.txt").read_text(errors="replace").strip()
        yield _make_result("output", f"it prints {printed.splitlines()[0]!r}" if printed else None, 0.0)


def _describe_end(status: int | None, folder: Path) -> str:
    if status is None:
        return f"nothing happened for {SILENCE_SECONDS:.0f} s"
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    last = _read_last_line((folder / "stderr.txt").read_text(errors="replace"))
    return f"its process ended with status {status}: {last}"


def _make_result(item: str, problem: str | None, seconds: float) -> Result:
    what, mend = ITEMS[item]
    if problem:
        return Result(item, "failed", problem, mend, round(seconds, 2))
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
    """Start a process of a backend, which writes its output into the folder. In the end nothing of it is left."""
    job = _make_job(name, folder)
    write_keras_configuration(job)
    command = [sys.executable, "-m", "bench.conformance.worker", name, str(folder), *items]
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(
            command, env=build_environment(job), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def _make_job(name: str, folder: Path) -> Job:
    """The job by which the environment of a worker is built."""
    fields: dict[str, Any] = {"backend": name, "task": TASKS["frozen"], "variant": VARIANT, "folder": folder}
    return Job.model_construct(**fields)


def _read_last_line(text: str) -> str:
    return (text.strip().splitlines() or ["without a word"])[-1]
