"""Run a job: `python -m bench.worker JOB.json`. Started by the conductor, which holds the other end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.worker import plugin
from bench.worker.job import Job
from bench.worker.lifeline import Lifeline


def main(job_file: str) -> int:
    """Run pytest over the measurements; return its exit status."""
    job = Job.model_validate_json(Path(job_file).read_text())
    lifeline = Lifeline(job.descriptor, job.scratch)
    measurements = Path(__file__).with_name("measure.py")
    arguments = [
        str(measurements),
        "--quiet",
        "--exitfirst",  # the measurements of a case build on one another
        "--tb=native",
        # The last lines of a worker that failed are shown to people: they are to be its traceback.
        "--disable-warnings",
        "-rN",
        "--benchmark-quiet",
        "--capture=no",  # what a framework prints before it crashes would be lost with the process
        f"--rootdir={Path(__file__).parents[2]}",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
        f"--benchmark-json={job.folder / 'benchmark.json'}",
    ]
    try:
        return pytest.main(arguments, plugins=[plugin.Worker(job)])
    finally:
        lifeline.let_go()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
