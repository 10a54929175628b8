"""The hidden packages: those that frameworks import where they are installed, and that the project does not use there.

This suite brings them for its tables, figures and data sets; no framework requires them, but for JAX, which requires
SciPy, and imports parts of it only for Keras. Keras imports them to accept
their types and to draw. They would cost a worker a quarter of its imports, and 150 MB, and a framework's start-up
figures would depend on what else is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from typing import Any

HIDDEN_PACKAGES = ("IPython", "matplotlib", "mpl_toolkits", "pandas", "pyarrow", "scipy", "sklearn")


#: Distributions whose name is not that of their package.
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def hide_packages(others: Iterable[str] = (), needed: Iterable[str] = ()) -> None:
    """Let this process find none of the hidden packages; call it before a framework is imported.

    Args:
        others: to be hidden, too.
        needed: not to be hidden.

    They are as if they were not installed. None in `sys.modules` would not do: Keras takes every name in it for a
    module that was imported.
    """
    hidden = {*HIDDEN_PACKAGES, *others}.difference(needed)
    _hide_modules(hidden)
    _hide_distributions({_normalise(DISTRIBUTIONS.get(name, name)) for name in hidden})


def _hide_modules(hidden: set[str]) -> None:
    find = PathFinder.find_spec

    def find_others(name: str, *others: Any) -> ModuleSpec | None:
        return None if name in hidden else find(name, *others)

    PathFinder.find_spec = find_others  # type: ignore[method-assign, assignment]


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
