"""Runs a job: `python -m bench.worker JOB.json`. The conductor starts it and has the other end of its channel."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.worker import plugin, target_plugin
from bench.worker.job import AnyJob, Job, SweepJob, TargetJob
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
    job: AnyJob
    worker: target_plugin.TargetPlugin | plugin.WorkerPlugin
    if "target" in fields:
        job = TargetJob.model_validate(fields)
        tests, root, worker = job.target, Path.cwd(), target_plugin.TargetPlugin(job)
    else:
        is_sweep = "combinations" in fields
        job = (SweepJob if is_sweep else Job).model_validate(fields)
        tests, root, worker = (
            str(SWEEP if is_sweep else MEASUREMENTS),
            Path(__file__).parents[2],
            plugin.WorkerPlugin(job),
        )
    own = [] if isinstance(job, TargetJob) else [QuickSave()]
    lifeline = Lifeline(job.descriptor, job.scratch)
    try:
        return pytest.main([tests, *_arguments(job, root)], plugins=[worker, *own])
    finally:
        lifeline.finish()


def _arguments(job: AnyJob, root: Path) -> list[str]:
    return [
        "--quiet",
        "--exitfirst",  # each measurement of a case needs the ones before it
        "--tb=native",
        # The last lines of a failed worker's output are shown to the user: they must be its traceback.
        "--disable-warnings",
        "-rN",
        "--benchmark-quiet",
        "--capture=no",  # otherwise what a framework prints before a crash would be lost
        f"--rootdir={root}",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
        *(f"-pno:{name}" for name in (() if isinstance(job, TargetJob) else UNUSED_PLUGINS)),
        f"--benchmark-json={job.folder / 'benchmark.json'}",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
