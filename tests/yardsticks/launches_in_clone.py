"""Measures launch by launch in the working tree of another revision: `python launches_in_clone.py WHAT OPTIONS`.

It is started in that tree's top folder and imports everything from there, so it uses only what both revisions have.
Before each launch it waits for a line on its standard input; after each it prints a JSON line, so that two revisions
can take turns.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))


class Silent:
    """Receives all progress, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def measure_suite(suite: str, data_dir: str) -> Iterator[dict[str, Any]]:
    """Run the launches of a suite's first task; yields the seconds per image of each case's median round, by kind."""
    from bench.measure.run import measure_launches
    from bench.plan.plan import make_plan
    from bench.plan.request import Request

    overrides: dict[str, Any] = {"weights": "random"} if suite == "standard" else {}
    if suite == "standard" and not data_dir:
        overrides["dataset"] = "digits"
    folder = Path(data_dir) if data_dir and suite == "standard" else None
    plan = make_plan(Request(suite=suite, overrides=overrides, data_dir=folder))
    for records in measure_launches(plan, Path("none"), {}, Silent(), keep=lambda record: None):  # type: ignore[arg-type]
        failed = [record.failure.reason for record in records if record.failure]
        if failed:
            raise SystemExit(f"a worker died: {failed[0]}")
        yield {
            "image_s": {
                kind: {
                    record.backend: [second / rounds.images for second in rounds.seconds]
                    for record in records
                    if (rounds := getattr(record, kind))
                }
                for kind in ("pipeline", "compute")
            }
        }


def measure_gate(backend: str) -> Iterator[dict[str, Any]]:
    """Run launch pairs of the working tree with itself; yields the log-ratios by metric."""
    from bench.analysis.metrics import compute_log_ratio
    from bench.gate import source_trees
    from bench.gate.launch_pairs import TrainingCase, measure_pairs
    from bench.gate.source_trees import BASE, HEAD, SourceTree
    from bench.plan.plan import make_plan
    from bench.plan.request import Request

    with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
        scratch = Path(folder)
        source_trees.check_out(source_trees.find_repository(Path.cwd()), None, scratch)
        arms = {arm: SourceTree(scratch / arm, Path(sys.executable), arm) for arm in (BASE, HEAD)}
        for source in arms.values():
            source_trees.compile_byte_code(source)
        plan = make_plan(Request(suite="gate", backends=(backend,)))
        case = TrainingCase(plan, plan.tasks[0], backend)
        for pair in measure_pairs(case, arms, Silent()):  # type: ignore[arg-type]
            names = pair.base.values.keys() & pair.head.values.keys()
            yield {"ys": {name: compute_log_ratio(name, pair.base, pair.head) for name in sorted(names)}}


def main(what: str, *options: str) -> None:
    """Measure a launch for each line that is read; the first includes the imports and the plan, as a user waits for."""
    launches = measure_gate(*options) if what == "gate" else measure_suite(what, *options)
    while sys.stdin.readline():
        began = time.monotonic()  # the other revision has its turn before that
        found = next(launches, None)
        if found is None:
            return
        print(json.dumps(found | {"seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
