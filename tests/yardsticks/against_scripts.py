"""Each backend's `pipeline` step against the idiomatic script of its framework, round by round."""

from __future__ import annotations

from pathlib import Path

from bench.stats import log_ratios
from tests.yardsticks import case
from tests.yardsticks.partner import Partner


def launch(backend: str, data: Path, rounds: int) -> float:
    """One launch: y, the median over rounds of ln(throughput of ours / of the script). 0 is no difference."""
    job = case.job(backend, data, rounds)
    with Partner(job, "tests.yardsticks.script_in_worker") as worker:
        message = worker.wait_for("compared")
    return log_ratios([message["script"]], [message["ours"]])[0]
