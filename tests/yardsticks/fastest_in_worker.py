"""In a worker's own process: our `pipeline` step in blocks, alternating with the fastest loop that was written by hand.

`python -m tests.yardsticks.fastest_in_worker JOB.json` runs it, as `script_in_worker` runs the idiomatic scripts.
"""

from __future__ import annotations

import sys

from bench.worker import plugin
from tests.yardsticks import in_worker
from tests.yardsticks.script_in_worker import compare, get_script


def test_ours_against_the_loop(case: str, session: plugin.CaseSession) -> None:
    compare(session, get_script(session.job.backend, "fastest"))


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
