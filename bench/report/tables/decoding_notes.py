"""The notes about cases that decode image files themselves: how far their images are from those of the others."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.launches import TaskLaunches
from bench.parity.checks import DECODING_CHECK


def list_decoding_notes(task: TaskLaunches) -> Iterator[str]:
    """List a note for each case whose input pipeline decodes other pixels than Pillow."""
    for case in task.cases:
        for check in case.checks:
            if check.name == DECODING_CHECK and check.difference:
                yield f"{case.label} decodes other pixels: they differ by {check.difference:.2g} {check.detail}"
