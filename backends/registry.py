"""The registry of backends: an entry for each of our own, and those that installed packages bring.

A package brings a backend with an entry point in the group `headtohead.backends` (PyPA, "Entry points specification").
Its name is the backend's name, and its object a `BackendEntry`, in a module that imports no framework. One that cannot
be used is left out, and the reason is kept: it must not stop what works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata

from backends.entry_object import NoEntryObject, import_entry_object

#: The group of entry points.
GROUP = "headtohead.backends"
#: The name of a backend: it is a word of commands, and a part of files' names.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
#: The version of `backends.base` and `backends.values`. It grows when a backend that was written before cannot run.
CONTRACT = 1


@dataclass(frozen=True)
class CudaSupport:
    """How a framework comes to use NVIDIA's GPUs.

    Attributes:
        module: whose `list_gpus()` lists the names of the GPUs that the framework sees.
        install: arguments of `pip install`, by the least major version of CUDA that the driver has to support, the
            highest first.
    """

    module: str
    install: Mapping[int, str]


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
        recipes: whether it follows all recipes; one that does not trains by SGD with momentum, at a constant rate.
        augmentations: whether it augments images as a task says.
        several_devices: the kinds of devices of which it can train on several together: `cpu`, `cuda`.
        exported_networks: whether it builds networks that were exported as a neutral graph (`evaluate_network`).
        cuda: how its framework comes to use a GPU; None where that is not known.
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
    recipes: bool = False  # an entry without it may be older than they are
    augmentations: bool = False  # as `recipes`
    several_devices: tuple[str, ...] = ()
    exported_networks: bool = False
    cuda: CudaSupport | None = None
    contract: int = 1  # an entry without it was written for the first one, whatever this one is
    distribution: str = ""


class Registry(Mapping[str, BackendEntry]):
    """The entries by name: first this project's own, then those of installed packages, which are looked up once."""

    def __init__(self, own: Mapping[str, BackendEntry], tried: Mapping[str, str] | None = None) -> None:
        """Make a registry.

        Args:
            own: this project's entries, by name.
            tried: the versions that they were tried with, by distribution, for all of their packages.
        """
        self.own = {name: replace(entry, versions=_choose_versions(entry, tried or {})) for name, entry in own.items()}
        self._found: dict[str, BackendEntry] | None = None
        self._problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> BackendEntry:
        return self.own[name] if name in self.own else self._find_others()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._find_others()

    def __len__(self) -> int:
        return len(self.own) + len(self._find_others())

    @property
    def problems(self) -> Mapping[str, str]:
        """Why a package's backend was left out, by `name (distribution)`; empty if none was."""
        self._find_others()
        return self._problems

    def _find_others(self) -> dict[str, BackendEntry]:
        if self._found is None:
            self._found = {}
            points = ((point, point.dist.name if point.dist else "unknown") for point in _list_points())
            for point, distribution in sorted(points, key=lambda pair: (pair[0].name, pair[1])):
                if problem := self._load(point, distribution):
                    self._problems[f"{point.name} ({distribution})"] = problem
        return self._found

    def _load(self, point: metadata.EntryPoint, distribution: str) -> str | None:
        """Add an entry point's backend; returns why it is left out, or None."""
        assert self._found is not None
        if not NAME.fullmatch(point.name):
            return "its name may have only letters, digits, - and _, and begins with a letter: rename the entry point"
        if point.name in self.own:
            return "this project has a backend of that name: rename the entry point"
        if point.name in self._found:
            return f"{self._found[point.name].distribution} has a backend of that name: uninstall one of them"
        try:
            entry = import_entry_object(point, distribution)
        except NoEntryObject as error:
            return f"its entry cannot be imported: {error}"
        if problem := _find_flaw(entry):
            return f"{problem}: correct {point.value}"
        if entry.contract != CONTRACT:
            older = "it" if entry.contract < CONTRACT else "head-to-head"
            return (
                f"it was written for version {entry.contract} of the contract, and this is {CONTRACT}: update {older}"
            )
        self._found[point.name] = replace(entry, distribution=distribution)
        return None


def _choose_versions(entry: BackendEntry, tried: Mapping[str, str]) -> Mapping[str, str]:
    """The tried versions of an entry's packages; a distribution has hyphens where its module has underscores."""
    distributions = (package.replace("_", "-") for package in entry.packages)
    return entry.versions or {name: tried[name] for name in distributions if name in tried}


def _list_points() -> Iterable[metadata.EntryPoint]:
    return metadata.entry_points(group=GROUP)


def _find_flaw(entry: object) -> str | None:
    """Say what is wrong with the types of an entry; None if nothing is."""
    if not isinstance(entry, BackendEntry):
        return "its entry is not a BackendEntry"
    for names, is_right, kind in _KINDS:
        for name in names:
            if not is_right(getattr(entry, name)):
                return f"its entry's {name} must be {kind}"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, str) for one in value)


def _is_text_by_text(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)


def _are_knobs(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(knob, str) and bool(values) and _is_text_by_text(values) for knob, values in value.items()
    )


def _is_cuda_support(value: object) -> bool:
    if not isinstance(value, CudaSupport):
        return value is None
    return (
        isinstance(value.module, str)
        and isinstance(value.install, Mapping)
        and all(type(version) is int and isinstance(text, str) for version, text in value.install.items())
    )


#: Fields of an entry, whether a value of them has the right type, and what messages call that type.
_KINDS: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (("module", "extra", "title"), _is_text, "a string"),
    (("packages", "hides", "several_devices"), _are_texts, "a tuple of strings"),
    (("versions", "environment"), _is_text_by_text, "a mapping of strings to strings"),
    (("knobs",), _are_knobs, "a mapping of knobs to mappings of values to sources"),
    (("trains_backbones", "recipes", "augmentations"), lambda value: isinstance(value, bool), "True or False"),
    (("contract",), lambda value: type(value) is int, "a whole number"),
    (("cuda",), _is_cuda_support, "a CudaSupport, with arguments of pip by version, or None"),
)
