"""Whether this machine has what the values of knobs need (`backends.knobs.NEEDS`)."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from bench.machine import gpu

#: Flags of CPUs with bfloat16 instructions; other CPUs emulate it, many times slower.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
CPUINFO = Path("/proc/cpuinfo")
#: Compilers that `torch.compile` can use, by kind of device. On a GPU it is for the code that launches Triton's
#: kernels, see `triton/runtime/build.py`.
COMPILERS = {"cpu": ("g++", "clang++", "c++"), "cuda": ("gcc", "clang", "cc")}
#: Compute capability from which a GPU computes in bfloat16 and TensorFloat-32 (CUDA C++ programming guide, "Compute
#: Capabilities": Ampere, 8.0).
AMPERE = (8, 0)
#: The first version whose allocator can ask for huge pages.
GLIBC = (2, 35)
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def explain_missing_bf16(device: str) -> str | None:
    """Explain why a device cannot compute in bfloat16; None if it can."""
    if device != "cpu":
        return _explain_too_old(device, "bfloat16")
    try:
        flags = next((line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = ""
    if BF16_FLAGS & set(flags.partition(":")[2].split()):
        return None
    return f"this CPU has no bfloat16 ({', '.join(sorted(BF16_FLAGS))} are missing): use precision fp32"


def explain_missing_tf32(device: str) -> str | None:
    """Explain why a device cannot compute in TensorFloat-32; None if it can."""
    return "TF32 needs a GPU: use --device cuda" if device == "cpu" else _explain_too_old(device, "TF32")


def explain_missing_compiler(device: str) -> str | None:
    """Explain why `torch.compile` cannot compile for a device; None if it can."""
    kind = device.partition(":")[0]
    if any(shutil.which(name) for name in COMPILERS[kind]):
        return None
    language, install = {"cpu": ("C++", "g++"), "cuda": ("C", "gcc")}[kind]
    names = ", ".join(COMPILERS[kind])
    return f"torch.compile needs a {language} compiler, and there is none ({names}): install {install}"


def explain_missing_gpu(device: str) -> str | None:
    """Explain that a GPU is needed; None on a GPU."""
    return "no GPU: use --device cuda" if device == "cpu" else None


def explain_missing_library(name: str, package: str) -> str | None:
    """Explain why an allocator's library cannot be preloaded; None if it can."""
    if find_library(name):
        return None
    return f"lib{name} is not installed: apt-get install {package}, or your system's package"


def explain_missing_huge_pages(device: str) -> str | None:
    """Explain why the C library cannot ask for huge pages; None if it can (glibc 2.35: news, glibc.malloc.hugetlb)."""
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        return f"huge pages need glibc {'.'.join(map(str, GLIBC))}, and this is {name} {version}: use allocator system"
    try:
        setting = re.findall(r"\[(\w+)\]", HUGE_PAGES.read_text())
    except OSError:
        setting = []
    if setting in (["madvise"], ["always"]):
        return None
    return f"the kernel provides no huge pages ({HUGE_PAGES} is {' '.join(setting) or 'missing'}): set it to madvise"


#: The check of each need: it takes a device of this machine, and returns None or why the device lacks it.
SUPPORT_CHECKS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "gpu": explain_missing_gpu,
        "tf32": explain_missing_tf32,
        "bf16": explain_missing_bf16,
        "compiler": explain_missing_compiler,
        "grain": lambda device: None if find_spec("grain") else "Grain is not installed: pip install grain",
        "jemalloc": lambda device: explain_missing_library("jemalloc", "libjemalloc2"),
        "tcmalloc": lambda device: explain_missing_library("tcmalloc_minimal", "libtcmalloc-minimal4"),
        "hugepages": explain_missing_huge_pages,
    }
)
#: The needs that one device of a machine may meet and another not.
DEVICE_NEEDS = frozenset({"tf32", "bf16", "compiler"})


def _explain_too_old(device: str, what: str) -> str | None:
    found = gpu.find_device(device)
    if found is None or found.capability is None or found.capability >= AMPERE:
        return None
    major, minor = found.capability
    return f"{found.name} has no {what} (compute capability {major}.{minor}, 8.0 is needed): use precision fp32"
