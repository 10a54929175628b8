"""The description of machine and software in a run's `environment.json`.

It has nothing personal: no host or user name, and only the last part of paths.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil

import backends
from bench.errors import UserError
from bench.machine import gpu
from bench.machine.backend_packages import read_version
from bench.machine.git import TIMEOUT_SECONDS, run_git
from bench.machine.keras_configuration import read_keras_configuration
from bench.machine.system_reading import try_read
from bench.machine.variables import find_disobeyed, is_recorded, make_worker_variables
from bench.records.private_paths import shorten_list, shorten_paths

PROJECT = Path(__file__).resolve().parents[2]
CGROUP_FILE = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")
CORES_FOLDER = Path("/sys/devices/system/cpu")

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "tensorflow",
    "keras",
    "keras-hub",
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "flax",
    "optax",
    "grain",
    "pytorch-lightning",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
    "pydantic",
    "pytest",
    "pytest-benchmark",
    "safetensors",
    "psutil",
    "nvidia-ml-py",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "triton",
)

#: Variables that may contain secrets, which are left out; TF_CLI_ and TF_VAR_ are Terraform's.
_SECRETS = re.compile(r"TOKEN|SECRET|PASSWORD|KEY|^TF_(CLI|VAR)_")


def describe_environment(threads: int | None = None, say: Callable[[str], object] | None = None) -> dict[str, object]:
    """Describe the machine and the software, JSON-ready, in less than half a second; None for what is not known.

    Memory is in bytes; `cpu.quota` is in CPUs, None without a quota of a control group. `variables` are those of the
    workers: knobs of a variant may set others in addition. `keras_configuration` is the user's, which no worker reads.

    Args:
        threads: of an operation; by default, those of `choose_threads`.
        say: called with a line if the revision of a git checkout cannot be recorded.
    """
    threads = threads or choose_threads(os.environ).number
    memory = try_read(psutil.virtual_memory)
    load = try_read(lambda: os.getloadavg())
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": describe_cpu(),
        "memory": {"total": memory.total if memory else None, "limit": read_memory_limit()},
        "system": {
            "name": platform.system(),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or None,
            "load_average": list(load) if load else None,
        },
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
            "build": list(platform.python_build()),
        },
        "packages": list_packages(),
        "variables": list_variables(make_worker_variables(os.environ, threads)),
        "keras_configuration": read_keras_configuration(os.environ),
        "git": describe_git(PROJECT, say),
        "gpus": [_describe_gpu(device) for device in gpu.list_devices()],
    }


def describe_cpu() -> dict[str, object]:
    """Describe the CPU: model, flags, cores and their limits. On Linux from /proc, because py-cpuinfo takes seconds."""
    described = read_first_cpu()
    return {
        "model": described.get("model name") or platform.processor() or platform.machine(),
        # x86 calls them flags, ARM features.
        "flags": sorted((described.get("flags") or described.get("Features") or "").split()),
        "microcode": described.get("microcode"),
        "cores_physical": try_read(lambda: psutil.cpu_count(logical=False)),
        "cores_logical": try_read(psutil.cpu_count),
        "cores_usable": count_usable_cores(),
        "quota": read_cpu_quota(),
        "governor": read_governor(),
        "huge_pages": _read_line(Path("/sys/kernel/mm/transparent_hugepage/enabled")),
    }


def read_governor() -> str | None:
    """Read the frequency governor of the first core; None if the system does not report it."""
    return _read_line(CORES_FOLDER / "cpu0/cpufreq/scaling_governor")


def count_usable_cores() -> int | None:
    """Count the CPUs that this process may run on."""
    return try_read(lambda: len(os.sched_getaffinity(0))) or try_read(psutil.cpu_count)


class Threads(NamedTuple):
    """The threads of an operation, and why it is not all usable cores; None if it is."""

    number: int
    reason: str | None


def choose_threads(environment: Mapping[str, str]) -> Threads:
    """Choose the number of threads where the user has not: OMP_NUM_THREADS, the CPU quota, or all usable cores.

    A quota is rounded down, because a thread more would use it up and then all threads would wait.
    """
    cores = count_usable_cores() or 1
    first, *_ = environment.get("OMP_NUM_THREADS", "").split(",")  # the other numbers are those of nested regions
    if first.strip().isdecimal() and int(first):
        return Threads(int(first), "OMP_NUM_THREADS")
    quota = read_cpu_quota()
    if quota is not None and max(1, int(quota)) < cores:
        return Threads(max(1, int(quota)), f"the CPU quota of {quota:g}")
    return Threads(cores, None)


def list_packages() -> dict[str, str | None]:
    """Installed versions by name, from metadata, without an import; None for a package that is not installed.

    They are `PACKAGES`, and what brings backends of other packages, with what these say that they were tried with.
    """
    others = [entry for entry in backends.REGISTRY.values() if entry.distribution]
    names = [name for entry in others for name in (entry.distribution, *entry.versions)]
    return {name: read_version(name) for name in dict.fromkeys((*PACKAGES, *names))}


def list_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a worker that figures depend on, without secrets, with only the last part of every path."""
    return {
        name: shorten_list(value)
        for name, value in sorted(environment.items())
        if is_recorded(name) and not _SECRETS.search(name)
    }


def list_disobeyed_variables(outside: Mapping[str, str], worker: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The user's variables that a worker does not have as they are, without secrets: the value outside, and its own."""
    return {
        name: (shorten_list(outside[name]), shorten_list(worker.get(name, "not set")))
        for name in find_disobeyed(outside, worker)
        if not _SECRETS.search(name)
    }


def describe_git(project: Path, say: Callable[[str], object] | None = None) -> dict[str, object] | None:
    """Revision, its time, and whether tracked files differ from it; only the `problem` if git fails.

    None outside a git checkout.

    Args:
        project: the top folder of the checkout.
        say: called with a line if git fails.
    """
    if not (project / ".git").exists():
        return None
    options = ("--porcelain", "--no-renames", "--untracked-files=no", "--ignore-submodules=none")
    try:
        shown = run_git(project, "rev-list", "--max-count=1", "--format=%H %cI", "HEAD", timeout=TIMEOUT_SECONDS)
        status = run_git(project, "status", *options, timeout=TIMEOUT_SECONDS)
    except UserError as error:
        if say is not None:
            say(f"The git revision is not recorded: {error}")
        return {"problem": shorten_paths(str(error))}
    revision, time = shown.splitlines()[-1].split()  # the line before it is for programs
    return {"revision": revision, "time": time, "dirty": bool(status)}


def _describe_gpu(device: gpu.Gpu) -> dict[str, object]:
    return {name: value for name, value in asdict(device).items() if name != "uuid"}


def read_first_cpu() -> dict[str, str]:
    """Read the fields of the first processor in /proc/cpuinfo; empty without this file."""
    if sys.platform != "linux":
        return {}
    lines = (_read_text(Path("/proc/cpuinfo")) or "").partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _read_cgroups() -> dict[str, str]:
    """The path of this process' control group, by controller; version 2 has only the controller ''."""
    lines = (_read_text(CGROUP_FILE) or "").splitlines()
    parts = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    return {controller: path for _, names, path in parts for controller in names.split(",")}


def _read_limits(controller: str, file: str, version_1: bool) -> list[str]:
    """The stripped content of `file` in this process' control group and all groups above it; the lowest applies."""
    return [text.strip() for text in _read_cgroup_files(controller, file, version_1)]


def _read_cgroup_files(controller: str, file: str, version_1: bool) -> list[str]:
    """The content of `file` in this process' control group and all groups above it."""
    root = CGROUP_ROOT / (controller if version_1 else "")
    group = root / _read_cgroups().get(controller if version_1 else "", "/").lstrip("/")
    folders = [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    return [text for folder in folders if (text := _read_text(folder / file))]


def read_cpu_quota() -> float | None:
    """The CPU quota of the control group, in CPUs (`cpu.max`, or version 1's quota and period); None without one."""
    pairs = [line.split() for line in _read_limits("cpu", "cpu.max", version_1=False)]
    version_1 = (_read_limits("cpu", f"cpu.cfs_{part}_us", version_1=True) for part in ("quota", "period"))
    pairs += [list(pair) for pair in zip(*version_1, strict=False)]
    return min((int(q) / int(p) for q, p in pairs if q.isdecimal() and int(p)), default=None)


def read_memory_limit() -> int | None:
    """The lowest memory limit of the control groups in bytes; version 1 writes a number near 2**63 for "no limit"."""
    lines = _read_limits("memory", "memory.max", version_1=False)
    lines += _read_limits("memory", "memory.limit_in_bytes", version_1=True)
    return min((int(line) for line in lines if line.isdecimal() and int(line) < 2**62), default=None)


def read_memory_used() -> int | None:
    """The memory that this process' control group uses of its limit, in bytes, without file pages that can be freed.

    None without a control group.
    """
    for version_1, file in ((False, "memory.current"), (True, "memory.usage_in_bytes")):
        if sizes := _read_limits("memory", file, version_1):
            stat = _read_cgroup_files("memory", "memory.stat", version_1)
            cached = re.findall(r"^(?:total_)?inactive_file (\d+)$", stat[0] if stat else "", re.M)
            return max(0, int(sizes[0]) - (int(cached[-1]) if cached else 0))
    return None


def count_out_of_memory_kills() -> int:
    """Count the processes of this control group that the kernel has killed for lack of memory; 0 if it is not known."""
    lines = _read_cgroup_files("memory", "memory.events", version_1=False) + _read_cgroup_files(
        "memory", "memory.oom_control", version_1=True
    )
    return max((int(count) for text in lines for count in re.findall(r"^oom_kill (\d+)$", text, re.M)), default=0)


def count_throttled_periods() -> int | None:
    """Count the periods in which this control group has used up its CPU quota; None without a quota."""
    texts = _read_cgroup_files("cpu", "cpu.stat", version_1=False) + _read_cgroup_files(
        "cpu", "cpu.stat", version_1=True
    )
    return max((int(n) for text in texts for n in re.findall(r"^nr_throttled (\d+)$", text, re.M)), default=None)


def count_thermal_events() -> int | None:
    """Count how often a core was slowed down because of heat, since the boot; None if the system does not report it."""
    lines = [_read_line(path) for path in CORES_FOLDER.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return sum(int(line) for line in lines if line) if lines else None


def _read_line(path: Path) -> str | None:
    text = _read_text(path)
    return text.strip() if text is not None else None


def _read_text(path: Path) -> str | None:
    return try_read(lambda: path.read_text(encoding="utf-8", errors="replace"))
