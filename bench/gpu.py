"""NVIDIA devices as NVML sees them: their identity, and the memory in use on them by all processes together.

Memory by process is not asked for: in a container NVML knows processes by foreign ids.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pynvml

from bench.errors import UserError


@dataclass(frozen=True)
class Gpu:
    """One device. `index` is NVML's, in PCI bus order; `memory_total` is in bytes, `power_limit` in watts."""

    index: int
    name: str
    uuid: str
    memory_total: int
    driver: str
    cuda: str
    power_limit: float | None


def devices() -> list[Gpu]:
    """All devices of this machine, whatever CUDA_VISIBLE_DEVICES says; empty where there is no driver."""
    try:
        with _nvml():
            driver = _text(pynvml.nvmlSystemGetDriverVersion())
            version = pynvml.nvmlSystemGetCudaDriverVersion()
            cuda = f"{version // 1000}.{version % 1000 // 10}"
            return [_device(index, driver, cuda) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def used_bytes(index: int) -> int | None:
    """Memory in use on device `index` (NVML's) by all processes; None where NVML does not tell."""
    try:
        with _nvml():
            return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index)).used)
    except pynvml.NVMLError:
        return None


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    """The devices that CUDA numbers 0, 1, ... under CUDA_VISIBLE_DEVICES.

    As in CUDA, the list ends at its first entry that is no device (CUDA C++ programming guide, "CUDA
    Environment Variables"). The numbers agree with CUDA's under CUDA_DEVICE_ORDER=PCI_BUS_ID, or if all
    devices are alike.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in listed.split(",")):
        named = [gpu for gpu in gpus if _named(gpu, entry)]
        if len(named) != 1:
            break
        chosen += named
    return chosen


def check_device(device: str) -> Gpu | None:
    """The device that a variant's `cpu`, `cuda` or `cuda:N` names; None for `cpu`.

    Raises:
        UserError: this machine has no such device.
    """
    if device == "cpu":
        return None
    gpus = devices()
    usable = visible(gpus, os.environ)
    kind, _, number = device.partition(":")
    index = int(number or 0) if (number or "0").isdecimal() else None
    if kind == "cuda" and index is not None and index < len(usable):
        return usable[index]
    if not gpus:
        known = "NVML finds none on this machine, use --device cpu"
    elif not usable:
        known = f"CUDA_VISIBLE_DEVICES hides all {len(gpus)} of this machine, use --device cpu"
    else:
        known = f"use cpu or one of {', '.join(f'cuda:{n}' for n in range(len(usable)))}"
    raise UserError(f"no CUDA device {device!r}: {known}")


def _named(gpu: Gpu, entry: str) -> bool:
    """Whether an entry of CUDA_VISIBLE_DEVICES is this device's index, or the beginning of its UUID."""
    return entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))


@contextmanager
def _nvml() -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _device(index: int, driver: str, cuda: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    try:
        power_limit = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    except pynvml.NVMLError:
        power_limit = None
    return Gpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        memory_total=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        cuda=cuda,
        power_limit=power_limit,
    )


def _text(value: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value
