"""PreparedTask: a task of the task table with its overrides, its images and its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from backends.backbones import BACKBONES
from backends.exported.exported_backbone import is_exported
from backends.task import Task, Variant, list_weights
from backends.task_entries import DATASETS
from bench import data
from bench.data import images as own_images
from bench.data.dataset import Dataset
from bench.data.subset import limit_test_images, limit_training_images
from bench.errors import UserError, make_unknown_error
from bench.networks import exported_checkpoints, saved_programs
from bench.plan.request import Request
from bench.plan.suite import Suite, SuiteEntry
from bench.plan.task_table import TASKS
from bench.weights import checkpoints


@dataclass(frozen=True)
class PreparedTask:
    """A task that is ready to run.

    Attributes:
        task: validated.
        overridden: the fields whose values differ from the task table's.
        dataset: its images; where the task or the suite limits their number, a subset.
        checkpoint: its weights.
        fine_tune: whether the task is fine-tuned to the end, for accuracy and time.
        devices: numbers of devices that it is trained on; empty is all of the plan's.
    """

    task: Task
    overridden: tuple[str, ...]
    dataset: Dataset
    checkpoint: checkpoints.Checkpoint
    fine_tune: bool
    devices: tuple[int, ...] = ()

    def is_trained_as(self, variant: Variant) -> bool:
        """Whether the task is trained on the variant's number of devices."""
        return not self.devices or (variant.devices or 1) in self.devices


def prepare_tasks(request: Request, suite: Suite) -> tuple[PreparedTask, ...]:
    """Prepare the requested tasks, or else the suite's.

    Raises:
        UserError: a task cannot be prepared, two are the same, or none can use the checkpoint or the folder of images.
        Unavailable: images or weights are not on this machine and cannot be obtained.
    """
    entries = tuple(SuiteEntry(task=name) for name in request.tasks) or suite.entries
    _refuse_equal_entries(request, suite, entries)
    check_data_dir(request, entries)
    tasks = tuple(prepare_task(request, suite, entry) for entry in entries)
    if request.checkpoint is not None and all(one.task.weights == "random" for one in tasks):
        raise UserError(f"--checkpoint {request.checkpoint}: the weights are random: use one of the two options")
    return tasks


def _refuse_equal_entries(request: Request, suite: Suite, entries: Sequence[SuiteEntry]) -> None:
    """Refuse tasks that are the same with the request's overrides: their records would have the same names.

    Raises:
        UserError: two are the same; the line names them, and what to leave out.
    """
    found: dict[str, SuiteEntry] = {}
    for entry in entries:
        task, _ = override_task(entry.task, {**entry.override, **request.overrides})
        replaced: dict[str, Any] = {"train_limit": task.train_limit or suite.most_training_images}
        replaced |= {"dataset": ""} if request.images else {}
        limited = task.model_copy(update=replaced)
        if (first := found.setdefault(limited.hash, entry)) is not entry:
            both = f"{_describe_entry(first)} and {_describe_entry(entry)} are the same task"
            before = [override_task(one.task, one.override)[0] for one in (first, entry)]
            fields = [name for name in request.overrides if getattr(before[0], name) != getattr(before[1], name)]
            if fields:
                options = " and ".join(map(_format_option, fields))
                raise UserError(f"{both} with {options}: leave that out, or name one task with --task")
            raise UserError(f"{both}: name each task once{'' if request.tasks else f' in suite {suite.name}'}")


def _describe_entry(entry: SuiteEntry) -> str:
    fields = ", ".join(f"{name} = {value}" for name, value in entry.override.items())
    return f"{entry.task} ({fields})" if fields else entry.task


def check_data_dir(request: Request, entries: Iterable[SuiteEntry]) -> None:
    """Refuse a folder of images that no task reads, and sizes of images that no task resizes.

    Raises:
        UserError: none does, or a task has an invalid field.
    """
    if request.images is not None and request.data_dir is not None:
        raise UserError("--images replaces the images of --data-dir: leave one of them out")
    tasks = [override_task(entry.task, {**entry.override, **request.overrides})[0] for entry in entries]
    for task in tasks:
        if request.images is None and (task.resize or task.crop):
            field = "resize" if task.resize else "crop"
            raise UserError(f"--{field} {getattr(task, field)}: it is for --images: give them, or leave it out")
    if request.data_dir is None:
        return
    if not any(data.reads_folder(task.dataset) for task in tasks):
        names = ", ".join(dict.fromkeys(f"{task.name} ({task.dataset})" for task in tasks))
        raise UserError(
            f"--data-dir {request.data_dir}: no task reads it: leave it out, or use another task than {names}"
        )


def prepare_task(request: Request, suite: Suite, entry: SuiteEntry) -> PreparedTask:
    """Override the fields of a suite's task, and obtain its images and weights.

    Raises:
        UserError: a field has an invalid value, or images or weights do not fit the task.
        Unavailable: images or weights are not on this machine and cannot be obtained.
    """
    overrides = {**entry.override, **request.overrides}
    task, _ = override_task(entry.task, overrides)
    path = None if task.weights == "random" else request.checkpoint
    if path is not None:
        # Before images are downloaded: if that fails, other tasks would be run, without the checkpoint.
        checkpoints.check_path(path)
    if request.images is None:
        all_images = data.load(task.dataset, request.data_dir)
    else:
        all_images = own_images.load(request.images, own_images.Framing(*task.framing), task.seed)
        overrides["dataset"] = all_images.name
    most = suite.most_training_images
    if task.train_limit is None and most is not None and most < len(all_images.train_images):
        overrides["train_limit"] = most
    task, changed = override_task(entry.task, overrides)
    dataset = limit_training_images(all_images, task.train_limit, task.seed)
    dataset = limit_test_images(dataset, suite.most_test_images, task.seed)
    check_batch_size(task, len(dataset.train_images), len(dataset.test_images))
    task = complete_schedule(task, len(dataset.train_images))
    obtain = exported_checkpoints.obtain if is_exported(task.backbone) else checkpoints.obtain
    return PreparedTask(task, changed, dataset, obtain(task, path), entry.fine_tune, entry.devices)


def override_task(name: str, overrides: Mapping[str, Any]) -> tuple[Task, tuple[str, ...]]:
    """Replace fields of a task of the task table; returns the task, and the fields whose values changed.

    Raises:
        UserError: no such task, or a field has an invalid value.
    """
    if name not in TASKS:
        raise make_unknown_error("task", name, TASKS)
    table_entry = TASKS[name]
    backbone = overrides.get("backbone", table_entry.backbone)
    if saved_programs.is_program(backbone):
        backbone = saved_programs.keep_program(backbone)
        overrides = {**overrides, "backbone": backbone}
    if not is_exported(backbone) and backbone not in BACKBONES:
        raise make_unknown_error("backbone", backbone, BACKBONES)
    if (dataset := overrides.get("dataset", table_entry.dataset)) not in DATASETS:
        raise make_unknown_error("data set", dataset, DATASETS)
    known = list_weights(backbone)
    if "weights" not in overrides and table_entry.weights not in known:
        # The backbone is overridden, and the weights in the table are not for it.
        overrides = {**overrides, "weights": known[0]}
    if (weights := overrides.get("weights", table_entry.weights)) not in known:
        if "/" in weights or "." in weights:
            raise UserError(f"--weights {weights}: give a name ({', '.join(known)}), and a file with --checkpoint")
        raise make_unknown_error(f"weights of {backbone}", weights, known)
    try:
        task = Task.model_validate({**table_entry.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "literal_error":
            field = str(first["loc"][0])
            values = map(str, get_args(Task.model_fields[field].annotation))
            raise make_unknown_error(field.replace("_", " "), str(first["input"]), values) from None
        message = first["msg"].removeprefix("Value error, ")
        option = f"{_format_option(str(first['loc'][0]))} {first['input']}: " if first["loc"] else ""
        raise UserError(f"{option}{message[0].lower()}{message[1:]}") from None
    changed = tuple(name for name in overrides if getattr(task, name) != getattr(table_entry, name))
    return task, changed


def _format_option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def complete_schedule(task: Task, train: int) -> Task:
    """Set the number of updates of a task's schedule to that of its whole training, if the task does not name one.

    Args:
        train: number of training images.

    Raises:
        UserError: there are fewer steps than are accumulated, or no more updates than those of the warm-up.
    """
    batches = train // task.batch_size if task.last_batch == "dropped" else -(-train // task.batch_size)
    steps = task.epochs * batches
    if task.accumulate > steps:
        raise UserError(
            f"--accumulate {task.accumulate}: the training has {steps} steps: use as many or fewer, or more epochs"
        )
    updates = steps // task.accumulate
    if task.warm_up >= updates:
        raise UserError(
            f"--warm-up {task.warm_up}: the training has {updates} {task.update_unit}: use fewer than these, or more "
            "epochs"
        )
    if task.schedule == "constant" or task.schedule_steps is not None:
        return task
    return task.model_copy(update={"schedule_steps": updates})


def check_batch_size(task: Task, train: int, test: int) -> None:
    """Refuse a batch size that the images cannot fill, or that leaves a last batch that cannot be normalised.

    Args:
        train, test: numbers of training and test images.

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
                f"images at --batch-size {task.batch_size}: use a batch size that does not leave one image"
            )
