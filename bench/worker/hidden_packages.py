"""The hidden packages: those that frameworks import where they are installed, and that no worker uses.

This suite brings them for its tables, figures and data sets; no framework requires them. Keras imports them to accept
their types and to draw. They would cost a worker a quarter of its imports, and 150 MB, and a framework's start-up
figures would depend on what else is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

HIDDEN_PACKAGES = ("IPython", "matplotlib", "mpl_toolkits", "pandas", "pyarrow", "scipy", "sklearn")


def hide_packages(others: Iterable[str] = ()) -> None:
    """Let this process find none of the hidden packages; call it before a framework is imported.

    Args:
        others: to be hidden, too.

    None in `sys.modules` stands for a module that cannot be imported (Python's reference, "The module cache").
    """
    for name in (*HIDDEN_PACKAGES, *others):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
