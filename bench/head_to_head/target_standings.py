"""What the launches of tests decide: time per call, ratios and a verdict, as pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.metrics import compute_log_ratio, log_level
from bench.analysis.statistics import MIN_FREEDOM, Interval, adjust_by_holm, ratio_interval, t_test_p
from bench.head_to_head.stored_targets import OutputCheck, StoredTargets
from bench.report.step_sentences import ALIKE, IMPRECISE, join_texts
from bench.report.tables.comparisons import SIGNIFICANT, Decision, decide
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, find_bound, format_bound, format_times
from bench.worker.target_plugin import KIND

#: That nobody but the user knows whether the tests do the same.
YOUR_WORD = "that these do the same is your word: bench run --same-output compares what they return"


@dataclass(frozen=True)
class Pair:
    """Two tests; `ratio` is that of their speeds, above 1."""

    faster: int
    slower: int
    ratio: Interval
    decision: Decision


@dataclass(frozen=True)
class Standings:
    """What is decided about the tests, which are numbered in their order.

    Attributes:
        seconds: per call, the geometric mean over launches of the median round, with its 95 % interval.
        ratios: how many times as fast as the first test each one is; the first one's is 1, without an interval.
        certain: whether each one's difference from the first is certain.
        pairs: of any two.
        differing: whether a test returns something else than the first: then nothing is said about speed.
    """

    seconds: tuple[Interval, ...]
    ratios: tuple[Interval, ...]
    certain: tuple[bool, ...]
    pairs: tuple[Pair, ...]
    differing: bool

    @property
    def winner(self) -> int | None:
        """The test that is certainly faster than every other; None without one."""
        for number in range(len(self.seconds)):
            won = [pair for pair in self.pairs if pair.faster == number and pair.decision == "certain"]
            if len(won) == len(self.seconds) - 1 and won:
                return number
        return None


def find_standings(result: StoredTargets) -> Standings:
    """Find the standings of a result."""
    launches, numbers = result.launches, range(len(result.labels))
    differing = bool(result.output and result.output.differing)
    if not launches:
        return Standings((), (), (), (), differing)
    by_test = [[launch.figures[number] for launch in launches] for number in numbers]
    couples = list(combinations(numbers, 2))
    ys = {
        (one, other): [compute_log_ratio(KIND, *figures) for figures in zip(by_test[one], by_test[other], strict=True)]
        for one, other in couples
    }
    adjusted = dict(zip(couples, adjust_by_holm([t_test_p(ys[couple]) for couple in couples]), strict=True))
    certain = {couple: adjusted[couple] < SIGNIFICANT for couple in couples}
    pairs = []
    for one, other in couples:
        is_first_faster = sum(ys[one, other]) >= 0
        ratio = ratio_interval(ys[one, other] if is_first_faster else [-y for y in ys[one, other]])
        faster, slower = (one, other) if is_first_faster else (other, one)
        pairs.append(Pair(faster, slower, ratio, decide(ratio, certain[one, other])))
    return Standings(
        seconds=tuple(ratio_interval([log_level(KIND, figures) for figures in own]) for own in by_test),
        ratios=(
            Interval(1.0, None, None),
            *(ratio_interval([-y for y in ys[0, number]]) for number in numbers if number),
        ),
        certain=(True, *(certain[0, number] for number in numbers if number)),
        pairs=tuple(pairs),
        differing=differing,
    )


def find_median(result: StoredTargets, number: int, metric: str) -> float | None:
    """The median over launches of a test's figure that a launch has once; None where it was not measured."""
    values = [
        launch.figures[number].values[metric][0]
        for launch in result.launches
        if metric in launch.figures[number].values
    ]
    return statistics.median(values) if values else None


def find_widest_half_width(standings: Standings) -> float:
    """The longest side of all intervals of ratios to the first test, relative to the ratio; infinite without one."""
    return max((ratio.half_width for ratio in standings.ratios[1:]), default=math.inf)


def list_sentences(result: StoredTargets, standings: Standings) -> list[str]:
    """The verdict in sentences, the answer first."""
    if result.output and result.output.differing:
        return list(_describe_differences(result, result.output))
    found = list(_describe_speeds(result.labels, standings))
    if result.stopped:
        found.append(f"It ended before all launches were measured: {result.stopped}.")
    return found


def choose_outcome(standings: Standings) -> str:
    """The outcome in a word, for programs."""
    if standings.differing:
        return "different output"
    if not standings.pairs:
        return "nothing measured"
    if standings.winner is not None:
        return "winner"
    decisions = {pair.decision for pair in standings.pairs}
    return next(iter(decisions)) if decisions in ({"too few launches"}, {"no difference"}) else "not certain"


def describe_sameness(result: StoredTargets) -> str:
    """What is known about whether the tests do the same, for a note."""
    if result.output is None:
        return YOUR_WORD
    if result.output.differing:
        return "they do not return the same"
    largest = max(result.output.comparisons, key=lambda one: one.difference)
    size = (
        f"a relative difference of at most {largest.difference:.2g}, of {largest.place}" if largest.place else "exactly"
    )
    return (
        f"their first calls return the same ({size}; tolerance {result.output.tolerance:g}); that they do the same "
        "otherwise is your word"
    )


def _describe_differences(result: StoredTargets, output: OutputCheck) -> Iterator[str]:
    for one in output.differing:
        first, *others = one.problems
        more = f", and in {len(others)} more {'place' if len(others) == 1 else 'places'}" if others else ""
        tolerance = f"tolerance {output.tolerance:g}"
        yield f"{one.label} returns something else than {result.labels[0]}: {first}{more} ({tolerance})."
    yield "So there is no verdict on speed, and none was measured."


def _describe_speeds(labels: Sequence[str], standings: Standings) -> Iterator[str]:
    order = sorted(range(len(standings.seconds)), key=lambda number: standings.seconds[number].estimate)
    decisions = {pair.decision for pair in standings.pairs}
    everyone = join_texts([labels[number] for number in order])
    if not standings.pairs:
        yield "No launch was finished, so there is no speed."
    elif decisions == {"too few launches"}:
        yield f"There are {TOO_FEW_LAUNCHES} which is faster; at least {MIN_FREEDOM + 1} are needed."
        yield f"So far {_list_behind(labels, standings.pairs, order[0], 'was')}."
    elif decisions == {"no difference"}:
        ratios = [pair.ratio for pair in standings.pairs]
        largest = max(map(find_bound, ratios))
        if largest > IMPRECISE:
            yield f"The intervals are too wide to tell {everyone} apart; more launches narrow them."
        else:
            yield f"No difference in speed was found between {everyone}."
        yield f"{'Only a' if largest > ALIKE else 'A'} difference of more than {format_bound(*ratios)} % is excluded."
    else:
        certain = [pair for pair in standings.pairs if pair.decision == "certain"]
        if not certain:
            yield "It cannot be said which is the fastest."
        for number in order:
            if any(pair.faster == number for pair in certain):
                yield f"{_list_behind(labels, certain, number, 'is')}."
        for pair in standings.pairs:
            together = f"{labels[pair.faster]} and {labels[pair.slower]}"
            if pair.decision == "no difference":
                yield f"No difference found between {together} (± {format_bound(pair.ratio)} %)."
            elif pair.decision == "not certain":
                yield f"{_list_behind(labels, [pair], pair.faster, 'was')}: not certain."


def _list_behind(labels: Sequence[str], pairs: Sequence[Pair], number: int, verb: str) -> str:
    """As `test_jax is 1.30 [1.28–1.32] times as fast as test_torch and 2.10 [2.06–2.14] times as fast as test_tf`."""
    behind = [
        f"{format_times(pair.ratio)} times as fast as {labels[pair.slower]}" for pair in pairs if pair.faster == number
    ]
    return f"{labels[number]} {verb} {join_texts(behind)}"
