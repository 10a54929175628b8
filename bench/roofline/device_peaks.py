"""What a device could do at most, as its maker says; nothing where that is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class Peak:
    """FLOP/s by precision, bytes/s of memory, and who says so."""

    flops: Mapping[str, float]
    memory: float | None
    source: str


def _gpu(source: str, memory: float, **teraflops: float) -> Peak:
    """Of tensor cores, dense: data sheets tell twice as much, with sparsity. fp32 is without them."""
    return Peak({precision: rate * TERA for precision, rate in teraflops.items()}, memory * TERA, f"NVIDIA, {source}")


H100, H200, A100, V100 = "H100 data sheet", "H200 data sheet", "A100 data sheet", "V100 data sheet"
SXM = {"fp32": 67, "tf32": 494.5, "bf16": 989, "fp16": 989}
NVL = {"fp32": 60, "tf32": 417.5, "bf16": 835, "fp16": 835}
AMPERE = {"fp32": 19.5, "tf32": 156, "bf16": 312, "fp16": 312}

#: By the name that NVML tells; memory's in 10^12 bytes/s.
GPUS: Mapping[str, Peak] = MappingProxyType(
    {
        "NVIDIA H100 80GB HBM3": _gpu(H100, 3.35, **SXM),
        "NVIDIA H100 PCIe": _gpu(H100, 2.0, fp32=51, tf32=378, bf16=756, fp16=756),
        "NVIDIA H100 NVL": _gpu(H100, 3.9, **NVL),
        "NVIDIA H200": _gpu(H200, 4.8, **SXM),
        "NVIDIA H200 NVL": _gpu(H200, 4.8, **NVL),
        "NVIDIA A100-SXM4-40GB": _gpu(A100, 1.555, **AMPERE),
        "NVIDIA A100-SXM4-80GB": _gpu(A100, 2.039, **AMPERE),
        "NVIDIA A100-PCIE-40GB": _gpu(A100, 1.555, **AMPERE),
        "NVIDIA A100 80GB PCIe": _gpu(A100, 1.935, **AMPERE),
        "NVIDIA A30": _gpu("A30 data sheet", 0.933, fp32=10.3, tf32=82, bf16=165, fp16=165),
        "NVIDIA A10": _gpu("A10 data sheet", 0.6, fp32=31.2, tf32=62.5, bf16=125, fp16=125),
        "NVIDIA L4": _gpu("L4 data sheet", 0.3, fp32=30.3, tf32=60, bf16=121, fp16=121),
        "NVIDIA L40S": _gpu("L40S data sheet", 0.864, fp32=91.6, tf32=183, bf16=362, fp16=362),
        "Tesla T4": _gpu("T4 data sheet", 0.32, fp32=8.1, fp16=65),
        "Tesla V100-SXM2-16GB": _gpu(V100, 0.9, fp32=15.7, fp16=125),
        "Tesla V100-SXM2-32GB": _gpu(V100, 0.9, fp32=15.7, fp16=125),
    }
)


@dataclass(frozen=True)
class Core:
    """What one core does in a cycle: a fused multiply-add is two operations.

    Attributes:
        models: of the family, that this is about.
        fp32, bf16: FLOP; 0 where it has no such instructions.
        bf16_flag: of the instructions that compute in bf16.
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
#: Those of which the maker tells how many units each core has, whatever it is sold as.
CORES = (
    Core("AuthenticAMD", 23, range(0x31, 0x100), 32, 0, _AMD.format("Zen 2", "two units of 256 bits")),
    Core("AuthenticAMD", 25, range(0x10), 32, 0, _AMD.format("Zen 3", "two units of 256 bits")),
    Core("AuthenticAMD", 25, range(0x10, 0x20), 32, 64, _AMD.format("Zen 4", "two units of 256 bits")),
    Core("AuthenticAMD", 26, range(0x20), 64, 128, _AMD.format("Zen 5", "two units of 512 bits")),
    Core("GenuineIntel", 6, range(106, 109), 64, 0, _INTEL.format("Ice Lake-SP")),
    Core(
        "GenuineIntel",
        6,
        range(143, 144),
        64,
        1024,
        _INTEL.format("Sapphire Rapids"),
        "amx_bf16",
    ),
    Core(
        "GenuineIntel",
        6,
        range(207, 208),
        64,
        1024,
        _INTEL.format("Emerald Rapids"),
        "amx_bf16",
    ),
)


def of_gpu(name: str) -> Peak | str:
    """Its peak, or why that is not known."""
    return GPUS.get(name, f"{name} is not in the table of GPUs (bench/roofline/device_peaks.py)")


def of_cpu(described: Mapping[str, str], flags: frozenset[str], cores: int, megahertz: float | None) -> Peak | str:
    """The peak of some cores at their highest clock, or why that is not known.

    Args:
        described: the processor in /proc/cpuinfo's words: `vendor_id`, `cpu family` and `model`.
        flags: the instructions that this process sees: a hypervisor may hide some.
        cores: physical ones that are used.
        megahertz: their highest clock; None or 0 where the system does not tell.
    """
    try:
        family, model = int(described["cpu family"]), int(described["model"])
    except (KeyError, ValueError):
        return "the system does not tell which CPU this is"
    known = [c for c in CORES if c.vendor == described.get("vendor_id") and c.family == family and model in c.models]
    if not known:
        return f"CPU family {family} model {model} is not in the table of CPUs (bench/roofline/device_peaks.py)"
    if not megahertz:
        return "the system does not tell the highest clock"
    (core,) = known
    cycles = cores * megahertz * 1e6
    # Where a hypervisor hides AVX-512, just half of such a core's width is in use.
    flops = {"fp32": (core.fp32 if core.fp32 <= 32 or "avx512f" in flags else core.fp32 / 2) * cycles}
    if core.bf16 and core.bf16_flag in flags:
        flops["bf16"] = core.bf16 * cycles
    return Peak(flops, None, f"{core.source}; {cores} cores at {megahertz / 1e3:.2f} GHz, the highest clock")
