"""What the training steps of a task decide, as an outcome and in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Literal

from bench.analysis.launches import CaseLaunches
from bench.analysis.statistics import MIN_FREEDOM
from bench.report.standings import Pair, Standings
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, find_bound, format_bound, format_rate, format_times

#: What the training steps decide: `winner`: one case is certainly faster than all others; `shared lead`: several are,
#: and no difference was found among them; `no difference`: found between any two cases; `not certain`: anything else;
#: `one case`: nothing to compare it with; `not comparable`: several cases, and no two that may be compared.
Outcome = Literal[
    "winner",
    "shared lead",
    "no difference",
    "not certain",
    "too few launches",
    "one case",
    "not comparable",
    "nothing measured",
]
#: Cases without a difference are named together if one above this size is excluded.
ALIKE = 0.05
#: Above this size, what is excluded says so little that the answer is the width of the intervals.
IMPRECISE = 0.25
#: Sentences about more cases than these would have to be read twice.
MOST_CASES = 3


def choose_outcome(standings: Standings) -> Outcome:
    """Choose the outcome that describes the decisions about all pairs."""
    decisions = {pair.decision for pair in standings.pairs}
    if not standings.cases:
        return "not comparable" if standings.excluded else "nothing measured"
    if len(standings.cases) == 1:
        return "not comparable" if standings.excluded else "one case"
    if standings.leaders:
        return "winner" if len(standings.leaders) == 1 else "shared lead"
    if decisions <= {"too few launches"}:
        return "too few launches"
    all_alike = decisions == {"no difference"} and len(standings.pairs) == math.comb(len(standings.cases), 2)
    return "no difference" if all_alike else "not certain"


def describe_steps(standings: Standings, outcome: Outcome, names: dict[str, str], prefix: str) -> Iterator[str]:
    """Describe what the training steps decide; the first sentence is the answer.

    Of many cases, only the first ones are named, with those that share the lead.
    """
    most = max(MOST_CASES, len(standings.leaders) + 1)
    if outcome == "no difference" or len(standings.cases) <= most:
        yield from _describe_all(standings, outcome, names, prefix)
    else:
        yield from _describe_all(standings.choose_first(most), outcome, names, prefix)
        more = len(standings.cases) - most
        yield f"{more} more {'case is' if more == 1 else 'cases are'} in the table."


def _describe_all(standings: Standings, outcome: Outcome, names: dict[str, str], prefix: str) -> Iterator[str]:
    cases, leaders = standings.cases, standings.leaders
    everyone = join_texts([names[case.label] for case in cases])
    match outcome:
        case "winner":
            yield from _describe_winner(standings, names, prefix)
        case "shared lead":
            together = join_texts([names[case.label] for case in leaders])
            tied = [pair for one, two in combinations(leaders, 2) if (pair := standings.find_pair(one, two))]
            bound = format_bound(*(pair.ratio for pair in tied))
            yield f"{prefix} {together} train fastest; no difference found between them (± {bound} %)."
            behind = [_compare_all(standings, leaders, case, names) for case in cases[len(leaders) :]]
            yield f"They train {join_texts(behind)}."
        case "no difference":
            largest = max(find_bound(pair.ratio) for pair in standings.pairs)
            bound = format_bound(*(pair.ratio for pair in standings.pairs))
            if largest > IMPRECISE:
                yield f"{prefix} the intervals are too wide to tell {everyone} apart; more launches narrow them."
            else:
                yield f"{prefix} no difference in speed was found between {everyone}."
            yield f"{'Only a' if largest > ALIKE else 'A'} difference of more than {bound} % is excluded."
        case "too few launches":
            yield f"{prefix} there are {TOO_FEW_LAUNCHES} which is faster; at least {MIN_FREEDOM + 1} are needed."
            others = [case for case in cases[1:] if standings.find_pair(cases[0], case)]
            if behind := [_compare_all(standings, cases[:1], case, names) for case in others]:
                yield f"So far {names[cases[0].label]} was {join_texts(behind)}."
        case "not certain":
            first, *more = _describe_decided(standings, names) or ["it is not certain which case is the fastest."]
            yield f"{prefix} {first}"
            yield from more
            yield from _describe_ties(standings, names)
            if few := [pair for pair in standings.pairs if pair.decision == "too few launches"]:
                yield f"{TOO_FEW_LAUNCHES.capitalize()}: {_list_pairs(few, names)}."
        case "one case":
            rate = format_rate(cases[0], "pipeline")
            yield f"{prefix} {everyone} trains {rate} images/s; there is no other case to compare it with."
        case "not comparable":
            yield f"{prefix} no two cases may be compared."
        case "nothing measured":
            yield f"{prefix} no speed was measured."


def _describe_winner(standings: Standings, names: dict[str, str], prefix: str) -> Iterator[str]:
    """Describe by how much a case is the fastest; where the others are alike, by the second's figure alone."""
    first, *others = standings.cases
    ties = [pair for pair in standings.pairs if pair.decision == "no difference"]
    all_alike = len(others) > 1 and len(ties) == len(list(combinations(others, 2)))
    if all_alike and max(find_bound(pair.ratio) for pair in ties) <= ALIKE:
        second = _compare_all(standings, [first], others[0], names)
        alike, bound = join_texts([names[case.label] for case in others]), format_bound(*(pair.ratio for pair in ties))
        yield f"{prefix} {names[first.label]} trains {second}; no difference found between {alike} (± {bound} %)."
        return
    behind = [_compare_all(standings, [first], case, names) for case in others]
    yield f"{prefix} {names[first.label]} trains {join_texts(behind)}."
    yield from _describe_ties(standings, names)


def _describe_decided(standings: Standings, names: dict[str, str]) -> list[str]:
    """Describe the pairs in which one case was faster: those that are certain, and then those that are not."""
    certain = [
        f"{names[fast.label]} trains {join_texts(behind)}."
        for fast in standings.cases
        if (behind := [_compare_all(standings, [fast], slow, names) for slow in standings.list_behind(fast, "certain")])
    ]
    unsure = [
        f"{_list_unsure(pairs, names)} times as fast as {names[slow.label]}: not certain."
        for slow in standings.cases
        if (pairs := [pair for pair in standings.pairs if pair.slower is slow and pair.decision == "not certain"])
    ]
    return [*certain, *unsure]


def _list_unsure(pairs: Sequence[Pair], names: dict[str, str]) -> str:
    """List ratios to one case: `Keras was 2.35 [1.36–4.05] and TensorFlow 2.33 [1.32–4.10]`."""
    first, *others = [(names[pair.faster.label], format_times(pair.ratio)) for pair in pairs]
    return join_texts([f"{first[0]} was {first[1]}", *(f"{name} {times}" for name, times in others)])


def _describe_ties(standings: Standings, names: dict[str, str]) -> Iterator[str]:
    for pair in standings.pairs:
        if pair.decision == "no difference":
            together = f"{names[pair.faster.label]} and {names[pair.slower.label]}"
            yield f"No difference found between {together} (± {format_bound(pair.ratio)} %)."


def _compare_all(standings: Standings, fast: Sequence[CaseLaunches], slow: CaseLaunches, names: dict[str, str]) -> str:
    """Say how many times as fast some cases are: `2.35 [2.34–2.36] and 2.33 [2.28–2.38] times as fast as PyTorch`."""
    pairs = [pair for case in fast if (pair := standings.find_pair(case, slow))]
    return f"{join_texts([format_times(pair.ratio) for pair in pairs])} times as fast as {names[slow.label]}"


def _list_pairs(pairs: Iterable[Pair], names: dict[str, str]) -> str:
    return ", ".join(f"{names[pair.faster.label]}–{names[pair.slower.label]}" for pair in pairs)


def join_texts(texts: Sequence[str]) -> str:
    """Join texts with commas, and `and` before the last one."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))
