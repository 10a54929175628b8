"""The seconds of each stage of each worker, from the times of its messages: what the time left is learned from."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bench.worker.channel import Message
from bench.worker.epoch_accuracy import PHASE as EPOCHS
from bench.worker.job import Job

#: The stages that every launch has, and those of its proof and its fine-tunes. Each kind of rounds has two more.
START, PROOF, FINE_TUNE, EVALUATION, END = "start", "proof", "fine-tune", "evaluation", "end"
#: A case and a stage.
Stage = tuple[str, str]


def name_warm_up(kind: str) -> str:
    """The stage before the rounds of a kind; it is the worker's own name of this phase."""
    return f"{kind} warm-up"


def name_rounds(kind: str) -> str:
    """The stage of the rounds of a kind."""
    return f"{kind} rounds"


def list_stages(job: Job) -> list[str]:
    """List the stages of a job in their order."""
    stages = [START]
    stages += [PROOF] if job.proof_steps else []
    if job.rounds:
        stages += [stage for kind in job.kinds for stage in (name_warm_up(kind), name_rounds(kind))]
    return stages + ([FINE_TUNE, EVALUATION, EPOCHS] if job.seeds else [])


@dataclass
class LaunchClock:
    """The stages of one launch.

    Time passes in the stage of the worker that ends it with a message. If several workers start side by side, each gets
    a part of the time that they take together.

    Attributes:
        position: of the task in the plan.
        jobs: by the case's name.
        epochs: of the task.
        seconds: spent in each stage until now.
        done: the stages that are over.
        shares: of a stage that is under way, the share that is done, where the worker says so.
        rates: images per second of each case's `pipeline` rounds.
        step_seconds: of a step, by case and kind, as the warm-up found it.
    """

    position: int
    jobs: dict[str, Job]
    epochs: int
    began: float
    clock: Callable[[], float]
    seconds: dict[Stage, float] = field(default_factory=lambda: defaultdict(float))
    done: set[Stage] = field(default_factory=set)
    shares: dict[Stage, float] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    step_seconds: dict[Stage, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = self.began
        self._stage = dict.fromkeys(self.jobs, START)
        self._tuned = dict.fromkeys(self.jobs, 0)

    @property
    def stages(self) -> list[Stage]:
        """All stages that the launch was planned with."""
        return [(case, stage) for case, job in self.jobs.items() for stage in list_stages(job)]

    def note_event(self, case: str, message: Message) -> None:
        """Note a message of a worker."""
        self._pass_time(case)
        match message:
            case {"event": "phase", "name": name}:
                self._enter(case, name)
            case {"event": "built"}:
                self.done.add((case, START))
            case {"event": "proven"}:
                self.done.add((case, PROOF))
            case {"event": "calibrated", "kind": kind}:
                self.done.add((case, name_warm_up(kind)))
                self.step_seconds[case, kind] = message["step_seconds"]
                self._stage[case] = name_rounds(kind)
            case {"event": "fine-tune ready"}:
                self._stage[case] = FINE_TUNE
            case {"event": "progress"}:
                share = (message["epoch"] + message["steps"] / message["of"]) / self.epochs
                self._note_share(case, FINE_TUNE, share)
            case {"event": "part", "done": done, "of": of} if of and self._stage[case] == EVALUATION:
                self._note_share(case, EVALUATION, done / of)
            case {"event": "part", "done": done, "of": of} if of and self._stage[case] == EPOCHS:
                self.shares[case, EPOCHS] = done / of
            case {"event": "fine-tuned"}:
                self._tuned[case] += 1
                self._stage[case] = FINE_TUNE
            case {"event": "finished" | "died"}:
                self._stage[case] = END
                self.done |= {(case, stage) for stage in list_stages(self.jobs[case])}

    def note_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """Note a round."""
        stage = case, name_rounds(kind)
        self._stage[case] = stage[1]
        self._pass_time(case)
        self.shares[stage] = number / of
        if number == of:
            self.done.add(stage)
        if kind == "pipeline":
            self.rates[case].append(images_per_second)

    def end(self) -> None:
        """The launch is over."""
        self._pass_time("")
        self.done |= set(self.stages)

    def _pass_time(self, case: str) -> None:
        now = self.clock()
        self.seconds[case, self._stage.get(case, END)] += now - self._last
        self._last = now

    def _enter(self, case: str, phase: str) -> None:
        stages = list_stages(self.jobs[case])
        if phase in stages:
            self._stage[case] = phase

    def _note_share(self, case: str, stage: str, share: float) -> None:
        self.shares[case, stage] = (self._tuned[case] + share) / max(1, len(self.jobs[case].seeds))


def find_median(values: Iterable[float]) -> float | None:
    """The median of some values; None without any."""
    found: Sequence[float] = list(values)
    return statistics.median(found) if found else None
