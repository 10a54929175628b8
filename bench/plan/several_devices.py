"""Several devices: whether a case can train on as many as requested, by the machine, the backend and the task."""

from __future__ import annotations

import os

import backends
from backends.task import Task, Variant
from bench.errors import UserError
from bench.machine import gpu
from bench.machine.environment import count_usable_cores
from bench.plan import suite
from bench.plan.request import Request
from bench.plan.suite import Suite


def choose_numbers(request: Request, chosen: Suite, device: str) -> tuple[tuple[int, ...], dict[str, str]]:
    """Choose the numbers of devices: those of the request, or else those of the suite that this machine has.

    Returns them, and why numbers of the suite are left out.

    Raises:
        UserError: the machine has fewer devices than requested, or the request names one device.
    """
    numbers = tuple(request.devices) or chosen.devices
    problems = {number: problem for number in numbers if (problem := _explain_too_many(number, device, request.nodes))}
    if request.devices and problems:
        raise UserError(next(iter(problems.values())))
    kept = tuple(number for number in numbers if number not in problems)
    left_out = ", ".join(map(str, problems))
    return kept, {f"{left_out} devices": problems[min(problems)]} if problems else {}


def refuse_several_devices(request: Request, command: str) -> None:
    """Refuse a suite about several devices in a command that uses one.

    Raises:
        UserError: the request has such a suite.
    """
    chosen = request.suite if isinstance(request.suite, Suite) else suite.load(request.suite)
    if chosen.devices:
        raise UserError(
            f"suite {chosen.name} is about several devices, and {command} uses one: choose another suite, or a task "
            "with --task"
        )


def _explain_too_many(number: int, device: str, nodes: int) -> str | None:
    """Explain why so many machines like this one cannot train on so many devices; None if they can."""
    if number == 1:
        return None  # of node 0
    if number % nodes:
        return f"--devices {number}: {nodes} nodes cannot have equally many: use a multiple of {nodes}"
    if device not in ("cpu", "cuda"):
        return f"--devices {number} --device {device}: that is one device: use --device {device.partition(':')[0]}"
    if device == "cpu":
        found, what = count_usable_cores() or 1, "usable cores"
    else:
        found, what = len(gpu.list_visible(gpu.list_devices(), os.environ)), "visible GPUs"
    if number // nodes <= found:
        return None
    most = found * nodes
    return f"--devices {number}: this machine has {found} {what}: use --devices {most} or less"


def explain_unsupported_devices(backend: str, variant: Variant, task: Task) -> str | None:
    """Explain why a backend cannot train a task on so many devices; None if it can, or if there is one."""
    if not variant.devices:
        return None
    kind = variant.device.partition(":")[0]
    if kind not in backends.REGISTRY[backend].several_devices:
        able = [name for name, entry in backends.REGISTRY.items() if kind in entry.several_devices]
        several = backends.REGISTRY[backend].several_devices
        what = f"cannot train on several devices with --device {kind}" if several else "trains on one device only"
        return f"{backend} {what}: use --devices 1, or one of {', '.join(able)}"
    if task.batch_size % variant.devices:
        return (
            f"{variant.devices} devices cannot share a batch of {task.batch_size} images: use a multiple of "
            f"{variant.devices} as --batch-size"
        )
    if task.batch_norm == "batch_stats":
        return (
            "batch norm 'batch_stats' would normalise by the statistics of each device's share: use --devices 1, or a "
            "task with batch norm frozen"
        )
    return None


def explain_last_batch(variant: Variant, task: Task, images: int) -> str | None:
    """Explain why the last, partial batch of an epoch cannot be shared; None if it can.

    Args:
        images: number of training images.
    """
    rest = images % task.batch_size
    if not variant.devices or task.last_batch == "dropped" or rest % variant.devices == 0:
        return None
    return (
        f"{variant.devices} devices cannot share the last batch of an epoch, {rest} of its {images} images: use "
        f"--train-limit {images - images % variant.devices}"
    )
