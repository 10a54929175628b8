"""NVIDIA devices by NVML: their identity, their state, and the memory that all processes together use on them.

Memory by process is not available: in a container, NVML's process ids are those of the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

from bench.errors import UserError

#: What the bindings raise: NVML's own errors, and another one where a driver is older than a function.
ERRORS = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)
#: NVML's reasons for a clock below its maximum, by bit (nvml.h, nvmlClocksEventReasons).
CLOCK_LIMITS = {
    0x0000000000000004: "software power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "software thermal slowdown",
    0x0000000000000040: "hardware thermal slowdown",
    0x0000000000000080: "hardware power brake",
}


@dataclass(frozen=True)
class Gpu:
    """One device. `index` is NVML's, in PCI bus order; `memory_total` is in bytes, `power_limit` in watts.

    `clock` and `clock_most` are the current and the highest clock of its multiprocessors, in MHz. `ecc` and `mig` say
    whether these are on; None if the device does not have them. `capability` is CUDA's compute capability.
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


def list_devices() -> list[Gpu]:
    """List all devices of this machine, without regard to CUDA_VISIBLE_DEVICES; empty without a driver."""
    try:
        with _open_nvml():
            driver = _decode(pynvml.nvmlSystemGetDriverVersion())
            version = pynvml.nvmlSystemGetCudaDriverVersion()
            cuda = f"{version // 1000}.{version % 1000 // 10}"
            return [_read_device(index, driver, cuda) for index in range(pynvml.nvmlDeviceGetCount())]
    except ERRORS:
        return []


def read_used_bytes(index: int) -> int | None:
    """Memory in use on device `index` (NVML's) by all processes, in bytes; None if NVML does not report it."""
    try:
        with _open_nvml():
            return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index)).used)
    except ERRORS:
        return None


@dataclass(frozen=True)
class GpuState:
    """The state of a device: the number of processes that compute on it, its clock and its highest clock in MHz.

    `slowed` has the reasons for a lowered clock (NVML's "clocks event reasons"), except idleness.
    """

    processes: int
    clock: int | None
    clock_most: int | None
    slowed: tuple[str, ...]


def read_state(index: int) -> GpuState | None:
    """Read the state of device `index` (NVML's); None if NVML does not report it."""
    try:
        with _open_nvml():
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            processes = len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
            clock = _ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)
            most = _ask(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM)
            reasons = _ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    except ERRORS:
        return None
    slowed = tuple(name for bit, name in CLOCK_LIMITS.items() if reasons & bit)
    return GpuState(processes, clock, most, slowed)


def list_visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    """The devices that CUDA numbers 0, 1, ... under CUDA_VISIBLE_DEVICES.

    As in CUDA, the list ends at the first entry that is not a device (CUDA C++ programming guide, "CUDA Environment
    Variables"). The numbers agree with CUDA's if CUDA_DEVICE_ORDER is PCI_BUS_ID, or if all devices are of one model.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in listed.split(",")):
        matches = [gpu for gpu in gpus if _is_named_by(gpu, entry)]
        if len(matches) != 1:
            break
        chosen += matches
    return chosen


def find_device(device: str) -> Gpu | None:
    """Find the device that a variant names by `cpu`, `cuda` or `cuda:N`; None for `cpu`.

    Raises:
        UserError: this machine has no such device.
    """
    if device == "cpu":
        return None
    gpus = list_devices()
    usable = list_visible(gpus, os.environ)
    kind, _, number = device.partition(":")
    index = int(number or 0) if (number or "0").isdecimal() else None
    if kind == "cuda" and index is not None and index < len(usable):
        return usable[index]
    if not gpus:
        remedy = "NVML finds none on this machine, use --device cpu"
    elif not usable:
        remedy = f"CUDA_VISIBLE_DEVICES hides all {len(gpus)} of this machine, use --device cpu"
    else:
        remedy = f"use cpu or one of {', '.join(f'cuda:{n}' for n in range(len(usable)))}"
    raise UserError(f"no CUDA device {device!r}: {remedy}")


def _is_named_by(gpu: Gpu, entry: str) -> bool:
    """Whether an entry of CUDA_VISIBLE_DEVICES is this device's index, or the beginning of its UUID."""
    return entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))


@contextmanager
def _open_nvml() -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _read_device(index: int, driver: str, cuda: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    try:
        power_limit = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    except ERRORS:
        power_limit = None
    return Gpu(
        index=index,
        name=_decode(pynvml.nvmlDeviceGetName(handle)),
        uuid=_decode(pynvml.nvmlDeviceGetUUID(handle)),
        memory_total=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        driver=driver,
        cuda=cuda,
        power_limit=power_limit,
        clock=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        clock_most=_ask(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        ecc=_is_on(_ask(pynvml.nvmlDeviceGetEccMode, handle)),
        mig=_is_on(_ask(pynvml.nvmlDeviceGetMigMode, handle)),
        capability=_ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle),
    )


def _ask(ask: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of NVML; None if the device does not support it."""
    try:
        return ask(*arguments)
    except ERRORS:
        return None


def _is_on(modes: Sequence[int] | None) -> bool | None:
    """Whether the current mode of (current, pending) is on."""
    return None if modes is None else bool(modes[0])


def _decode(value: str | bytes) -> str:
    """Text from NVML, which older bindings return as bytes."""
    return value.decode() if isinstance(value, bytes) else value
