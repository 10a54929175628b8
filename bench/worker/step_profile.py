"""Training steps under the framework's own profiler; never beside a measurement, which it would slow down."""

from __future__ import annotations

import json
from pathlib import Path

from backends.base import Backend, Training

#: Steps that are trained first, unseen: what is compiled, allocated and filled for the first time is none of a step.
FIRST_STEPS = 5
#: Where the events lie in a worker's folder.
FILE = "events.json"


def profile(backend: Backend, training: Training, steps: int, folder: Path) -> None:
    """Leave what the profiler sees of `steps` training steps in `folder`, a list of `backends.values.Event` as JSON."""
    training.advance(FIRST_STEPS)
    scratch = folder / "profiler"
    scratch.mkdir()
    events = backend.profile(lambda: training.advance(steps), str(scratch))
    (folder / FILE).write_text(json.dumps(events))
