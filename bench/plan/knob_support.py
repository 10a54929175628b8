"""What knobs need of a machine (`backends.knobs.NEEDS`), and whether this one has it."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from pathlib import Path
from types import MappingProxyType

from bench.machine import gpu

#: Flags of CPUs that compute in bfloat16; others emulate it, many times slower.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
CPUINFO = Path("/proc/cpuinfo")
#: For code of the CPU; for what launches Triton's kernels, see its `triton/runtime/build.py`.
COMPILERS = {"cpu": ("g++", "clang++", "c++"), "cuda": ("gcc", "clang", "cc")}
#: Compute capability from which a GPU computes in bfloat16 and TensorFloat-32 (CUDA C++ programming guide, "Compute
#: Capabilities": Ampere, 8.0).
AMPERE = (8, 0)
#: Since this version its allocator can ask for huge pages.
GLIBC = (2, 35)
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def bf16_missing(device: str) -> str | None:
    """Why a device does not compute in bfloat16; None where it does."""
    if device != "cpu":
        return _older_than_ampere(device, "bfloat16")
    try:
        flags = next((line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = ""
    if BF16_FLAGS & set(flags.partition(":")[2].split()):
        return None
    return f"this CPU has no bfloat16 ({', '.join(sorted(BF16_FLAGS))} are missing): use precision fp32"


def tf32_missing(device: str) -> str | None:
    """Why a device does not compute in TensorFloat-32; None where it does."""
    return "TF32 needs a GPU: use --device cuda" if device == "cpu" else _older_than_ampere(device, "TF32")


def compiler_missing(device: str) -> str | None:
    """Why `torch.compile` cannot work on a device; None where it can."""
    kind = device.partition(":")[0]
    if any(shutil.which(name) for name in COMPILERS[kind]):
        return None
    language, install = {"cpu": ("C++", "g++"), "cuda": ("C", "gcc")}[kind]
    tried = ", ".join(COMPILERS[kind])
    return f"torch.compile needs a {language} compiler, and there is none ({tried}): install {install}"


def gpu_missing(device: str) -> str | None:
    """That it takes a GPU; None on one."""
    return "no GPU: use --device cuda" if device == "cpu" else None


def library_missing(name: str, package: str) -> str | None:
    """Why an allocator cannot be preloaded; None where it can."""
    if find_library(name):
        return None
    return f"lib{name} is not installed: apt-get install {package} (or your system's package of it)"


def hugepages_missing(device: str) -> str | None:
    """Why the C library cannot ask for huge pages; None where it can (glibc 2.35: news, glibc.malloc.hugetlb)."""
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        return f"huge pages need glibc {'.'.join(map(str, GLIBC))}, this is {name} {version}: use allocator system"
    try:
        setting = re.findall(r"\[(\w+)\]", HUGE_PAGES.read_text())
    except OSError:
        setting = []
    if setting in (["madvise"], ["always"]):
        return None
    return f"the kernel gives no huge pages ({HUGE_PAGES} is {' '.join(setting) or 'missing'}): set it to madvise"


#: What tells whether a device of this machine has what a knob's value needs: None, or why it has not.
MISSING: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "gpu": gpu_missing,
        "tf32": tf32_missing,
        "bf16": bf16_missing,
        "compiler": compiler_missing,
        "jemalloc": lambda device: library_missing("jemalloc", "libjemalloc2"),
        "tcmalloc": lambda device: library_missing("tcmalloc_minimal", "libtcmalloc-minimal4"),
        "hugepages": hugepages_missing,
    }
)
#: Those of them that one device may have and another not.
OF_A_DEVICE = frozenset({"tf32", "bf16", "compiler"})


def _older_than_ampere(device: str, what: str) -> str | None:
    found = gpu.check_device(device)
    if found is None or found.capability is None or found.capability >= AMPERE:
        return None
    major, minor = found.capability
    return f"{found.name} has no {what} (compute capability {major}.{minor}, 8.0 is needed): use precision fp32"
