"""Each backend's `pipeline` step against the idiomatic script of its framework, round by round."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.statistics import log_ratios
from tests.yardsticks import case
from tests.yardsticks.partner import Partner
from tests.yardsticks.script_in_worker import SECOND


def launch(backend: str, data: Path, rounds: int, number: int) -> float:
    """The `number`-th launch: y, the median over rounds of ln(throughput of ours / the script). 0 is no difference."""
    job = case.job(backend, data, rounds, case=f"{backend}{SECOND if number % 2 else ''}")
    with Partner(job, "tests.yardsticks.script_in_worker") as worker:
        message = worker.wait_for("compared")
    return log_ratios([message["script"]], [message["ours"]])[0]
