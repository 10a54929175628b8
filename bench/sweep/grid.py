"""The grid: every combination of the fields' values, validated, with its images and weights at hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backends.task import Task, Variant
from bench.errors import Unavailable, UserError
from bench.plan import suite
from bench.plan.request import (
    Prepared,
    Request,
    check_batches,
    default_of,
    fallen_back,
    overridden_task,
    prepare_entry,
    usable_backends,
)
from bench.sweep.sweep_options import Ask

#: Mistakes that are told.
MOST = 5
#: What decides which images and weights a task has.
DATA = ("backbone", "weights", "dataset", "train_limit", "seed")


@dataclass(frozen=True)
class Combination:
    """One fine-tune, of every backend; numbered from 1 on, in the order of the values."""

    number: int
    prepared: Prepared


@dataclass(frozen=True)
class Grid:
    """All that a sweep needs to know before the first worker starts.

    Attributes:
        varied: fields of which there is more than one value.
        skipped: backends that cannot run here, and why.
    """

    combinations: tuple[Combination, ...]
    varied: tuple[str, ...]
    backends: tuple[str, ...]
    default: Variant
    skipped: Mapping[str, str]
    banner: str | None

    @property
    def fine_tunes(self) -> list[tuple[Combination, str]]:
        """Every combination with every backend."""
        return [(one, backend) for one in self.combinations for backend in self.backends]

    def groups(self) -> list[list[Combination]]:
        """The combinations by their images and weights: those of a group can share workers."""
        found: dict[tuple[str, str], list[Combination]] = {}
        for one in self.combinations:
            shared = (one.prepared.dataset.fingerprint, one.prepared.checkpoint.sha256)
            found.setdefault(shared, []).append(one)
        return list(found.values())


def grid(ask: Ask) -> Grid:
    """Check everything, and obtain data and weights.

    Raises:
        UserError: one line that names every wrong combination and what to do.
    """
    request = ask.request
    chosen, skipped = usable_backends(request.backends)
    default = default_of(request)
    wanted = suite.load(str(request.suite))
    banner = None
    try:
        tasks = _prepared(ask, wanted)
    except Unavailable as error:
        if request.tasks or request.suite != Request.suite:
            raise
        wanted, banner, tasks = fallen_back(error, lambda offline: _prepared(ask, offline))
    if ask.target is not None and all(one.task.weights == "random" for one in tasks):
        raise UserError("--target: with random weights no accuracy is told: leave it out, or use other weights")
    combinations = tuple(Combination(number, one) for number, one in enumerate(tasks, start=1))
    varied = tuple(name for name in ask.axes if len({getattr(one.task, name) for one in tasks}) > 1)
    return Grid(combinations, varied, chosen, default, skipped, banner)


def _prepared(ask: Ask, wanted: suite.Suite) -> list[Prepared]:
    """Every combination, each once.

    Raises:
        UserError: wrong ones, all named.
        Unavailable: images or weights cannot be had here.
    """
    request = ask.request
    entries = [suite.Entry(task=name) for name in request.tasks] or [e for e in wanted.entries if e.fine_tune]
    if not entries:
        raise UserError(f"suite {wanted.name} fine-tunes nothing: name a --task")
    points = [(entry, point) for entry in entries for point in _points(ask.axes)]
    wrong = _Wrong([name for name, values in ask.axes.items() if len(values) > 1], len(entries) > 1)
    whole: list[suite.Entry] = []
    for entry, point in points:
        with wrong.noting(entry.task, point):
            task, _ = overridden_task(entry.task, {**entry.override, **point})
            whole.append(suite.Entry(task=entry.task, override=_fields(task)))
    wrong.refuse()
    loaded: dict[tuple[object, ...], Prepared] = {}
    found: dict[tuple[str, str], Prepared] = {}
    for entry, (_, point) in zip(whole, points, strict=True):
        with wrong.noting(entry.task, point):
            one = _with_data(request, wanted, entry, loaded)
            found.setdefault((one.task.name, one.task.hash), one)
    wrong.refuse()
    return list(found.values())


def _points(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _with_data(
    request: Request, wanted: suite.Suite, entry: suite.Entry, loaded: dict[tuple[object, ...], Prepared]
) -> Prepared:
    """A task with its images and weights, which are loaded once for all combinations that share them."""
    task, changed = overridden_task(entry.task, entry.override)
    data = tuple(getattr(task, name) for name in DATA)
    if data not in loaded:
        loaded[data] = prepare_entry(replace(request, overrides={}), wanted, entry)
        return loaded[data]
    like = loaded[data]
    if like.task.train_limit != task.train_limit:  # the suite has a limit of its own
        task, changed = overridden_task(entry.task, {**entry.override, "train_limit": like.task.train_limit})
    check_batches(task, len(like.dataset.train_images), len(like.dataset.test_images))
    return replace(like, task=task, overridden=changed)


def _fields(task: Task) -> dict[str, object]:
    return {name: getattr(task, name) for name in Task.model_fields if name != "name"}


class _Wrong:
    """Mistakes, each told once, with the values that all of its combinations share."""

    def __init__(self, varied: Sequence[str], several_tasks: bool) -> None:
        self.varied, self.several_tasks = varied, several_tasks
        self.found: dict[str, list[dict[str, str]]] = {}

    @contextmanager
    def noting(self, task: str, point: Mapping[str, str]) -> Iterator[None]:
        """A block whose mistakes are noted down; what cannot be had here is none."""
        try:
            yield
        except Unavailable:
            raise
        except UserError as error:
            named = {"task": task} if self.several_tasks else {}
            named |= {name: point[name] for name in self.varied}
            self.found.setdefault(str(error), []).append(named)

    def refuse(self) -> None:
        """Stop, if there was any mistake.

        Raises:
            UserError: there was.
        """
        told = [self._told(message, points) for message, points in self.found.items()]
        if told:
            more = f"; and {len(told) - MOST} more mistakes" if len(told) > MOST else ""
            raise UserError("; ".join(told[:MOST]) + more)

    def _told(self, message: str, points: Sequence[Mapping[str, str]]) -> str:
        shared = [f"{n} {v}" for n, v in points[0].items() if all(point[n] == v for point in points)]
        where = "" if message.startswith("--") or not shared else f"{', '.join(shared)}: "
        return f"{where}{message}"
