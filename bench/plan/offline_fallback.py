"""The fallback to the offline suite, which needs no download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from bench.errors import Unavailable, UserError
from bench.plan import suite
from bench.plan.request import Request

#: The name of the suite whose images and weights are always available.
OFFLINE_SUITE = "offline"
T = TypeVar("T")


def fall_back_to_offline(
    error: Unavailable, request: Request, prepare: Callable[[Request, suite.Suite], T]
) -> tuple[suite.Suite, str, T]:
    """Prepare the offline suite's tasks in place of a suite whose images or weights are unavailable.

    Args:
        error: why they are unavailable.
        request: the user's; the offline suite uses no files of the user.
        prepare: prepares the tasks of a request and a suite.

    Returns:
        The offline suite, a line to print above its figures, and what `prepare` returns.

    Raises:
        Unavailable: `error` itself if the user's options do not fit the offline suite's tasks; or the offline suite is
            unavailable, too.
    """
    offline = suite.load(OFFLINE_SUITE)
    try:
        tasks = prepare(replace(request, data_dir=None, images=None, checkpoint=None), offline)
    except Unavailable:
        raise
    except UserError:
        raise error from None
    text = offline.description
    files = {"--data-dir": request.data_dir, "--images": request.images, "--checkpoint": request.checkpoint}
    unused = "".join(f", not of {option} {path}" for option, path in files.items() if path)
    return (
        offline,
        f"Offline suite: {error}. Until then these figures are of {text[0].lower()}{text[1:]}{unused}.",
        tasks,
    )
