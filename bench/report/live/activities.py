"""What the workers of a launch are doing now, in words, from their messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bench.records.round_kinds import KINDS
from bench.report.live.part_progress import PartProgress
from bench.worker.channel import Message

#: Messages with which a worker stops to compute until it is asked again.
RESTING = ("calibrated", "ready", "fine-tune ready", "finished")


class Activities:
    """Follows all workers of a launch. A throughput is part of the words about its round, so it is gone with them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.parts = PartProgress(clock)
        self._labels: dict[str, str] = {}
        self._active: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def start_launch(self, labels: Mapping[str, str]) -> None:
        """Follow a new launch; `labels` are the names of its cases, by their ids."""
        self._labels = dict(labels)
        self._active = {}
        self._last = dict.fromkeys(labels, "waits to start")

    def note_event(self, case: str, message: Message) -> None:
        """Note a message of a worker, or its death; see `bench.measure.conductor.Watcher.on_event`."""
        event = message["event"]
        if part := self.parts.describe(case, message):
            self._set_active(case, part)
        elif event == "spawned":
            self._set_active(case, "start and import")
        elif event in ("phase", "combination"):
            self._set_active(case, message.get("name", "start"))
        elif event == "progress":
            share = message["steps"] / message["of"]
            self._set_active(case, f"fine-tune, epoch {message['epoch'] + 1}, {share:.0%}")
        elif event == "fine-tuned":
            seconds = message.get("seconds")  # a sweep's worker sends them epoch by epoch
            self._set_active(case, "fine-tuned" if seconds is None else f"fine-tuned in {seconds:.0f} s")
        elif event == "died":
            self._set_resting(case, f"died: {message['reason']}")
        elif event in RESTING:
            self._set_resting(case, "finished" if event == "finished" else "waits")

    def note_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """Note a round; see `bench.measure.conductor.Watcher.on_round`."""
        rate = f", {images_per_second:,.0f} images/s" if kind in KINDS else ""  # a kernel's rounds have no images
        self._active = {}  # in rounds, only one worker computes at a time
        self._set_active(case, f"{kind} round {number} of {of}{rate}")
        self._last[case] = f"{kind} round {number} of {of}"

    def describe_now(self) -> str:
        """Describe what is computed now: `keras/default: pipeline round 2 of 4, 250 images/s`; empty if nothing is."""
        if not self._active and self._last and all(one == "finished" for one in self._last.values()):
            return "all cases save their results"
        return "; ".join(f"{self._labels.get(case, case)}: {activity}" for case, activity in self._active.items())

    def describe_cases(self) -> dict[str, str]:
        """Describe what each case is doing, by its name; without throughput, because only one case computes."""
        return {self._labels.get(case, case): activity for case, activity in self._last.items()}

    def _set_active(self, case: str, activity: str) -> None:
        self._active[case] = self._last[case] = activity

    def _set_resting(self, case: str, activity: str) -> None:
        self._active.pop(case, None)
        self._last[case] = activity
