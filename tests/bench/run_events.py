"""What the workers of a run are doing, in a file, so that a test can do something at a certain moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.plan.prepared_task import PreparedTask
from bench.report.live.run_view import RunView
from bench.worker.channel import Message
from bench.worker.job import Job


def write_events(file: Path) -> None:
    """Make every view of a run write a line for each launch, each phase of a case, and each kind of its rounds."""

    def write(line: str) -> None:
        with file.open("a") as lines:
            lines.write(f"{line}\n")

    start_launch, on_event, on_round = RunView.start_launch, RunView.on_event, RunView.on_round

    def start(self: RunView, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        start_launch(self, prepared, launch, jobs)
        write(f"launch {launch} of {self.plan.suite.launches}")

    def note(self: RunView, case: str, message: Message) -> None:
        on_event(self, case, message)
        if message["event"] == "phase":
            write(f"{self.labels.get(case, case)}: {message['name']}")

    def note_round(self: RunView, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        on_round(self, case, kind, number, of, images_per_second)
        if number == of:
            write(f"{self.labels.get(case, case)}: {of} {kind} rounds")

    RunView.start_launch, RunView.on_event, RunView.on_round = start, note, note_round  # type: ignore[method-assign]
