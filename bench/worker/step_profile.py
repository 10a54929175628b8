"""The profile of training steps, by the framework's own profiler; never during a measurement, which it would slow."""

from __future__ import annotations

import json
from pathlib import Path

from backends.base import Backend, Training

#: Steps before the profile: what is compiled, allocated and filled only once does not belong to a step.
FIRST_STEPS = 5
#: The file with the events, in the worker's folder.
EVENTS_FILE = "events.json"


def profile(backend: Backend, training: Training, steps: int, folder: Path) -> None:
    """Profile `steps` training steps; writes a list of `backends.values.Event` as JSON into `folder`."""
    training.advance(FIRST_STEPS)
    scratch = folder / "profiler"
    scratch.mkdir()
    events = backend.profile(lambda: training.advance(steps), str(scratch))
    (folder / EVENTS_FILE).write_text(json.dumps(events))
