"""What PyTorch's kernels and its profiler give on a device, left in a file: `python -m tests.gpu.kernels FILE DEVICE`.

It needs what `tests.gpu.evidence` needs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import backends
from backends.task import Variant
from bench.worker.kernels import RATES
from tests.backends.tasks import TASKS, checkpoint_of, head_of

#: Runs that are timed together, and seconds that they are to take about.
SECONDS = 0.2
KINDS = ("gemm fp32", "gemm bf16", "memory", "small operations", "convolutions")


def main(file: Path, device: str) -> None:
    backend, task, variant = backends.load("pytorch"), TASKS["frozen"], Variant(threads=2, device=device)
    backend.build(task, variant, checkpoint_of(task), head_of(task))
    found: dict[str, object] = {}
    for kind in KINDS:
        rate = RATES[kind]
        run = backend.kernel(rate.kernel(task, variant), variant)
        run(2)
        times = max(1, round(SECONDS / seconds(run, 1)))
        found[kind] = rate.amount(task, variant) * times / seconds(run, times)
    events = backend.profile(lambda: run(3), "")
    found["events"] = events
    found["calls"] = 3 * len(RATES["convolutions"].kernel(task, variant).calls)
    file.write_text(json.dumps(found))


def seconds(run, times: int) -> float:
    began = time.perf_counter()
    run(times)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
