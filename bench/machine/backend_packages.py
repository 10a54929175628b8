"""The packages of backends: where a backend comes from, what it lacks, and whether its versions were tried.

Everything is read from metadata; nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import NamedTuple

import backends
from bench.errors import UserError, make_unknown_error

#: The distribution of this project.
PROJECT = "head-to-head"


class UntriedVersion(NamedTuple):
    """An installed version that a backend was never tried with.

    Attributes:
        distribution, version: what is installed.
        tried: the range that is known, as a specifier of PEP 440.
    """

    distribution: str
    version: str
    tried: str

    def describe(self) -> str:
        """Describe it in a few words."""
        return f"{self.distribution} {self.version} was never tried, only {self.tried}"


def read_version(distribution: str) -> str | None:
    """The installed version of a distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def describe_origin(backend: str) -> str:
    """Where a backend comes from: this project, or a distribution and its version."""
    distribution = backends.REGISTRY[backend].distribution
    return f"{distribution} {read_version(distribution) or ''}".strip() if distribution else "this project"


def advise_installation(backend: str) -> str:
    """The command that installs what a backend needs: this project's extra, or the distribution that brought it."""
    entry = backends.REGISTRY[backend]
    return f"pip install {entry.distribution}" if entry.distribution else f"pip install '{PROJECT}[{entry.extra}]'"


def find_untried_versions(backend: str, installed: Mapping[str, str | None] | None = None) -> Iterator[UntriedVersion]:
    """Find the installed versions that are outside of the ranges that a backend was tried with.

    Args:
        backend: unknown ones have no ranges.
        installed: versions by distribution, for example those of a record; by default those of this environment.
    """
    entry = backends.REGISTRY.get(backend)
    for distribution, tried in entry.versions.items() if entry else ():
        version = read_version(distribution) if installed is None else installed.get(distribution)
        if version and not _is_within(version, tried):
            yield UntriedVersion(distribution, version, tried)


def _is_within(version: str, tried: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(tried).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def list_left_out() -> Mapping[str, str]:
    """Why backends of installed packages are left out, by `name (distribution)`."""
    return backends.REGISTRY.problems


def refuse_unknown_backend(name: str) -> None:
    """Refuse a name that no backend has.

    Raises:
        UserError: it is unknown, or the backend of that name is left out.
    """
    if name in backends.REGISTRY:
        return
    for left_out, reason in list_left_out().items():
        if left_out.partition(" (")[0] == name:
            raise UserError(f"backend {left_out} is left out: {reason}")
    raise make_unknown_error("backend", name, backends.REGISTRY)
