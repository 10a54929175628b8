"""The harness: everything that is the same for every framework.

In Python, `bench.load` reads a stored run and `bench.run` measures a new one; both return `bench.RunResults`, and a
mistake in a call is a `bench.UserError`. See docs/python-api.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: every command imports this module before it can answer Ctrl-C
if TYPE_CHECKING:
    from typing import Any

    from bench.api.load import load as load
    from bench.api.run import run as run
    from bench.api.run_results import RunResults as RunResults
    from bench.errors import UserError as UserError

__all__ = ["RunResults", "UserError", "load", "run"]

#: The module of each name, which is imported when the name is first used, so that importing `bench` stays fast.
_MODULES = {
    "load": "bench.api.load",
    "run": "bench.api.run",
    "RunResults": "bench.api.run_results",
    "UserError": "bench.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
