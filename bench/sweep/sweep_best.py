"""The best fine-tune of a sweep, and how certain that is: pure functions of the records of one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.analysis.statistics import Interval, mean, wilson_interval
from bench.sweep.sweep_record import SweepRecord, find_target_epoch
from bench.sweep.sweep_table import describe_values, format_percent, format_share, group_by_seeds

#: What does not qualify, for the sentence without a best.
NOT_FIT = "failed, is not comparable, or has random weights"


@dataclass(frozen=True)
class SweepBest:
    """The best fine-tune, with all of its seeds.

    Attributes:
        records: the fine-tune; several with several seeds, and none if none qualifies.
        sentences: which it is, and how certain that is.
    """

    records: tuple[SweepRecord, ...]
    sentences: tuple[str, ...]

    @property
    def keys(self) -> frozenset[tuple[int, str]]:
        """The combination's number and the backend of each of its records."""
        return frozenset((record.number, record.backend) for record in self.records)


@dataclass(frozen=True)
class _Candidate:
    """A combination and backend with all of its seeds."""

    records: tuple[SweepRecord, ...]
    name: str

    @property
    def accuracy(self) -> Interval:
        """The binomial interval of one fine-tune; over several seeds, the t-interval of their mean."""
        shares = [wilson_interval(one.epochs[-1].correct or 0, one.test_images) for one in self.records]
        return shares[0] if len(shares) == 1 else mean([share.estimate for share in shares])

    def find_seconds(self, target: float) -> float | None:
        """The median seconds to the target over the seeds; None unless all of them reach it."""
        found = [find_target_epoch(one, target) for one in self.records]
        seconds = [one[1].train_s for one in found if one]
        return median(seconds) if len(seconds) == len(found) else None


def find_best(records: Sequence[SweepRecord], varied: Sequence[str], target: float | None) -> SweepBest:
    """Find the fine-tune that reached the target first, or without a target the one with the highest accuracy.

    Fine-tunes that failed, that are not comparable, or that have random weights do not qualify. Where seeds vary, the
    fine-tunes that differ only in their seed count as one: by their median seconds, or their mean accuracy.

    Args:
        records: of one task, at least one.
        varied: fields that have more than one value.
        target: the test accuracy to reach, 0..1; None without one.
    """
    fit = [record for record in records if _qualifies(record)]
    if not fit:
        return SweepBest((), (f"There is no best: each of the {_count(len(records))} {NOT_FIT}.",))
    others = [name for name in varied if name != "seed"]
    candidates = [_Candidate(tuple(group), _name(group, others)) for group in group_by_seeds(fit)]
    if target is not None:
        return _find_first(candidates, target)
    best = max(candidates, key=lambda one: (one.accuracy.estimate, -one.records[0].epochs[-1].train_s))
    first = f"Best of {_count(len(candidates))}: {best.name} with a test accuracy of {format_share(best.accuracy)}."
    return SweepBest(best.records, (first, *_describe_rivals(best, candidates)))


def _find_first(candidates: Sequence[_Candidate], target: float) -> SweepBest:
    text, total = format_percent(target), _count(len(candidates))
    reached = sorted(
        ((seconds, one) for one in candidates if (seconds := one.find_seconds(target)) is not None),
        key=lambda found: found[0],
    )
    if not reached:
        best = max(candidates, key=lambda one: one.accuracy.estimate)
        highest = f"the highest accuracy is {format_share(best.accuracy)}, of {best.name}"
        return SweepBest(best.records, (f"None of the {total} reached {text}; {highest}.",))
    seconds, best = reached[0]
    sentences = [f"Best of {total}: {best.name} reached {text} first, after {seconds:,.2f} s of training."]
    if len(reached) > 1:
        later, following = reached[1]
        sentences.append(
            f"Next is {following.name} after {later:,.2f} s; {len(reached)} of {len(candidates)} reached it."
        )
        if len(best.records) == 1:
            sentences.append("Each was timed once: a small difference in seconds may be chance.")
    elif len(candidates) > 1:
        sentences.append(f"No other reached {text}.")
    return SweepBest(best.records, tuple(sentences))


def _describe_rivals(best: _Candidate, candidates: Sequence[_Candidate]) -> Iterator[str]:
    """Say how many others are not certainly worse: their accuracy lies within the best one's interval."""
    low = best.accuracy.low
    rivals = 0 if low is None else sum(one is not best and one.accuracy.estimate >= low for one in candidates)
    if rivals:
        lie = "lies" if rivals == 1 else "lie"
        yield f"{rivals} of the others {lie} within its 95 % interval: not certainly worse."


def _qualifies(record: SweepRecord) -> bool:
    comparable = record.proof is None or record.proof.status != "failed"
    return bool(record.epochs) and record.epochs[-1].correct is not None and comparable


def _count(number: int) -> str:
    return f"{number} fine-tune{'' if number == 1 else 's'}"


def _name(group: Sequence[SweepRecord], varied: Sequence[str]) -> str:
    values = describe_values(group[0], varied)
    numbers = ", ".join(str(record.number) for record in group)
    return f"{numbers} {group[0].backend}{f' ({values})' if values else ''}"
