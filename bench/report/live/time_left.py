"""The time left of a run, learned from what it has measured until now: starts, proofs, rounds and fine-tunes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.task import Variant
from bench.analysis.warnings import MIN_LAUNCHES
from bench.measure.conductor import LOADER_SHARE
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.round_kinds import KINDS
from bench.report.live.stage_clock import (
    END,
    EPOCHS,
    EVALUATION,
    FINE_TUNE,
    PROOF,
    START,
    LaunchClock,
    Stage,
    find_median,
    name_rounds,
    name_warm_up,
)
from bench.worker.channel import Message
from bench.worker.epoch_accuracy import can_score_epochs, count_scored_images
from bench.worker.evidence import choose_evaluation_batch_size
from bench.worker.job import Job
from bench.worker.step_work import Step
from bench.worker.work import Work

#: First guesses, in seconds, until a case of the run has been through a stage.
FIRST_GUESSES = {START: 12.0, PROOF: 8.0, END: 1.0}
WARM_UP_GUESS = 2.0
#: Rounds with their run-ins and hand-overs take about this many times as long as the rounds alone.
ROUND_OVERHEAD = 1.25
#: Images per second of a fine-tune, until the first case of the run is warmed up.
FIRST_RATE = 400.0
#: Operations that a device does in the time in which it moves a byte. Only the ratio of two tasks' times depends on it,
#: as a guess until the second of them has begun.
FLOP_PER_BYTE = 10.0
#: A step with ten times the work takes fewer than ten times as long, because part of it does not grow: the steps of
#: the offline suite's two tasks, 9.8 times apart in work, differed 3 to 6 times in their seconds on two cores.
WORK_EXPONENT = 0.7
#: So many of the latest launches predict the next.
LATEST = 3


@dataclass(frozen=True)
class TimeEstimate:
    """The estimated time of a run, in seconds.

    Attributes:
        spent: since the run began.
        left: None until something has been measured.
    """

    spent: float
    left: float | None

    @property
    def share(self) -> float:
        """The share of the time that is spent."""
        return 0.0 if self.left is None else min(0.99, self.spent / max(self.spent + self.left, 1e-9))


class TimeLeft:
    """Estimates the time left from the messages of the workers; see `bench.measure.run.RunWatcher`."""

    def __init__(self, plan: Plan, kinds: Sequence[str] = KINDS, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin a run whose cases have rounds of these `kinds`."""
        self._plan, self._kinds, self._clock = plan, kinds, clock
        self._began = clock()
        self._task_began = self._began
        self._labels: dict[str, str] = {}
        self._launch: LaunchClock | None = None
        self._finished: list[LaunchClock] = []
        #: Launches that a task still needs for the precision that was asked for, by position.
        self._wanted: dict[int, int] = {}
        #: The work of a step, by position and case: counting it takes milliseconds.
        self._works: dict[tuple[int, str], float] = {}

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """A launch begins."""
        self.end_launch()
        position = self._plan.tasks.index(prepared) if prepared in self._plan.tasks else 0
        now = self._clock()
        if not any(one.position == position for one in self._finished):
            self._task_began = now
        self._labels = {job.case: job.label for job in jobs}
        self._launch = LaunchClock(position, {job.label: job for job in jobs}, prepared.task.epochs, now, self._clock)

    def end_launch(self, launches_wanted: int = 0) -> None:
        """The launch is over.

        Args:
            launches_wanted: further launches that the precision that was asked for takes.
        """
        if self._launch:
            self._launch.end()
            self._finished.append(self._launch)
            self._wanted[self._launch.position] = launches_wanted
        self._launch = None

    def note_event(self, case: str, message: Message) -> None:
        """A worker has sent a message, or died."""
        if self._launch and case in self._labels:
            self._launch.note_event(self._labels[case], message)

    def note_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """A worker has finished a round."""
        if self._launch and case in self._labels:
            self._launch.note_round(self._labels[case], kind, number, of, images_per_second)

    def estimate(self) -> TimeEstimate:
        """Estimate the time left."""
        spent = self._clock() - self._began
        clocks = self._list_clocks()
        if not any(clock.step_seconds or clock.done for clock in clocks):
            return TimeEstimate(spent, None)
        current = clocks[-1].position
        rest = self._estimate_current()
        left = rest + self._estimate_launches(current, self._clock() - self._task_began + rest)
        for position in range(current + 1, len(self._plan.tasks)):
            left += self._estimate_launches(position, 0.0)
        return TimeEstimate(spent, left)

    def _list_clocks(self, position: int | None = None) -> list[LaunchClock]:
        clocks = [*self._finished, *([self._launch] if self._launch else [])]
        return clocks if position is None else [clock for clock in clocks if clock.position == position]

    def _estimate_current(self) -> float:
        """The seconds that are left of the current launch."""
        launch = self._launch
        if launch is None:
            return 0.0
        left = self._expect(launch.position, ("", END))
        for stage in launch.stages:
            if stage in launch.done:
                continue
            case, name = stage
            spent, share = launch.seconds.get(stage, 0.0), launch.shares.get(stage, 0.0)
            expected = self._expect(launch.position, stage)
            if name in (FINE_TUNE, EVALUATION):
                expected *= len(launch.jobs[case].seeds)
            if share:  # the nearer to its end, the more its own progress counts
                expected += math.sqrt(share) * (spent / share - expected)
                left += expected * (1 - share)
            else:
                left += max(0.0, expected - spent)
        return left

    def _estimate_launches(self, position: int, spent: float) -> float:
        """The seconds of the launches of a task that have not begun.

        Args:
            spent: seconds of this task until the next of them begins.
        """
        plan, prepared = self._plan, self._plan.tasks[position]
        begun = len(self._list_clocks(position)) + len({one.launch for one in plan.done if one.position == position})
        limit = math.inf if plan.suite.most_minutes is None else 60 * plan.suite.most_minutes
        wanted = max(plan.suite.launches - begun, self._wanted.get(position, 0))
        later = self._estimate_launch(position, first=False) if wanted else 0.0
        total = 0.0
        for number in range(begun, begun + wanted):
            if number >= MIN_LAUNCHES and spent + total > limit:
                break
            total += later if number else self._estimate_launch(position, first=True)
        return total + self._count_seeds_left(position, prepared) * sum(
            self._expect(position, (case, stage))
            for case in self._list_cases(position)
            for stage in (FINE_TUNE, EVALUATION, EPOCHS)
        )

    def _count_seeds_left(self, position: int, prepared: PreparedTask) -> int:
        """The fine-tunes of each case that no launch has begun."""
        if not prepared.fine_tune:
            return 0
        begun = {seed for clock in self._list_clocks(position) for job in clock.jobs.values() for seed in job.seeds}
        begun |= {tune.seed for one in self._plan.done if one.position == position for tune in one.fine_tunes}
        return max(0, self._plan.seeds - len(begun))

    def _estimate_launch(self, position: int, first: bool) -> float:
        """The seconds of a launch without its fine-tunes; the first one of a task has the proof, and all kinds."""
        total = self._expect(position, ("", END))
        for case, variant in self._list_cases(position).items():
            kinds = ("pipeline",) if variant.features == "cached" else self._kinds
            kinds = tuple(kind for kind in kinds if first or kind != "loader")
            rounds = [stage for kind in kinds for stage in (name_warm_up(kind), name_rounds(kind))]
            for stage in (START, *([PROOF] if first else []), *(rounds if self._plan.suite.rounds else [])):
                total += self._expect(position, (case, stage))
        return total

    def _list_cases(self, position: int) -> Mapping[str, Variant]:
        cases = self._plan.cases(self._plan.tasks[position])
        return {f"{backend}/{variant.name}": variant for backend, variant in cases}

    def _expect(self, position: int, stage: Stage) -> float:
        """The expected seconds of a stage, with one fine-tune.

        They come from the same case in this task; else, before its first launch is over, from what is known best: its
        own rate, the other cases of the task, the other tasks, and last a guess.
        """
        case, name = stage
        if (own := self._find_measured(position, stage)) is not None:
            return own
        if name == FINE_TUNE:
            return self._expect_fine_tune(position, case)
        if name == EVALUATION:
            return len(self._plan.tasks[position].dataset.test_images) / self._expect_rate(position, case)
        if name == EPOCHS:
            return self._expect_epochs(position, case)
        if name.endswith(" rounds"):
            return self._expect_rounds(position, case, name.removesuffix(" rounds"))
        peers = [self._find_measured(position, (other, name)) for other in self._list_cases(position)]
        if found := [seconds for seconds in peers if seconds is not None]:
            return statistics.fmean(found)
        for other in self._list_other_tasks(position):
            if (measured := self._find_measured(other, stage)) is not None:
                return measured * (self._compare_work(position, other, case) if name == PROOF else 1.0)
        return FIRST_GUESSES.get(name, WARM_UP_GUESS)

    def _find_measured(self, position: int, stage: Stage) -> float | None:
        """The seconds of a stage in the latest launches of a task in which it is over; of one fine-tune."""
        case, name = stage
        found = []
        for clock in self._list_clocks(position):
            if stage in clock.done or (name == END and clock is not self._launch):
                tunes = len(clock.jobs[case].seeds) if name in (FINE_TUNE, EVALUATION) else 1
                found.append(clock.seconds.get(stage, 0.0) / max(1, tunes))
        return statistics.fmean(found[-LATEST:]) if found else None

    def _list_other_tasks(self, position: int) -> list[int]:
        """The other tasks that have begun, the latest first."""
        return [other for other in reversed(range(len(self._plan.tasks))) if other != position]

    def _expect_rounds(self, position: int, case: str, kind: str) -> float:
        """All rounds of a case have as many steps as the fastest case does in the time of a round."""
        suite = self._plan.suite
        of_round = suite.round_seconds * (LOADER_SHARE if kind == "loader" else 1)
        steps = {
            label: seconds
            for clock in self._list_clocks(position)
            for (label, of), seconds in clock.step_seconds.items()
            if of == kind
        }
        slowness = steps[case] / min(steps.values()) if case in steps and kind != "loader" else None
        for other in self._list_other_tasks(position) if slowness is None else ():
            if (measured := self._find_measured(other, (case, name_rounds(kind)))) is not None:
                return measured
        return suite.rounds * of_round * (slowness or 1.0) * ROUND_OVERHEAD

    def _expect_fine_tune(self, position: int, case: str) -> float:
        prepared = self._plan.tasks[position]
        images = prepared.task.epochs * len(prepared.dataset.train_images)
        return images / self._expect_rate(position, case) * self._find_correction()

    def _expect_epochs(self, position: int, case: str) -> float:
        """The accuracy by epoch takes as long as the evaluation of the same images, and no time on cached features."""
        prepared = self._plan.tasks[position]
        if not can_score_epochs(prepared.task) or self._list_cases(position)[case].features == "cached":
            return 0.0
        images = len(prepared.dataset.test_images)
        scored = count_scored_images(images, choose_evaluation_batch_size(prepared.task))
        return self._expect(position, (case, EVALUATION)) * scored / images

    def _find_correction(self) -> float:
        """How much longer fine-tunes take than their cases' rounds promise, in the run until now."""
        ratios = []
        for clock in self._list_clocks():
            prepared = self._plan.tasks[clock.position]
            images = prepared.task.epochs * len(prepared.dataset.train_images)
            for case, job in clock.jobs.items():
                rate = find_median(clock.rates.get(case, ()))
                if (case, FINE_TUNE) in clock.done and clock.seconds.get((case, FINE_TUNE)) and rate and job.seeds:
                    ratios.append(clock.seconds[case, FINE_TUNE] / len(job.seeds) / (images / rate))
        return find_median(ratios) or 1.0

    def _expect_rate(self, position: int, case: str) -> float:
        """The images per second of training, with the input pipeline."""
        if (own := self._find_rate(position, case)) is not None:
            return own
        peers = [self._find_rate(position, other) for other in self._list_cases(position)]
        if found := [rate for rate in peers if rate is not None]:
            return statistics.harmonic_mean(found)
        for other in self._list_other_tasks(position):
            if (rate := self._find_rate(other, case)) is not None:
                sizes = [self._plan.tasks[at].task.batch_size for at in (position, other)]
                return rate / self._compare_work(position, other, case) * sizes[0] / sizes[1]
        return FIRST_RATE

    def _find_rate(self, position: int, case: str) -> float | None:
        clocks = self._list_clocks(position)
        if rate := find_median(rate for clock in clocks for rate in clock.rates.get(case, ())):
            return rate
        steps = find_median(
            clock.step_seconds[case, "pipeline"] for clock in clocks if (case, "pipeline") in clock.step_seconds
        )
        return self._plan.tasks[position].task.batch_size / steps if steps else None

    def _compare_work(self, position: int, other: int, case: str) -> float:
        """About how many times as long as a step of the task `other` one of this task takes, by their work."""
        here, there = self._find_work(position, case), self._find_work(other, case)
        return float((here / there) ** WORK_EXPONENT) if here and there else 1.0

    def _find_work(self, position: int, case: str) -> float:
        """The work of a step, in operations; 0 if the task has no such case."""
        if (position, case) not in self._works:
            variant = self._list_cases(position).get(case)
            work = Step(self._plan.tasks[position].task, variant).compute if variant else Work()
            self._works[position, case] = work.flop + FLOP_PER_BYTE * work.bytes
        return self._works[position, case]
