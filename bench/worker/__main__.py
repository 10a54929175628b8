"""Runs a job: `python -m bench.worker JOB.json`. The conductor starts it and has the other end of its channel."""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

import backends
from bench.machine.hidden_packages import hide_packages
from bench.worker import plugin
from bench.worker.job import Job, SweepJob
from bench.worker.lifeline import Lifeline
from bench.worker.quick_save import QuickSave

#: Pytest plugins that the project's own measurements do not need. To find exceptions that nobody caught, they collect
#: garbage five times at the end of the process: 0.1 s with NumPy alone, more with a framework.
UNUSED_PLUGINS = ("unraisableexception", "threadexception")
MEASUREMENTS = Path(__file__).with_name("measure.py")
SWEEP = Path(__file__).with_name("sweep_fine_tunes.py")


def main(job_file: str) -> int:
    """Run pytest on the measurements of a job; returns pytest's exit status."""
    fields = json.loads(Path(job_file).read_text(encoding="utf-8"))
    is_sweep = "combinations" in fields
    job = (SweepJob if is_sweep else Job).model_validate(fields)
    tests = SWEEP if is_sweep else MEASUREMENTS
    lifeline = Lifeline(job.descriptor, job.scratch)
    entry = backends.REGISTRY[job.backend]
    hide_packages(entry.hides, entry.packages)
    try:
        return pytest.main([str(tests), *_list_arguments(job)], plugins=[plugin.WorkerPlugin(job), QuickSave()])
    finally:
        lifeline.finish()


def _list_arguments(job: Job) -> list[str]:
    return [
        "--quiet",
        "--exitfirst",  # each measurement of a case needs the ones before it
        "--tb=native",
        # The last lines of a failed worker's output are shown to the user: they must be its traceback.
        "--disable-warnings",
        "-rN",
        "--benchmark-quiet",
        "--capture=no",  # otherwise what a framework prints before a crash would be lost
        f"--rootdir={Path(__file__).parents[2]}",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
        *_isolate(),
        f"--benchmark-json={job.folder / 'benchmark.json'}",
    ]


def _isolate() -> list[str]:
    """Arguments with which the project's own measurements do not depend on a project that they are installed in.

    Without them, pytest reads the configuration (`filterwarnings`, `addopts`, …) of the nearest folder above that has
    one, for example above the site-packages of a virtual environment, and every `conftest.py` on the way.
    """
    return ["-c", os.devnull, "--noconftest", *(f"-pno:{name}" for name in UNUSED_PLUGINS)]


def end_process(status: int) -> NoReturn:
    """End this process without taking Python's modules apart, which takes more than a second of CPU with a framework.

    What is registered for the end of the process is run, as in a process that `multiprocessing` has forked.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    end_process(int(main(sys.argv[1])))
