"""The start of a launch's workers: one after the other, or side by side as far as memory allows.

Start-up figures (imports, build, first step, device memory) come from the first launches, in which each worker starts
alone. Later launches add rounds, whose figures do not depend on it: there, workers import and build at the same time.
They always warm up one after the other, while all others wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.machine.environment import count_usable_cores
from bench.machine.load import read_memory
from bench.measure.conductor import DEFAULT_LIMITS, LaunchLimits
from bench.records.launch_rows import find_local_peak
from bench.records.record import Record

#: Launches of a case from which start-up figures are taken: enough for an interval.
START_UP_LAUNCHES = 4
#: Most workers for each usable core that start at the same time. Importing a framework uses one core, and waits for
#: files now and then.
MAX_BUILDS_PER_CORE = 2
#: The share of the available memory that may be used by workers which start at the same time.
MEMORY_SHARE = 0.8


def choose_limits(records: Sequence[Record], jobs: int, start_up_launches: int = START_UP_LAUNCHES) -> LaunchLimits:
    """Choose the limits of a task's next launch from the records of its earlier ones.

    Args:
        records: of the same task.
        jobs: number of workers of the launch.
        start_up_launches: launches in which the workers start one after the other.
    """
    alone = {record.launch for record in records if record.started_alone and record.start_up}
    if len(alone) < start_up_launches:
        return DEFAULT_LIMITS
    peaks = [peak for record in records if (peak := find_local_peak(record))]
    return LaunchLimits(parallel_builds=count_parallel_builds(jobs, max(peaks, default=None)))


def count_parallel_builds(jobs: int, peak: int | None) -> int:
    """Count the workers that may start at the same time: 1 if it is not known what they need.

    Args:
        jobs: number of workers of the launch.
        peak: the memory of the largest worker in bytes, if it is known.
    """
    available, _ = read_memory()
    cores = count_usable_cores()
    if not peak or not available or not cores:
        return 1
    return max(1, min(jobs, MAX_BUILDS_PER_CORE * cores, int(MEMORY_SHARE * available / peak)))
