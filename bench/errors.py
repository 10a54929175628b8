"""What a user can do wrong, said in one line that tells the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Names that are listed.
MOST = 24


class UserError(Exception):
    """A mistake that the user can mend. The command line prints it as one line and exits with status 2."""


class Unavailable(UserError):
    """Data or weights that cannot be had here. A task that was not asked for by name may fall back."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """«unknown task 'cifar': did you mean 'cifar10-resnet18'? Use one of …»; the list alone where no name is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [n for n in names if n.startswith(name)][:1]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    use = f"se one of {', '.join(names[:MOST])}{more}"
    return UserError(f"unknown {kind} {name!r}: " + (f"did you mean {near[0]!r}? U{use}" if near else f"u{use}"))
