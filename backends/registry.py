"""The registry of backends: an entry for each of our own, and those that installed packages bring.

A package brings a backend with an entry point in the group `headtohead.backends` (PyPA, "Entry points specification").
Its name is the backend's name, and its object a `BackendEntry`, in a module that imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata

#: The group of entry points.
GROUP = "headtohead.backends"
#: The version of `backends.base` and `backends.values`. It grows when a backend that was written before cannot run.
CONTRACT = 1


@dataclass(frozen=True)
class BackendEntry:
    """A backend, described without importing it.

    Attributes:
        module: whose `BACKEND` is the backend.
        packages: modules that it needs.
        extra: of this project, that installs them; of other distributions empty.
        title: the framework's name as its makers write it; without one, sentences use the backend's name.
        versions: the versions that the backend was tried with, by distribution: `{"torch": ">=2.9,<3"}`.
        knobs: the values of its knobs, each with its source, by knob, the default first. A backend in
            `backends.knob_table` has none here.
        environment: variables that its process is started with.
        hides: modules that its process must not find, because what is imported costs memory and start-up time that
            would be charged to it.
        trains_backbones: whether it can train below the head, and normalise by a batch's statistics. One that cannot
            still has the complete contract for frozen backbones.
        several_devices: the kinds of devices of which it can train on several together: `cpu`, `cuda`.
        contract: the version of the contract that it was written for.
        distribution: that brought it; empty for this project's own.
    """

    module: str
    packages: tuple[str, ...]
    extra: str = ""
    title: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    knobs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    hides: tuple[str, ...] = ()
    trains_backbones: bool = True
    several_devices: tuple[str, ...] = ()
    contract: int = CONTRACT
    distribution: str = ""


class Registry(Mapping[str, BackendEntry]):
    """The entries by name: first this project's own, then those of installed packages, which are looked up once.

    Attributes:
        problems: why entry points were left out, each with its name and distribution; filled by the lookup.
    """

    def __init__(self, own: Mapping[str, BackendEntry]) -> None:
        self._own = dict(own)
        self._found: dict[str, BackendEntry] | None = None
        self._problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> BackendEntry:
        return self._own[name] if name in self._own else self._find_others()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._find_others()

    def __len__(self) -> int:
        return len(self._own) + len(self._find_others())

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a package's backend was left out, by `name (distribution)`; empty if none was."""
        self._find_others()
        return self._problems

    def _find_others(self) -> dict[str, BackendEntry]:
        if self._found is None:
            self._found = {}
            for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
                self._add(point)
        return self._found

    def _add(self, point: metadata.EntryPoint) -> None:
        assert self._found is not None
        distribution = point.dist.name if point.dist else "unknown"
        if problem := self._load(point, distribution):
            self._problems[f"{point.name} ({distribution})"] = problem

    def _load(self, point: metadata.EntryPoint, distribution: str) -> str | None:
        """Add an entry point's backend; returns why it is left out, or None."""
        assert self._found is not None
        if point.name in self._own:
            return "this project has a backend of that name: rename the entry point"
        if point.name in self._found:
            return f"{self._found[point.name].distribution} has a backend of that name: uninstall one of them"
        try:
            entry = point.load()
        except Exception as error:  # whatever another package's module raises
            return f"its entry cannot be imported: {type(error).__name__}: {error}"
        if not isinstance(entry, BackendEntry):
            return f"its entry is no BackendEntry: correct {point.value}"
        if entry.contract != CONTRACT:
            return f"it was written for version {entry.contract} of the contract, and this is {CONTRACT}: update it"
        self._found[point.name] = replace(entry, distribution=distribution)
        return None
