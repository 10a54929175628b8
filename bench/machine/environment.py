"""The machine and the software that a run was measured on: what `environment.json` holds.

Nothing personal is in it: no host or user name, and of paths only the last part.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.machine import gpu

PROJECT = Path(__file__).resolve().parents[2]
CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
CORES = Path("/sys/devices/system/cpu")
GIB = 2**30

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "tensorflow",
    "keras",
    "keras-hub",
    "jax",
    "jaxlib",
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

#: Beginnings of the environment variables that change what a framework does, or how fast.
VARIABLES = (
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "GLIBC_TUNABLES",
    "GOMP_",
    "JAX_",
    "KERAS_",
    "KMP_",
    "LD_PRELOAD",
    "MALLOC_",
    "MKL_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTORCH_",
    "TF_",
    "TORCH_",
    "XLA_",
)

#: Not to be written down; TF_CLI_ and TF_VAR_ are Terraform's.
_PRIVATE = re.compile(r"TOKEN|SECRET|PASSWORD|KEY|^TF_(CLI|VAR)_")
_FOLDERS = re.compile(r"(?:[~.]{0,2}/)(?:[^/\s:;,=]+/)*(?=[^/\s:;,=]*)")


def environment() -> dict[str, object]:
    """The facts, JSON-ready, in less than half a second; what a platform does not tell is None.

    Memory is in bytes; `cpu.quota` is in CPUs, None where a control group sets none.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "memory": {"total": psutil.virtual_memory().total, "limit": memory_limit()},
        "system": {
            "name": platform.system(),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or None,
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        },
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
            "build": list(platform.python_build()),
        },
        "packages": packages(),
        "variables": variables(os.environ),
        "git": git(PROJECT),
        "gpus": [_without_uuid(device) for device in gpu.devices()],
    }


def fingerprint(about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What decides a figure beside the code, by the kind that `--allow` knows.

    Args:
        about: what `environment()` returns. Memory is rounded to GiB, because a virtual machine's varies.
    """
    cpu, system, python = about["cpu"], about["system"], about["python"]
    memory = about["memory"]["total"]
    return {
        "machine": {
            "CPU": cpu["model"],
            "CPU flags": hashlib.sha256(" ".join(cpu["flags"]).encode()).hexdigest()[:12],
            "usable cores": cpu["cores_usable"],
            "CPU quota": cpu["quota"],
            "governor": cpu["governor"],
            "huge pages": cpu["huge_pages"],
            "memory, GiB": round(memory / GIB) if memory else None,
            "system": f"{system['name']} {system['machine']}",
            "GPUs": ", ".join(str(gpu.get("name")) for gpu in about["gpus"]) or None,
        },
        "versions": {
            "Python": python["version"],
            "C library": system["libc"],
            "GPU driver": ", ".join(str(gpu.get("driver")) for gpu in about["gpus"]) or None,
            **{name: version for name, version in about["packages"].items() if version},
        },
        "variables": dict(about["variables"]),
    }


def cpu() -> dict[str, object]:
    """Model, flags, cores and what limits them. Reads /proc on Linux: asking py-cpuinfo takes seconds."""
    described = first_cpu()
    return {
        "model": described.get("model name") or platform.processor() or platform.machine(),
        # x86 calls them flags, ARM features.
        "flags": sorted((described.get("flags") or described.get("Features") or "").split()),
        "microcode": described.get("microcode"),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": usable_cores(),
        "quota": quota(),
        "governor": governor(),
        "huge_pages": _line(Path("/sys/kernel/mm/transparent_hugepage/enabled")),
    }


def governor() -> str | None:
    """What steers the first core's frequency; None where the system does not tell."""
    return _line(CORES / "cpu0/cpufreq/scaling_governor")


def usable_cores() -> int | None:
    """The CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count()


def packages() -> dict[str, str | None]:
    """Installed versions by name, from metadata: nothing is imported. None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that steer frameworks, every path cut to its last part, without secrets."""
    return {
        name: _FOLDERS.sub("…/", value)
        for name, value in sorted(environment.items())
        if name.startswith(VARIABLES) and not _PRIVATE.search(name)
    }


def git(project: Path) -> dict[str, object] | None:
    """Revision, its time, and whether tracked files differ from it; None outside a git checkout."""
    if not (project / ".git").exists():
        return None
    shown = _git(project, "show", "--no-patch", "--format=%H %cI", "HEAD")
    status = _git(project, "status", "--porcelain", "--untracked-files=no")
    if not shown or status is None:
        return None
    revision, time = shown.split()
    return {"revision": revision, "time": time, "dirty": bool(status)}


def _git(project: Path, *arguments: str) -> str | None:
    try:
        # Without optional locks, asking for the status leaves the index alone that others may be using.
        command = ["git", "--no-optional-locks", "-C", str(project), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _without_uuid(device: gpu.Gpu) -> dict[str, object]:
    return {name: value for name, value in asdict(device).items() if name != "uuid"}


def first_cpu() -> dict[str, str]:
    """The first processor in /proc/cpuinfo's words; empty where there is no such file."""
    if sys.platform != "linux":
        return {}
    lines = (_text(Path("/proc/cpuinfo")) or "").partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _groups() -> dict[str, str]:
    """Path of this process' control group, by controller; version 2 has the single controller ''."""
    lines = (_text(CGROUP) or "").splitlines()
    parts = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    return {controller: path for _, names, path in parts for controller in names.split(",")}


def _limits(controller: str, file: str, version_1: bool) -> list[str]:
    """What `file` says in this process' control group and all groups above it, stripped: the tightest holds."""
    return [text.strip() for text in _texts(controller, file, version_1)]


def _texts(controller: str, file: str, version_1: bool) -> list[str]:
    """`file` in this process' control group and all groups above it."""
    root = CGROUPS / (controller if version_1 else "")
    group = root / _groups().get(controller if version_1 else "", "/").lstrip("/")
    folders = [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    return [text for folder in folders if (text := _text(folder / file))]


def quota() -> float | None:
    """CPUs' worth of time that a control group grants (`cpu.max`, or version 1's quota and period)."""
    pairs = [line.split() for line in _limits("cpu", "cpu.max", version_1=False)]
    version_1 = (_limits("cpu", f"cpu.cfs_{part}_us", version_1=True) for part in ("quota", "period"))
    pairs += [list(pair) for pair in zip(*version_1, strict=False)]
    return min((int(q) / int(p) for q, p in pairs if q.isdecimal() and int(p)), default=None)


def memory_limit() -> int | None:
    """The tightest memory limit of a control group in bytes; version 1 says "none" by a number near 2**63."""
    lines = _limits("memory", "memory.max", version_1=False)
    lines += _limits("memory", "memory.limit_in_bytes", version_1=True)
    return min((int(line) for line in lines if line.isdecimal() and int(line) < 2**62), default=None)


def memory_used() -> int | None:
    """What this process' control group uses of its limit, in bytes, files that can be let go left out; None without."""
    for version_1, file in ((False, "memory.current"), (True, "memory.usage_in_bytes")):
        if sizes := _limits("memory", file, version_1):
            stat = _texts("memory", "memory.stat", version_1)
            cached = re.findall(r"^(?:total_)?inactive_file (\d+)$", stat[0] if stat else "", re.M)
            return max(0, int(sizes[0]) - (int(cached[-1]) if cached else 0))
    return None


def out_of_memory_kills() -> int:
    """Processes of this control group that the kernel has killed because memory ran out; 0 where it does not tell."""
    lines = _texts("memory", "memory.events", version_1=False) + _texts("memory", "memory.oom_control", version_1=True)
    return max((int(count) for text in lines for count in re.findall(r"^oom_kill (\d+)$", text, re.M)), default=0)


def throttled_periods() -> int | None:
    """Periods in which this control group's CPU quota was used up, since it began; None where there is no quota."""
    texts = _texts("cpu", "cpu.stat", version_1=False) + _texts("cpu", "cpu.stat", version_1=True)
    return max((int(n) for text in texts for n in re.findall(r"^nr_throttled (\d+)$", text, re.M)), default=None)


def thermal_events() -> int | None:
    """Times that a core was slowed down because of its heat, since the start; None where the system does not tell."""
    lines = [_line(path) for path in CORES.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return sum(int(line) for line in lines if line) if lines else None


def _line(path: Path) -> str | None:
    text = _text(path)
    return text.strip() if text is not None else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
