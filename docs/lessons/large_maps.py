"""The C library returns blocks of 32 MiB and more at once, so that each new one begins with page faults."""

import resource

import numpy as np


def count_page_faults(megabytes: float) -> int:
    """The page faults of making and freeing a map of this size a hundred times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(int(megabytes * 2**20), np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


for megabytes in (24, 31, 33, 48):
    count_page_faults(megabytes)  # the C library adapts at first
    print(f"a map of {megabytes} MiB, made 100 times: {count_page_faults(megabytes):,} page faults")
