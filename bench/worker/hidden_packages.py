"""The hidden packages: those that frameworks import where they are installed, and that no worker uses.

This suite brings them for its tables, figures and data sets; no framework requires them. Keras imports them to accept
their types and to draw. They would cost a worker a quarter of its imports, and 150 MB, and a framework's start-up
figures would depend on what else is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder

HIDDEN_PACKAGES = ("IPython", "matplotlib", "mpl_toolkits", "pandas", "pyarrow", "scipy", "sklearn")


#: Distributions whose name is not that of their package.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def hide_packages(others: Iterable[str] = ()) -> None:
    """Let this process find none of the hidden packages; call it before a framework is imported.

    Args:
        others: to be hidden, too.

    None in `sys.modules` stands for a module that cannot be imported (Python's reference, "The module cache").
    """
    hidden = (*HIDDEN_PACKAGES, *others)
    for name in hidden:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    _hide_distributions({_normalise(DISTRIBUTIONS.get(name, name)) for name in hidden})


def _hide_distributions(hidden: set[str]) -> None:
    """Let this process find no distribution of these normalised names: torchmetrics, which Lightning imports, asks for
    a distribution's version, and imports its package if it has one.
    """
    find = MetadataPathFinder.find_distributions

    def find_others(*contexts: DistributionFinder.Context) -> Iterable[Distribution]:
        names = [_normalise(context.name) for context in contexts if context.name]
        return () if hidden.intersection(names) else find(*contexts)

    MetadataPathFinder.find_distributions = find_others  # type: ignore[method-assign, assignment]


def _normalise(name: str) -> str:
    """A distribution's name as it is compared (PyPA, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()
