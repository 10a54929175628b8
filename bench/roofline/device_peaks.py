"""The theoretical peaks of devices, by their makers' documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class Peak:
    """A theoretical peak.

    Attributes:
        flops: FLOP/s by precision.
        memory: bytes per second; None if it is not known.
        source: the maker's document.
    """

    flops: Mapping[str, float]
    memory: float | None
    source: str


def _make_gpu_peak(source: str, memory: float, **teraflops: float) -> Peak:
    """A GPU's peak, in 10^12 bytes and FLOP per second.

    The FLOP/s are dense ones of the tensor cores; data sheets give twice as much, with sparsity. Those of fp32 are
    without tensor cores.
    """
    return Peak({precision: rate * TERA for precision, rate in teraflops.items()}, memory * TERA, f"NVIDIA, {source}")


H100, H200, A100, V100 = "H100 data sheet", "H200 data sheet", "A100 data sheet", "V100 data sheet"
SXM = {"fp32": 67, "tf32": 494.5, "bf16": 989, "fp16": 989}
NVL = {"fp32": 60, "tf32": 417.5, "bf16": 835, "fp16": 835}
AMPERE = {"fp32": 19.5, "tf32": 156, "bf16": 312, "fp16": 312}

#: By the name that NVML gives.
GPUS: Mapping[str, Peak] = MappingProxyType(
    {
        "NVIDIA H100 80GB HBM3": _make_gpu_peak(H100, 3.35, **SXM),
        "NVIDIA H100 PCIe": _make_gpu_peak(H100, 2.0, fp32=51, tf32=378, bf16=756, fp16=756),
        "NVIDIA H100 NVL": _make_gpu_peak(H100, 3.9, **NVL),
        "NVIDIA H200": _make_gpu_peak(H200, 4.8, **SXM),
        "NVIDIA H200 NVL": _make_gpu_peak(H200, 4.8, **NVL),
        "NVIDIA A100-SXM4-40GB": _make_gpu_peak(A100, 1.555, **AMPERE),
        "NVIDIA A100-SXM4-80GB": _make_gpu_peak(A100, 2.039, **AMPERE),
        "NVIDIA A100-PCIE-40GB": _make_gpu_peak(A100, 1.555, **AMPERE),
        "NVIDIA A100 80GB PCIe": _make_gpu_peak(A100, 1.935, **AMPERE),
        "NVIDIA A30": _make_gpu_peak("A30 data sheet", 0.933, fp32=10.3, tf32=82, bf16=165, fp16=165),
        "NVIDIA A10": _make_gpu_peak("A10 data sheet", 0.6, fp32=31.2, tf32=62.5, bf16=125, fp16=125),
        "NVIDIA L4": _make_gpu_peak("L4 data sheet", 0.3, fp32=30.3, tf32=60, bf16=121, fp16=121),
        "NVIDIA L40S": _make_gpu_peak("L40S data sheet", 0.864, fp32=91.6, tf32=183, bf16=362, fp16=362),
        "Tesla T4": _make_gpu_peak("T4 data sheet", 0.32, fp32=8.1, fp16=65),
        "Tesla V100-SXM2-16GB": _make_gpu_peak(V100, 0.9, fp32=15.7, fp16=125),
        "Tesla V100-SXM2-32GB": _make_gpu_peak(V100, 0.9, fp32=15.7, fp16=125),
    }
)


@dataclass(frozen=True)
class CpuCore:
    """What one core does per cycle; a fused multiply-add is two operations.

    Attributes:
        models: the models of the family that have this core.
        fp32, bf16: FLOP per cycle; 0 if it has no instructions in this precision.
        bf16_flag: the flag in /proc/cpuinfo of its bf16 instructions.
    """

    vendor: str
    family: int
    models: range
    fp32: int
    bf16: int
    source: str
    bf16_flag: str = "avx512_bf16"


_AMD = "AMD, Software Optimization Guide for {}: {}"
_INTEL = "Intel, Optimization Reference Manual: {}, two units of 512 bits"
#: Cores of which the maker documents the number of units for all products.
CPU_CORES = (
    CpuCore("AuthenticAMD", 23, range(0x31, 0x100), 32, 0, _AMD.format("Zen 2", "two units of 256 bits")),
    CpuCore("AuthenticAMD", 25, range(0x10), 32, 0, _AMD.format("Zen 3", "two units of 256 bits")),
    CpuCore("AuthenticAMD", 25, range(0x10, 0x20), 32, 64, _AMD.format("Zen 4", "two units of 256 bits")),
    CpuCore("AuthenticAMD", 26, range(0x20), 64, 128, _AMD.format("Zen 5", "two units of 512 bits")),
    CpuCore("GenuineIntel", 6, range(106, 109), 64, 0, _INTEL.format("Ice Lake-SP")),
    CpuCore(
        "GenuineIntel",
        6,
        range(143, 144),
        64,
        1024,
        _INTEL.format("Sapphire Rapids"),
        "amx_bf16",
    ),
    CpuCore(
        "GenuineIntel",
        6,
        range(207, 208),
        64,
        1024,
        _INTEL.format("Emerald Rapids"),
        "amx_bf16",
    ),
)


def find_gpu_peak(name: str) -> Peak | str:
    """Find the peak of a GPU by its name; if it is not known, say why."""
    return GPUS.get(name, f"{name} is not in the table of GPUs (bench/roofline/device_peaks.py)")


def compute_cpu_peak(
    described: Mapping[str, str], flags: frozenset[str], cores: int, megahertz: float | None
) -> Peak | str:
    """Compute the peak of some CPU cores at their highest clock; if it is not known, say why.

    Args:
        described: the processor by fields of /proc/cpuinfo: `vendor_id`, `cpu family` and `model`.
        flags: of /proc/cpuinfo; a hypervisor may hide some.
        cores: number of physical cores that are used.
        megahertz: their highest clock; None or 0 if the system does not report it.
    """
    try:
        family, model = int(described["cpu family"]), int(described["model"])
    except (KeyError, ValueError):
        return "the system does not report which CPU this is"
    known = [
        c for c in CPU_CORES if c.vendor == described.get("vendor_id") and c.family == family and model in c.models
    ]
    if not known:
        return f"CPU family {family} model {model} is not in the table of CPUs (bench/roofline/device_peaks.py)"
    if not megahertz:
        return "the system does not report the highest clock"
    (core,) = known
    cycles = cores * megahertz * 1e6
    # Where a hypervisor hides AVX-512, a core of 512 bits uses half of its width.
    flops = {"fp32": (core.fp32 if core.fp32 <= 32 or "avx512f" in flags else core.fp32 / 2) * cycles}
    if core.bf16 and core.bf16_flag in flags:
        flops["bf16"] = core.bf16 * cycles
    return Peak(flops, None, f"{core.source}; {cores} cores at {megahertz / 1e3:.2f} GHz, the highest clock")
