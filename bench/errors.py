"""What a user can do wrong, said in one line that tells the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend. The command line prints it as one line and exits with status 2."""


class Unavailable(UserError):
    """Data or weights that cannot be had here. A task that was not asked for by name may fall back."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """«unknown task 'cifar': did you mean 'cifar10-resnet18'?», or the list where no name is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [n for n in names if n.startswith(name)][:1]
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
    return UserError(f"unknown {kind} {name!r}: {hint}")
