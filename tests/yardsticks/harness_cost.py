"""What the harness costs a step: pytest-benchmark's rounds against a plain loop in the same process."""

from __future__ import annotations

import time
from pathlib import Path

from bench.analysis.statistics import log_ratios
from tests.yardsticks import case
from tests.yardsticks.partner import Partner

#: How long the baton stays away before a round: two other workers' rounds.
REST = 2 * case.ROUND_SECONDS


def launch(backend: str, data: Path, rounds: int) -> float:
    """One launch: y, the median over rounds of ln(throughput in rounds / in the plain loop). 0 is no cost."""
    job = case.job(backend, data, rounds)
    with Partner(job, "tests.yardsticks.plain_loop") as worker:
        while (message := worker.wait_for("resting", "round", "compared"))["event"] != "compared":
            time.sleep(REST)
            worker.hand_baton()
    return log_ratios([message["plain"]], [message["harness"]])[0]
