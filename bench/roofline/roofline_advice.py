"""What to do about the bound of a case, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from backends.knobs import KNOBS, get_value
from backends.task import Variant
from bench.machine.environment import count_usable_cores
from bench.plan import variants
from bench.roofline.achieved_rates import Roofline
from bench.roofline.bound import BoundName
from bench.roofline.roofline_tables import format_case

#: By bound, the knobs that act on it, those that act most first.
HELPFUL_KNOBS: Mapping[BoundName, Sequence[str]] = MappingProxyType(
    {
        "input": ("features", "images", "workers", "prefetch", "transfer"),
        "compute": ("precision", "folding"),
        "memory": ("layout", "precision", "execution"),
        "overhead": ("execution", "steps_per_execution", "gradients", "optimizer"),
    }
)
#: By bound, what it means, and what helps besides knobs.
MEANINGS: Mapping[BoundName, tuple[str, str]] = MappingProxyType(
    {
        "input": ("it waits for images for", ""),
        "compute": ("arithmetic takes", "a smaller --image-size or --backbone"),
        "memory": ("moving numbers takes", ""),
        "overhead": ("what is neither arithmetic nor memory, such as dispatch, takes", "a larger --batch-size"),
    }
)
#: Most settings that a sentence names.
MAX_SETTINGS = 3


def advise(case: Roofline) -> str | None:
    """Say what bounds a case, and which knobs of its backend act on that on this machine; None without a bound."""
    if case.bound is None:
        return None
    name = case.bound.name
    meaning, other = MEANINGS[name]
    settings = list(_list_settings(case.backend, case.step.variant, case, HELPFUL_KNOBS[name]))[:MAX_SETTINGS]
    ways = [*(f"--knob {setting}" for setting in settings), *([other] if other else [])]
    found = f"{format_case(case)} is bound by {name}: {meaning} {100 * case.bound.shares[name]:.0f} % of a step"
    if not ways:
        return f"{found}. What to do: no knob of {case.backend} is known to change that."
    what = f"What to do: try {_join(ways)}"
    return f"{found}. {what}; bench tune --backend {case.backend} searches all knobs."


def _list_settings(backend: str, variant: Variant, case: Roofline, knobs: Sequence[str]) -> Iterator[str]:
    """List one setting of each knob that the variant lacks and this machine can run, as `knob=value`."""
    for knob in knobs:
        now = get_value(backend, variant, knob)
        for value in KNOBS[knob].values.get(backend, {}):
            changed = variant.model_copy(update={knob: value})
            if value != now and _improves(knob, now, value) and not _is_refused(backend, changed, case):
                yield f"{knob}={value}"
                break


def _improves(knob: str, now: str, value: str) -> bool:
    """Whether a value may be faster than the one in force, where a knob's values have an order."""
    if knob == "execution":
        return value != "eager"
    if knob == "precision":
        return now in ("fp32", "tf32") and value != "fp32"
    if knob == "features":
        return value == "cached"
    if knob == "workers":
        return int(now) < int(value) <= (count_usable_cores() or 1) if value.isdecimal() else False
    if now.isdecimal() and value.isdecimal():
        return int(value) > int(now)
    return True


def _is_refused(backend: str, variant: Variant, case: Roofline) -> bool:
    return variants.explain_unsupported(backend, variant, case.step.task) is not None


def _join(ways: Sequence[str]) -> str:
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}"
