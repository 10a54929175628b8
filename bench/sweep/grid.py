"""The grid of a sweep: every combination of the fields' values, validated, with its images and weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backends.task import Task, Variant
from bench.errors import Unavailable, UserError
from bench.plan import suite
from bench.plan.offline_fallback import fall_back_to_offline
from bench.plan.plan import explain_threads, find_usable_backends, make_default_variant
from bench.plan.prepared_task import (
    PreparedTask,
    check_batch_size,
    check_data_dir,
    complete_schedule,
    override_task,
    prepare_task,
)
from bench.plan.request import Request
from bench.sweep.sweep_options import SweepOptions

#: The largest number of mistakes that are listed.
MOST_MISTAKES = 5
#: The fields of a task, and what follows from others, that decide which images and weights it has.
DATA_FIELDS = ("backbone", "weights", "dataset", "train_limit", "seed", "framing")


@dataclass(frozen=True)
class Combination:
    """One combination of values, which every backend fine-tunes; numbered from 1, in the order of the values."""

    number: int
    prepared: PreparedTask


@dataclass(frozen=True)
class Grid:
    """Everything that a sweep has to know before the first worker starts.

    Attributes:
        varied: fields with more than one value.
        default: the variant that every backend runs.
        skipped: backends that cannot run here, with the reason.
        banner: a line about a fallback to a task that needs no download; None without a fallback.
        threads_note: see `bench.plan.plan.explain_threads`.
    """

    combinations: tuple[Combination, ...]
    varied: tuple[str, ...]
    backends: tuple[str, ...]
    default: Variant
    skipped: Mapping[str, str]
    banner: str | None
    threads_note: str | None

    @property
    def fine_tunes(self) -> list[tuple[Combination, str]]:
        """Every combination with every backend."""
        return [(one, backend) for one in self.combinations for backend in self.backends]

    def group_by_data(self) -> list[list[Combination]]:
        """The combinations grouped by images and weights: a group shares workers."""
        found: dict[tuple[str, str], list[Combination]] = {}
        for one in self.combinations:
            shared = (one.prepared.dataset.fingerprint, one.prepared.checkpoint.sha256)
            found.setdefault(shared, []).append(one)
        return list(found.values())


def build_grid(options: SweepOptions) -> Grid:
    """Check all combinations, and obtain their images and weights.

    Raises:
        UserError: in one line, every wrong combination and what to do.
    """
    request = options.request
    if request.images is not None and "dataset" in options.axes:
        raise UserError("--images replaces the data set: leave out the values of dataset")
    chosen, skipped = find_usable_backends(request.backends)
    default = make_default_variant(request)
    chosen_suite = suite.load(str(request.suite))
    banner = None
    try:
        tasks = _prepare_combinations(options, chosen_suite)
    except Unavailable as error:
        if request.tasks or request.suite != Request.suite:
            raise
        _, banner, tasks = fall_back_to_offline(
            error, request, lambda own, offline: _prepare_combinations(replace(options, request=own), offline)
        )
    if options.target is not None and all(one.task.weights == "random" for one in tasks):
        raise UserError("--target: with random weights there is no accuracy: leave it out, or use other weights")
    combinations = tuple(Combination(number, one) for number, one in enumerate(tasks, start=1))
    varied = tuple(name for name in options.axes if len({getattr(one.task, name) for one in tasks}) > 1)
    return Grid(combinations, varied, chosen, default, skipped, banner, explain_threads(request))


def _prepare_combinations(options: SweepOptions, chosen_suite: suite.Suite) -> list[PreparedTask]:
    """Prepare every combination once.

    Raises:
        UserError: some are wrong; the message names all of them.
        Unavailable: images or weights cannot be obtained here.
    """
    request = options.request
    entries = [suite.SuiteEntry(task=name) for name in request.tasks] or [
        e for e in chosen_suite.entries if e.fine_tune
    ]
    if not entries:
        raise UserError(f"suite {chosen_suite.name} fine-tunes nothing: name a --task")
    points = [(entry, point) for entry in entries for point in _iterate_points(options.axes)]
    mistakes = _Mistakes([name for name, values in options.axes.items() if len(values) > 1], len(entries) > 1)
    complete: list[suite.SuiteEntry] = []
    for entry, point in points:
        with mistakes.collect(entry.task, point):
            task, _ = override_task(entry.task, {**entry.override, **point})
            complete.append(suite.SuiteEntry(task=entry.task, override=_list_fields(task)))
    mistakes.raise_if_any()
    check_data_dir(request, complete)
    loaded: dict[tuple[object, ...], PreparedTask] = {}
    found: dict[tuple[str, str], PreparedTask] = {}
    for entry, (_, point) in zip(complete, points, strict=True):
        with mistakes.collect(entry.task, point):
            one = _prepare_combination(request, chosen_suite, entry, loaded)
            found.setdefault((one.task.name, one.task.hash), one)
    mistakes.raise_if_any()
    return list(found.values())


def _iterate_points(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _prepare_combination(
    request: Request, chosen_suite: suite.Suite, entry: suite.SuiteEntry, loaded: dict[tuple[object, ...], PreparedTask]
) -> PreparedTask:
    """Prepare a task with its images and weights, which are loaded once for all combinations that share them."""
    task, changed = override_task(entry.task, entry.override)
    data = tuple(getattr(task, name) for name in DATA_FIELDS)
    if data not in loaded:
        loaded[data] = prepare_task(replace(request, overrides={}), chosen_suite, entry)
        return loaded[data]
    same_data = loaded[data]
    # The suite may have a limit of its own, and the user other images.
    found = {name: getattr(same_data.task, name) for name in ("train_limit", "dataset")}
    if any(getattr(task, name) != value for name, value in found.items()):
        task, changed = override_task(entry.task, {**entry.override, **found})
    check_batch_size(task, len(same_data.dataset.train_images), len(same_data.dataset.test_images))
    task = complete_schedule(task, len(same_data.dataset.train_images))
    return replace(same_data, task=task, overridden=changed)


def _list_fields(task: Task) -> dict[str, object]:
    return {name: getattr(task, name) for name in Task.model_fields if name != "name"}


class _Mistakes:
    """The mistakes of a grid: each is listed once, with the values that all of its combinations share."""

    def __init__(self, varied: Sequence[str], several_tasks: bool) -> None:
        self.varied, self.several_tasks = varied, several_tasks
        self.found: dict[str, list[dict[str, str]]] = {}

    @contextmanager
    def collect(self, task: str, point: Mapping[str, str]) -> Iterator[None]:
        """Collect a `UserError` of the block, except `Unavailable`, which is no mistake."""
        try:
            yield
        except Unavailable:
            raise
        except UserError as error:
            values = {"task": task} if self.several_tasks else {}
            values |= {name: point[name] for name in self.varied}
            self.found.setdefault(str(error), []).append(values)

    def raise_if_any(self) -> None:
        """Raise one error for all mistakes.

        Raises:
            UserError: there were mistakes.
        """
        lines = [self._describe(message, points) for message, points in self.found.items()]
        if lines:
            more = f"; and {len(lines) - MOST_MISTAKES} more mistakes" if len(lines) > MOST_MISTAKES else ""
            raise UserError("; ".join(lines[:MOST_MISTAKES]) + more)

    def _describe(self, message: str, points: Sequence[Mapping[str, str]]) -> str:
        shared = [f"{n} {v}" for n, v in points[0].items() if all(point[n] == v for point in points)]
        where = "" if message.startswith("--") or not shared else f"{', '.join(shared)}: "
        return f"{where}{message}"
