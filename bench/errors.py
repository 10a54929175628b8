"""The errors that the command line prints as one line: what is wrong, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: The largest number of known names in a message.
MOST_NAMES = 24


class UserError(Exception):
    """A mistake that the user can correct. The command line prints it as one line and exits with status 2."""


class Unavailable(UserError):
    """Images or weights are not on this machine and cannot be obtained. A run whose task the user did not name may fall
    back to another.
    """


def make_unknown_error(kind: str, name: str, known: Iterable[str]) -> UserError:
    """«unknown task 'cifar': did you mean 'cifar10-resnet18'? Use one of …»; only the list if no name is similar.

    If `known` is a table that packages can add to, the line ends with what was left out of it, and why.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [n for n in names if n.startswith(name)][:1]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    problems = getattr(known, "problems", {})
    left_out = "".join(f"; left out is {entry}: {problem}" for entry, problem in problems.items())
    use = f"se one of {', '.join(names[:MOST_NAMES])}{more}{left_out}"
    return UserError(f"unknown {kind} {name!r}: " + (f"did you mean {near[0]!r}? U{use}" if near else f"u{use}"))
