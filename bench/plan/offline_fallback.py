"""The fallback to the offline suite, which needs no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bench.errors import Unavailable, UserError
from bench.plan import suite

#: The name of the suite whose images and weights are always available.
OFFLINE_SUITE = "offline"
T = TypeVar("T")


def fall_back_to_offline(error: Unavailable, prepare: Callable[[suite.Suite], T]) -> tuple[suite.Suite, str, T]:
    """Prepare the offline suite's tasks in place of a suite whose images or weights are unavailable.

    Args:
        error: why they are unavailable.
        prepare: prepares the tasks of a suite.

    Returns:
        The offline suite, a line to print above its figures, and what `prepare` returns.

    Raises:
        Unavailable: `error` itself if the user's options do not fit the offline suite's tasks; or the offline suite is
            unavailable, too.
    """
    offline = suite.load(OFFLINE_SUITE)
    try:
        tasks = prepare(offline)
    except Unavailable:
        raise
    except UserError:
        raise error from None
    text = offline.description
    return offline, f"Offline suite: {error}. Until then these figures are of {text[0].lower()}{text[1:]}.", tasks
