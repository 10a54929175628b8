"""What a tune says at its end: that nothing is faster is another matter than that nothing could be confirmed."""

from __future__ import annotations

import pytest

from bench.plan.tuned_variants import TunedVariant
from bench.tune.tune_description import advise, describe_outcome

CONFIRM = "too little time to confirm product: use a --budget of 273s"


def tuned(*notes):
    return TunedVariant.model_construct(backend="jax", knobs={}, speedup=None, notes=notes, seconds=55.0)


@pytest.mark.parametrize(
    ("notes", "outcome", "advice"),
    [
        ((), "Nothing is certainly faster than the default; it took 55 s.", "train jax with its default."),
        (
            ("no time left to try xla: use a larger --budget",),
            "Nothing is certainly faster than the default; it took 55 s.",
            "train jax with its default, or tune again with a larger --budget.",
        ),
        (
            ("no time left to try xla: use a larger --budget", CONFIRM),
            "Nothing was confirmed; it took 55 s.",
            f"tune again, for there was {CONFIRM}.",
        ),
    ],
)
def test_the_end_says_whether_nothing_was_faster_or_nothing_was_confirmed(notes, outcome, advice):
    assert describe_outcome(tuned(*notes)) == outcome
    assert advise(tuned(*notes)) == f"What to do: {advice}"
