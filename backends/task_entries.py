"""The tasks, backbones, data sets and checkpoints of other packages, and the tables that they are added to.

A package brings them with an entry point in the group `headtohead.tasks` (PyPA, "Entry points specification"), whose
object is a `TaskEntries`, in a module that imports no framework. Its name is free.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from backends.entry_object import NoEntryObject, import_entry_object

if TYPE_CHECKING:
    from backends.backbones import Backbone

#: The group of entry points.
GROUP = "headtohead.tasks"
Kind = Literal["tasks", "backbones", "datasets", "checkpoints"]
#: What messages call an entry of a kind.
NOUNS: Mapping[Kind, str] = {
    "tasks": "task",
    "backbones": "backbone",
    "datasets": "data set",
    "checkpoints": "checkpoint",
}
Entry = TypeVar("Entry")


class DatasetEntry(NamedTuple):
    """A data set, described without loading it.

    Attributes:
        side: width and height of its images, in pixels.
        classes: number of classes.
        load: `module:function`, imported where the images are needed. The function returns training images (n, side,
            side, 3) uint8 and labels (n,), integers from 0 to `classes` - 1, and test images and labels.
        source: where the images come from, as text for people.
        fingerprint: of `bench.data.dataset.Dataset`, if it is to be checked: other images are another experiment.
    """

    side: int
    classes: int
    load: str = ""
    source: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class TaskEntries:
    """What a package brings.

    Attributes:
        tasks: the fields of each task except its name, by name. They are not `Task`s, because a `Task` is checked when
            it is made, and these may name what the same package brings.
        backbones: networks of the known families, for example of other depths.
        datasets: by name.
        checkpoints: by the name that is in `Backbone.weights`: `module:function`, imported where the weights are
            needed. The function returns the path of a file or folder that `--checkpoint` takes. What is not here is
            one of torchvision's.
    """

    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backbones: tuple[Backbone, ...] = ()
    datasets: Mapping[str, DatasetEntry] = field(default_factory=dict)
    checkpoints: Mapping[str, str] = field(default_factory=dict)

    def list_entries(self, kind: Kind) -> list[tuple[str, Any]]:
        """Name and value of each entry of a kind."""
        if kind == "backbones":
            return [(backbone.name, backbone) for backbone in self.backbones]
        return list(getattr(self, kind).items())


class EntryTable(Mapping[str, Entry], Generic[Entry]):
    """The entries of a kind by name: first this project's own, then those of installed packages, looked up once."""

    def __init__(self, kind: Kind, own: Mapping[str, Entry], check: Callable[[str, Any], Entry]) -> None:
        """Make a table; nothing is looked up yet.

        Args:
            own: this project's entries.
            check: makes the entry of a name and of what a package has for it.
        """
        self.kind, self._own, self._check = kind, own, check
        self._found: dict[str, Entry] | None = None
        self._distributions: dict[str, str] = {}
        self._problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> Entry:
        return self._own[name] if name in self._own else self._find_others()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._find_others()

    def __len__(self) -> int:
        return len(self._own) + len(self._find_others())

    @property
    def problems(self) -> Mapping[str, str]:
        """Why entries of packages were left out, by `name (distribution)`; empty if none was."""
        self._find_others()
        return self._problems

    def get_distribution(self, name: str) -> str:
        """The distribution that brings an entry; empty for this project's own."""
        if name in self._own:
            return ""
        self._find_others()
        return self._distributions.get(name, "")

    def _find_others(self) -> dict[str, Entry]:
        if self._found is None:
            self._found = {}
            packages, problems = find_packages()
            self._problems.update(problems)
            for distribution, entries in packages:
                self._add_entries(distribution, entries)
        return self._found

    def _add_entries(self, distribution: str, entries: TaskEntries) -> None:
        try:
            listed = entries.list_entries(self.kind)
        except (AttributeError, TypeError, ValueError) as error:
            self._problems[f"{self.kind} ({distribution})"] = f"its {self.kind} are not a table of entries: {error}"
            return
        for name, value in listed:
            if problem := self._add(name, value, distribution):
                self._problems[f"{name} ({distribution})"] = problem

    def _add(self, name: str, value: Any, distribution: str) -> str | None:
        """Add an entry; returns why it is left out, or None."""
        assert self._found is not None
        noun = NOUNS[self.kind]
        if name in self._own:
            return f"this project has a {noun} of that name: rename it"
        if name in self._found:
            return f"{self._distributions[name]} has a {noun} of that name: rename it, or uninstall one of them"
        try:
            self._found[name] = self._check(name, value)
        except Exception as error:  # whatever a value of another package raises
            return f"it is not a {noun}: {error}"
        self._distributions[name] = distribution
        return None


@cache
def find_packages() -> tuple[tuple[tuple[str, TaskEntries], ...], Mapping[str, str]]:
    """Find the entries of all installed packages, each with its distribution, sorted by the entry points' names.

    Returns:
        Also, by `name (distribution)` of an entry point, why it is left out.
    """
    found, problems = [], {}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        distribution = point.dist.name if point.dist else "unknown"
        try:
            entries = import_entry_object(point, distribution)
        except NoEntryObject as error:
            problem = f"its entries cannot be imported: {error}"
        else:
            if isinstance(entries, TaskEntries):
                found.append((distribution, entries))
                continue
            problem = f"its object is not a TaskEntries: correct {point.value}"
        problems[f"{point.name} ({distribution})"] = problem
    return tuple(found), problems


def load_function(path: str) -> Callable[..., Any]:
    """Import the function of a `module:function`.

    Raises:
        ValueError: it cannot be imported; the line says why.
    """
    try:
        function = metadata.EntryPoint(name="", value=path, group=GROUP).load()
    except (Exception, SystemExit) as error:  # whatever another package's module raises
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise ValueError(f"{path} is not a function")
    return function


def check_function_path(name: str, value: object) -> str:
    """Check that a value is a `module:function`; imports nothing.

    Raises:
        ValueError: it is not.
    """
    module, _, function = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not module or not all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
        raise ValueError(f"{value!r} is not written as module:function")
    return str(value)


def _check_dataset(name: str, value: object) -> DatasetEntry:
    if not isinstance(value, DatasetEntry):
        raise ValueError("its value is not a DatasetEntry")
    for what, number, least in (("side", value.side, 1), ("classes", value.classes, 2)):
        if type(number) is not int or number < least:
            raise ValueError(f"{what} is {number!r}, and has to be a whole number from {least} on")
    check_function_path(name, value.load)
    return value


#: The name of a set of the user's own images: the first digits of their fingerprint, their side, the number of classes.
#: It says all that a task needs, so that workers and stored records need nothing else.
_IMAGE_SET = re.compile(r"images-[0-9a-f]{12}-[1-9][0-9]{0,4}px-[1-9][0-9]{0,6}")


def name_image_set(fingerprint: str, side: int, classes: int) -> str:
    """Name a set of the user's own images: other images, another size or other classes are another name."""
    return f"images-{fingerprint[:12]}-{side}px-{classes}"


class _DatasetTable(EntryTable[DatasetEntry]):
    """The data sets by name, and those of the user's own images, which are not listed."""

    def __getitem__(self, name: str) -> DatasetEntry:
        if is_image_set(name):
            _, _, side, classes = name.split("-")
            return DatasetEntry(int(side.removesuffix("px")), int(classes), source="the user's own images")
        return super().__getitem__(name)


def is_image_set(name: object) -> bool:
    """Whether a data set's name is one of the user's own images."""
    return isinstance(name, str) and _IMAGE_SET.fullmatch(name) is not None


#: The data sets, by name.
DATASETS: EntryTable[DatasetEntry] = _DatasetTable(
    "datasets", {"cifar10": DatasetEntry(32, 10), "digits": DatasetEntry(8, 10)}, _check_dataset
)
#: The checkpoints of packages, by name: the function that finds each.
CHECKPOINTS: EntryTable[str] = EntryTable("checkpoints", {}, check_function_path)
