"""What to do with the knobs of a tuned variant, as sentences: a pure function of its explanation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.break_even import BreakEven
from bench.analysis.statistics import Interval
from bench.report.tables.number_format import format_interval
from bench.tune.explanation import Explanation, KnobEffect


def advise(explanation: Explanation, steps_in_epoch: int) -> str:
    """Say which knobs to keep, which to leave out, and from which length of training on.

    A knob is kept if the tuned variant is certainly faster with it than without it, in their interval; a difference
    that is not certain is called so.

    Args:
        explanation: at least one knob.
        steps_in_epoch: training steps of an epoch.
    """
    return f"What to do: {'; '.join(_list_advice(explanation, steps_in_epoch))}."


def describe_whole(explanation: Explanation) -> str:
    """Describe what all knobs together do, as a sentence."""
    whole = explanation.effects[-1].over_default
    if whole is None:
        return "a worker died, so the speed of all knobs together is not known."
    if whole.low is None:
        return "too few launches finished to say how fast all knobs together are."
    if not whole.excludes(1):
        return f"all knobs together make no certain difference ({_format_gain(whole)} × the default)."
    return f"all knobs together make {_format_gain(whole)} × the steps per second of the default."


def _list_advice(explanation: Explanation, steps_in_epoch: int) -> Iterator[str]:
    effects = explanation.effects
    certain = [one for one in effects if one.over_without is not None and one.over_without.excludes(1)]
    faster = [one for one in certain if _get_estimate(one.over_without) > 1]
    slower = [one for one in certain if one not in faster]
    died = [one for one in effects if one.over_without is None]
    unclear = [one for one in effects if one not in certain and one not in died]
    if faster:
        gains = ", ".join(f"{_format(one)} ({_format_gain(one.over_without)} × with it)" for one in faster)
        yield f"keep {gains}"
    if slower:
        yield f"leave out {_format_all(slower)}, with which steps are certainly slower"
    if unclear:
        yield f"{_format_all(unclear)} can be left out: no certain difference was found"
    if died:
        yield f"{_format_all(died)}: a worker died, so its effect is not known: run the command again"
    whole = effects[-1].over_default
    if whole is not None and whole.excludes(1) and explanation.start_ups:
        yield from _advise_on_length(explanation.start_ups[0].later_starts, steps_in_epoch)


def _advise_on_length(start: BreakEven | None, steps_in_epoch: int) -> Iterator[str]:
    if start is None or start.longer_start_s <= 0:
        return
    if start.steps is None:
        yield "train with the default: the tuned variant starts later and its steps are slower"
    elif round(start.steps):
        epochs = start.steps / steps_in_epoch
        yield (
            f"for a training of less than {start.steps:,.0f} steps ({epochs:,.2g} epochs) use the default, which "
            "starts earlier"
        )


def _format_all(effects: Sequence[KnobEffect]) -> str:
    return ", ".join(map(_format, effects))


def _format(effect: KnobEffect) -> str:
    return f"{effect.knob} {effect.value}"


def _format_gain(gain: Interval | None) -> str:
    return "–" if gain is None else format_interval(gain, lambda value: f"{value:.2f}")


def _get_estimate(gain: Interval | None) -> float:
    return gain.estimate if gain else 1.0
