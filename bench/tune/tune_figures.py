"""The figures of a tune and of an explanation: waterfalls from the default to the tuned variant, and forest plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.statistics import Interval
from bench.plan.tuned_variants import HistoryEntry, TunedVariant
from bench.report.figures.figure import ForestPlot, ForestRow, Waterfall, WaterfallStep
from bench.tune.explanation import KnobEffect
from bench.tune.stored_explanation import StoredExplanation

STEPS_PER_SECOND = "training steps per second, × those of the default"
INTERVAL = "The whiskers are the 95 % interval over launches."


def build_knob_waterfall(one: StoredExplanation) -> Waterfall:
    """Build the waterfall of an explanation: what each knob adds to those before it."""
    effects = one.explanation.effects
    steps, before = [WaterfallStep("default", 0.0, 1.0, "1.00", total=True)], 1.0
    for effect in effects:
        end = effect.over_default.estimate if effect.over_default else before
        label = f"{effect.knob} {effect.value}"
        steps.append(WaterfallStep(label, before, end, _format(effect.over_default), effect.over_default))
        before = end
    last = effects[-1].over_default
    steps.append(WaterfallStep("tuned", 0.0, before, _format(last), last, total=True))
    return Waterfall(
        title=f"{one.title}: from default to tuned",
        how_to_read="The knobs are set one after the other, from top to bottom; a bar goes from the speed before it to "
        f"the speed with it. Another order would give other bars, but the same ends. {INTERVAL}",
        x_title=STEPS_PER_SECOND,
        steps=tuple(steps),
    )


def build_removal_plot(one: StoredExplanation) -> ForestPlot:
    """Build the forest plot of an explanation: the tuned variant over itself without one knob."""
    rows = tuple(_make_removal_row(one.backend, effect) for effect in one.explanation.effects)
    return ForestPlot(
        title=f"{one.title}: tuned, with each knob over without it",
        how_to_read="Each knob is taken out of the tuned variant alone. Right of the line, the tuned variant is faster "
        f"with it; across the line, it makes no certain difference. {INTERVAL}",
        x_title="steps per second with the knob, × those without it",
        rows=rows,
    )


def _make_removal_row(backend: str, effect: KnobEffect) -> ForestRow:
    ratio = effect.over_without
    certain = ratio is not None and ratio.excludes(1)
    return ForestRow(f"{backend}/tuned", ratio, _format(ratio), f"{effect.knob} {effect.value}", certain)


def build_outcome_plot(tuned: Sequence[TunedVariant]) -> ForestPlot:
    """Build the forest plot of a tune: the tuned variant of each case over its default."""
    several = len({one.task for one in tuned}) > 1
    return ForestPlot(
        title="Tuned over default",
        how_to_read=f"Right of the line, the tuned variant is faster than the default of its framework. {INTERVAL} "
        "Each case is compared with itself: the plot says nothing about one framework over another.",
        x_title=STEPS_PER_SECOND,
        rows=tuple(
            ForestRow(
                f"{one.backend}/tuned",
                _get_interval(one) or Interval(1.0, None, None),
                _format(_get_interval(one)) if one.knobs else "the default is kept",
                f"{one.backend}, {one.task}" if several else one.backend,
                one.low is not None and one.low > 1,
            )
            for one in tuned
        ),
    )


def build_search_waterfall(tuned: TunedVariant) -> Waterfall:
    """Build the waterfall of a search: the variants that were faster than all before them, in their order."""
    steps, best = [WaterfallStep("default", 0.0, 1.0, "1.00", total=True)], 1.0
    for trial in tuned.history:
        if trial.speedup is not None and trial.speedup > best:
            label = f"{trial.stage}: {trial.name}"
            steps.append(WaterfallStep(label, best, trial.speedup, _format(_get_interval(trial)), _get_interval(trial)))
            best = trial.speedup
    steps.append(_make_last_step(tuned))
    return Waterfall(
        title=f"{tuned.backend}, {tuned.task}: the way to the fastest variant",
        how_to_read=f"Of {len(tuned.history)} measured variants, those that were faster than all before them. "
        "The first measurements are short; tuned is what the last ones confirmed, with the fewest knobs that are not "
        f"certainly slower. {INTERVAL}",
        x_title=STEPS_PER_SECOND,
        steps=tuple(steps),
    )


def _make_last_step(tuned: TunedVariant) -> WaterfallStep:
    if not tuned.knobs:
        return WaterfallStep("tuned", 0.0, 1.0, "the default is kept", total=True)
    interval = _get_interval(tuned)
    label = f"tuned: {' + '.join(tuned.knobs.values())}"
    return WaterfallStep(label, 0.0, interval.estimate if interval else 1.0, _format(interval), interval, total=True)


def build_trial_plot(tuned: TunedVariant) -> ForestPlot:
    """Build the forest plot of all variants that a search measured, in their order."""
    return ForestPlot(
        title=f"{tuned.backend}, {tuned.task}: all variants that were measured",
        how_to_read=f"In the order of the search; right of the line is faster than the default. {INTERVAL} A variant "
        "that was measured once has none.",
        x_title=STEPS_PER_SECOND,
        rows=tuple(_make_trial_rows(tuned)),
    )


def _make_trial_rows(tuned: TunedVariant) -> Iterator[ForestRow]:
    for trial in tuned.history:
        interval = _get_interval(trial)
        certain = interval is not None and interval.excludes(1)
        text = "died, or was not tried" if interval is None else _format(interval)
        yield ForestRow(f"{tuned.backend}/tuned", interval, text, f"{trial.stage}: {trial.name}", certain)


def _get_interval(one: TunedVariant | HistoryEntry) -> Interval | None:
    return None if one.speedup is None else Interval(one.speedup, one.low, one.high)


def _format(ratio: Interval | None) -> str:
    if ratio is None:
        return "died"
    text = f"{ratio.estimate:.2f}"
    return text if ratio.low is None else f"{text} [{ratio.low:.2f}–{ratio.high:.2f}]"
