"""Run a job: `python -m bench.worker JOB.json`. Started by the conductor, which holds the other end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.worker import plugin, target_plugin
from bench.worker.job import AnyJob, Job, SweepJob, TargetJob
from bench.worker.lifeline import Lifeline
from bench.worker.quick_save import QuickSave

MEASUREMENTS = Path(__file__).with_name("measure.py")
SWEEP = Path(__file__).with_name("sweep_fine_tunes.py")


def main(job_file: str) -> int:
    """Run pytest over the measurements; return its exit status."""
    told = json.loads(Path(job_file).read_text())
    job: AnyJob
    worker: target_plugin.Target | plugin.Worker
    if "target" in told:
        job = TargetJob.model_validate(told)
        tests, root, worker = job.target, Path.cwd(), target_plugin.Target(job)
    else:
        swept = "combinations" in told
        job = (SweepJob if swept else Job).model_validate(told)
        tests, root, worker = str(SWEEP if swept else MEASUREMENTS), Path(__file__).parents[2], plugin.Worker(job)
    lifeline = Lifeline(job.descriptor, job.scratch)
    try:
        return pytest.main([tests, *_arguments(job, root)], plugins=[worker, QuickSave()])
    finally:
        lifeline.let_go()


def _arguments(job: AnyJob, root: Path) -> list[str]:
    return [
        "--quiet",
        "--exitfirst",  # the measurements of a case build on one another
        "--tb=native",
        # The last lines of a worker that failed are shown to people: they are to be its traceback.
        "--disable-warnings",
        "-rN",
        "--benchmark-quiet",
        "--capture=no",  # what a framework prints before it crashes would be lost with the process
        f"--rootdir={root}",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
        f"--benchmark-json={job.folder / 'benchmark.json'}",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
