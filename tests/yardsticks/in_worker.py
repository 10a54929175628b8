"""Run a measurement of the yardsticks as a worker runs the real ones: under pytest, with the harness' own plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.worker import plugin
from bench.worker.job import Job


def run(file: str, job_file: str) -> int:
    """Run the tests in `file` on the job in `job_file`; pytest's exit status."""
    job = Job.model_validate_json(Path(job_file).read_text())
    root = Path(__file__).parents[2]
    options = [
        "--quiet",
        "--tb=native",
        f"--rootdir={root}",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
    ]
    return pytest.main([file, *options], plugins=[plugin.WorkerPlugin(job)])
