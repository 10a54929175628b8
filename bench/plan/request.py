"""What the user asked for, made into tasks with their data and weights at hand, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

import backends
from backends.backbones import BACKBONES
from backends.task import Task, Variant
from bench import data
from bench.data.dataset import Dataset
from bench.data.subset import limit, limit_test
from bench.errors import Unavailable, UserError, unknown
from bench.machine.environment import usable_cores
from bench.machine.gpu import check_device
from bench.plan import suite, tuned_variants, variants
from bench.plan.task_table import TASKS
from bench.plan.tuned_variants import Tuned
from bench.records.record import Record
from bench.weights import checkpoints

OFFLINE = "offline"
#: 512 float32 features of CIFAR-10's 60,000 images are 123 MB; those of a ResNet-50 are four times as much.
CACHE_LIMIT = 4 * 2**30
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """The options of `bench run` and `bench parity`.

    Attributes:
        suite: name or file, or the suite itself.
        tasks, backends: empty means the suite's and all.
        overrides: fields of the task, by name.
        variants, knobs: names of variants, and `knob=value`; the suite's where neither is given, or `default`.
        until: add launches until the intervals of all ratios reach no further than this share of them.
        max_time: seconds after which no launch is added any more.
        cache_limit: bytes that cached features may take.
        seeds: how many fine-tunes, each from a seed of its own.
    """

    suite: str | suite.Suite = "standard"
    tasks: Sequence[str] = ()
    backends: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    variants: Sequence[str] = ()
    knobs: Sequence[str] = ()
    data_dir: Path | None = None
    checkpoint: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    launches: int | None = None
    rounds: int | None = None
    until: float | None = None
    max_time: float | None = None
    seeds: int = 1
    cache_limit: int = CACHE_LIMIT
    isolated: bool = False
    relative_to: str = "pytorch"
    results: Path = Path("results")


@dataclass(frozen=True)
class Prepared:
    """A task that can be run: validated, with its images (subset drawn) and its checkpoint."""

    task: Task
    overridden: tuple[str, ...]
    dataset: Dataset
    checkpoint: checkpoints.Checkpoint
    fine_tune: bool


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs to know before the first worker starts; `done` is what was measured already.

    `default` is the variant that others are proven the same as; `tuned` is what was found here, by backend and the
    task's hash; `skipped` has reasons by backend, or `backend/variant`.
    """

    suite: suite.Suite
    tasks: tuple[Prepared, ...]
    backends: tuple[str, ...]
    variants: tuple[Variant, ...]
    default: Variant
    tuned: Mapping[tuple[str, str], Tuned]
    skipped: dict[str, str]
    banner: str | None
    isolated: bool
    relative_to: str
    until: float | None = None
    max_time: float | None = None
    seeds: int = 1
    cache_limit: int = CACHE_LIMIT
    done: tuple[Record, ...] = ()

    def cases(self, prepared: Prepared) -> list[tuple[str, Variant]]:
        """The backends and variants of a task that are measured."""
        found = []
        for variant in self.variants:
            for backend in self.backends:
                meant = _meant(variant, self.tuned.get((backend, prepared.task.hash)))
                if meant is not None and variants.refused(backend, meant, prepared.task) is None:
                    found.append((backend, meant))
        return found


def plan(request: Request) -> Plan:
    """Check everything, and obtain data and weights.

    Raises:
        UserError: one line that says what is wrong and what to do.
    """
    chosen, skipped = usable_backends(request.backends)
    if (reference := request.relative_to.partition("/")[0]) not in backends.REGISTRY:
        raise unknown("backend", reference, backends.REGISTRY)
    if request.max_time is not None and request.until is None:
        raise UserError("--max-time limits what --until adds: use both")
    default = default_of(request)
    wanted = request.suite if isinstance(request.suite, suite.Suite) else suite.load(request.suite)
    asker: Request | suite.Suite = request if request.variants or request.knobs else wanted
    asked = variants.wanted(asker.variants, asker.knobs, default.threads or 1, default.device)
    banner = None
    try:
        tasks = _prepare(request, wanted)
    except Unavailable as error:
        if request.tasks or request.suite != Request.suite:
            raise
        alone = replace(request, checkpoint=None)
        wanted, banner, tasks = fallen_back(error, lambda offline: _prepare(alone, offline))
    found = _tuned(chosen, tasks, default) if any(variant.name == "tuned" for variant in asked) else {}
    skipped |= _refused(chosen, asked, tasks, found)
    sizes = {"launches": request.launches, "rounds": request.rounds}
    resized = wanted.model_copy(update={name: size for name, size in sizes.items() if size})
    if request.launches:
        resized = resized.model_copy(update={"most_minutes": None})
    made = Plan(
        suite=resized,
        tasks=tasks,
        backends=chosen,
        variants=asked,
        default=default,
        tuned=found,
        skipped=skipped,
        banner=banner,
        isolated=request.isolated,
        relative_to=request.relative_to,
        until=request.until,
        max_time=request.max_time,
        seeds=request.seeds,
        cache_limit=request.cache_limit,
    )
    _check_reference(made)
    return made


def _check_reference(made: Plan) -> None:
    """Refuse a reference that ratios cannot be to: it is a backend or a case, and of this the variant is measured.

    Raises:
        UserError: it is neither.
    """
    cases = [f"{backend}/{variant.name}" for task in made.tasks for backend, variant in made.cases(task)]
    if made.relative_to not in (*backends.REGISTRY, *cases):
        raise unknown("backend or case", made.relative_to, dict.fromkeys((*backends.REGISTRY, *cases)))


def default_of(request: Request) -> Variant:
    """The default variant, on the device and with the threads that were asked for.

    Raises:
        UserError: there is no such device.
    """
    check_device(request.device)
    return Variant(device=request.device, threads=request.threads or usable_cores())


def _meant(asked: Variant, found: Tuned | None) -> Variant | None:
    """The variant that was asked for, as a backend has it: what `tuned` is was found for each."""
    if asked.name != "tuned":
        return asked
    return found.variant(asked) if found else None


def _tuned(chosen: Sequence[str], tasks: Sequence[Prepared], default: Variant) -> dict[tuple[str, str], Tuned]:
    """What `bench tune` found here with the default's device and threads, by backend and the task's hash."""
    found = {}
    for prepared in tasks:
        for backend in chosen:
            if one := tuned_variants.load(backend, prepared.task.hash, default):
                found[backend, prepared.task.hash] = one
    return found


def _refused(
    chosen: Sequence[str],
    asked: Sequence[Variant],
    tasks: Sequence[Prepared],
    found_tuned: Mapping[tuple[str, str], Tuned],
) -> dict[str, str]:
    """The cases that cannot be run, and why.

    Raises:
        UserError: a variant that no backend can run.
    """
    found: dict[str, str] = {}
    for variant in asked:
        for prepared in tasks:
            reasons: dict[str, str | None] = {}
            for name in chosen:
                meant = _meant(variant, found_tuned.get((name, prepared.task.hash)))
                if meant is None:
                    reasons[name] = tuned_variants.missing(name, prepared.task.name, prepared.task.hash, variant)
                else:
                    reasons[name] = variants.refused(name, meant, prepared.task)
            if all(reasons.values()):
                raise UserError(
                    f"no backend can run variant {variant.name}: {'; '.join(filter(None, reasons.values()))}"
                )
            found |= {f"{name}/{variant.name}": reason for name, reason in reasons.items() if reason}
    return found


def usable_backends(names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The backends of `names` (all, if empty) that can be imported here, and why the others cannot.

    Raises:
        UserError: an unknown name, or none can be imported.
    """
    for name in names:
        if name not in backends.REGISTRY:
            raise unknown("backend", name, backends.REGISTRY)
    wanted = tuple(dict.fromkeys(names)) or tuple(backends.REGISTRY)
    skipped = {}
    for name in wanted:
        if missing := backends.missing_packages(name):
            extra = backends.REGISTRY[name].extra
            skipped[name] = f"{', '.join(missing)} not installed: pip install 'head-to-head[{extra}]'"
    usable = tuple(name for name in wanted if name not in skipped)
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise UserError(f"no backend can run here: {reasons}")
    return usable, skipped


def overridden_task(name: str, overrides: Mapping[str, Any]) -> tuple[Task, tuple[str, ...]]:
    """The entry of the task table with some fields replaced, and which of them really changed.

    Raises:
        UserError: no such task, or a value that a task cannot have.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    table = TASKS[name]
    backbone = BACKBONES.get(overrides.get("backbone", table.backbone))
    weights = overrides.get("weights", table.weights)
    if backbone and weights not in (known := (*backbone.weights, "random")):
        raise unknown(f"weights of {backbone.name}", weights, known)
    try:
        task = Task.model_validate({**table.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "literal_error":
            field = str(first["loc"][0])
            values = map(str, get_args(Task.model_fields[field].annotation))
            raise unknown(field.replace("_", " "), str(first["input"]), values) from None
        message = first["msg"].removeprefix("Value error, ")
        option = f"--{str(first['loc'][0]).replace('_', '-')} {first['input']}: " if first["loc"] else ""
        raise UserError(f"{option}{message[0].lower()}{message[1:]}") from None
    changed = tuple(name for name in overrides if getattr(task, name) != getattr(table, name))
    return task, changed


def _prepare(request: Request, wanted: suite.Suite) -> tuple[Prepared, ...]:
    entries = tuple(suite.Entry(task=name) for name in request.tasks) or wanted.entries
    tasks = tuple(prepare_entry(request, wanted, entry) for entry in entries)
    if request.checkpoint is not None and all(one.task.weights == "random" for one in tasks):
        raise UserError(f"--checkpoint {request.checkpoint}: the weights are random: leave one of the two out")
    return tasks


def prepare_entry(request: Request, wanted: suite.Suite, entry: suite.Entry) -> Prepared:
    """One task of a suite: its fields overridden, its images and weights at hand.

    Raises:
        UserError: a field that it cannot have, or images or weights that do not fit it.
        Unavailable: they cannot be had here.
    """
    overrides = {**entry.override, **request.overrides}
    task, _ = overridden_task(entry.task, overrides)
    whole = data.load(task.dataset, request.data_dir)
    most = wanted.most_training_images
    if task.train_limit is None and most is not None and most < len(whole.train_images):
        overrides["train_limit"] = most
    task, changed = overridden_task(entry.task, overrides)
    dataset = limit_test(limit(whole, task.train_limit, task.seed), wanted.most_test_images, task.seed)
    check_batches(task, len(dataset.train_images), len(dataset.test_images))
    given = None if task.weights == "random" else request.checkpoint
    return Prepared(task, changed, dataset, checkpoints.obtain(task, given), entry.fine_tune)


def check_batches(task: Task, train: int, test: int) -> None:
    """Refuse batches that so many images do not fill, or that leave one over where it cannot be normalised.

    Raises:
        UserError: the line says which batch size to use.
    """
    if task.batch_size > train:
        raise UserError(
            f"--batch-size {task.batch_size}: the task has {train} training images: use a batch size of {train} or less"
        )
    for what, images, dropped in (("training", train, task.last_batch == "dropped"), ("test", test, False)):
        rest = images % task.batch_size
        if task.batch_norm == "batch_stats" and rest and not dropped and task.values_per_channel(rest) == 1:
            raise UserError(
                f"batch norm 'batch_stats' would see one value per channel in the last batch of {images} {what} "
                f"images at --batch-size {task.batch_size}: use a batch size that does not leave one image over"
            )


def fallen_back(error: Unavailable, prepare: Callable[[suite.Suite], T]) -> tuple[suite.Suite, str, T]:
    """The offline suite in place of what cannot be had, what stands above its figures, and its tasks prepared.

    Raises:
        Unavailable: `error` itself, where the options fit what was meant and not these tasks; or the offline suite
            cannot be had either.
    """
    offline = suite.load(OFFLINE)
    try:
        tasks = prepare(offline)
    except Unavailable:
        raise
    except UserError:
        raise error from None
    text = offline.description
    return offline, f"Offline suite: {error}. Until then these figures are of {text[0].lower()}{text[1:]}.", tasks
