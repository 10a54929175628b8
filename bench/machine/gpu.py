"""NVIDIA devices as NVML sees them: their identity, and the memory in use on them by all processes together.

Memory by process is not asked for: in a container NVML knows processes by foreign ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

from bench.errors import UserError

#: NVML's reasons for a clock below its maximum, by bit (nvml.h, nvmlClocksEventReasons).
SLOWED = {
    0x0000000000000004: "software power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "software thermal slowdown",
    0x0000000000000040: "hardware thermal slowdown",
    0x0000000000000080: "hardware power brake",
}


@dataclass(frozen=True)
class Gpu:
    """One device. `index` is NVML's, in PCI bus order; `memory_total` is in bytes, `power_limit` in watts.

    `clock`, `clock_most` are its multiprocessors', in MHz; `ecc` and `mig` say whether they are on, and None where the
    device has none. `capability` is CUDA's compute capability.
    """

    index: int
    name: str
    uuid: str
    memory_total: int
    driver: str
    cuda: str
    power_limit: float | None
    clock: int | None = None
    clock_most: int | None = None
    ecc: bool | None = None
    mig: bool | None = None
    capability: tuple[int, int] | None = None


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


@dataclass(frozen=True)
class State:
    """What goes on on a device: processes with a context on it, its clock and the highest one in MHz.

    `slowed` names what holds the clock down (NVML's "clocks event reasons"), idleness left out.
    """

    processes: int
    clock: int | None
    clock_most: int | None
    slowed: tuple[str, ...]


def state(index: int) -> State | None:
    """The state of device `index` (NVML's) now; None where NVML does not tell."""
    try:
        with _nvml():
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            processes = len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
            clock = _told(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)
            most = _told(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM)
            reasons = _told(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    except pynvml.NVMLError:
        return None
    slowed = tuple(name for bit, name in SLOWED.items() if reasons & bit)
    return State(processes, clock, most, slowed)


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
        clock=_told(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        clock_most=_told(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        ecc=_on(_told(pynvml.nvmlDeviceGetEccMode, handle)),
        mig=_on(_told(pynvml.nvmlDeviceGetMigMode, handle)),
        capability=_told(pynvml.nvmlDeviceGetCudaComputeCapability, handle),
    )


def _told(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What NVML answers; None where the device does not tell."""
    try:
        return ask(*arguments)
    except pynvml.NVMLError:
        return None


def _on(modes: Sequence[int] | None) -> bool | None:
    """Whether the current one of (current, pending) is on."""
    return None if modes is None else bool(modes[0])


def _text(value: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value
