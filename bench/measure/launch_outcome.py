"""The outcome of a launch, and of each of its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bench.records.record import Conditions, Failure
from bench.worker.channel import Message
from bench.worker.job import AnyJob

AJob = TypeVar("AJob", bound=AnyJob)


@dataclass
class WorkerOutcome(Generic[AJob]):
    """The outcome of one worker.

    Attributes:
        messages: its last message of each event, by the event's name, or by "event kind" if the message has a kind.
        failure: how it died; None if it did not.
        nvml_device: device memory in bytes that NVML saw appear while it started; None without a GPU.
        started_alone: whether all other workers waited until it was built: only then does its start show what a start
            takes.
        variables, disobeyed: see `WorkerProcess`.
    """

    job: AJob
    messages: dict[str, Message] = field(default_factory=dict)
    failure: Failure | None = None
    nvml_device: int | None = None
    started_alone: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    disobeyed: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def peak_memory(self) -> int:
        """The largest memory of the worker in any phase, in bytes; 0 where the system does not report it."""
        phases = self.messages.get("memory", {}).get("host", ())
        return max((phase["peak"] + phase.get("children", 0) for phase in phases if phase["peak"]), default=0)


@dataclass
class LaunchOutcome(Generic[AJob]):
    """What one launch measured.

    Attributes:
        outcomes: in the order of the jobs.
        measuring_s: seconds that all rounds took together, hand-overs included.
        conditions: what else the machine did during the rounds; None if there were none.
    """

    outcomes: list[WorkerOutcome[AJob]]
    measuring_s: float
    conditions: Conditions | None


class LaunchInterrupted(KeyboardInterrupt):
    """A signal has ended a launch. Its cases that had finished are saved.

    Attributes:
        outcome: of the launch; that of a case that is not in `finished` is incomplete.
        finished: the cases whose workers had done everything.
    """

    def __init__(self, outcome: LaunchOutcome[Any], finished: frozenset[str]) -> None:
        super().__init__()
        self.outcome, self.finished = outcome, finished
