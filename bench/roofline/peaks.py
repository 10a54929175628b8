"""What a device could do at most, as its maker says; nothing where that is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class Peak:
    """FLOP/s by precision (fp32 without TensorFloat-32, bf16 dense), bytes/s of memory, and who says so."""

    flops: Mapping[str, float]
    memory: float | None
    source: str


def _gpu(fp32: float, bf16: float | None, memory: float, source: str) -> Peak:
    flops = {"fp32": fp32 * TERA, **({"bf16": bf16 * TERA} if bf16 else {})}
    return Peak(flops, memory * TERA, f"NVIDIA, {source}")


H100, H200, A100 = "H100 data sheet", "H200 data sheet", "A100 data sheet"
ADA = "Ada GPU architecture whitepaper"

#: By the name that NVML tells. Data sheets count tensor cores with sparsity, which is twice the dense figure here.
GPUS: Mapping[str, Peak] = MappingProxyType(
    {
        "NVIDIA H100 80GB HBM3": _gpu(67, 989, 3.35, H100),
        "NVIDIA H100 PCIe": _gpu(51, 756, 2.0, H100),
        "NVIDIA H100 NVL": _gpu(60, 835, 3.9, H100),
        "NVIDIA H200": _gpu(67, 989, 4.8, H200),
        "NVIDIA H200 NVL": _gpu(60, 835, 4.8, H200),
        "NVIDIA A100-SXM4-40GB": _gpu(19.5, 312, 1.555, A100),
        "NVIDIA A100-SXM4-80GB": _gpu(19.5, 312, 2.039, A100),
        "NVIDIA A100-PCIE-40GB": _gpu(19.5, 312, 1.555, A100),
        "NVIDIA A100 80GB PCIe": _gpu(19.5, 312, 1.935, A100),
        "NVIDIA A30": _gpu(10.3, 165, 0.933, "A30 data sheet"),
        "NVIDIA A10": _gpu(31.2, 125, 0.6, "A10 data sheet"),
        "NVIDIA L4": _gpu(30.3, 121, 0.3, "L4 data sheet"),
        "NVIDIA L40S": _gpu(91.6, 362, 0.864, "L40S data sheet"),
        "NVIDIA GeForce RTX 4090": _gpu(82.6, 165.2, 1.008, ADA),
        "Tesla T4": _gpu(8.1, None, 0.32, "T4 data sheet"),
        "Tesla V100-SXM2-16GB": _gpu(15.7, None, 0.9, "V100 data sheet"),
        "Tesla V100-SXM2-32GB": _gpu(15.7, None, 0.9, "V100 data sheet"),
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
    return GPUS.get(name, f"{name} is not in the table of GPUs (bench/roofline/peaks.py)")


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
        return f"CPU family {family} model {model} is not in the table of CPUs (bench/roofline/peaks.py)"
    if not megahertz:
        return "the system does not tell the highest clock"
    (core,) = known
    cycles = cores * megahertz * 1e6
    # Where a hypervisor hides AVX-512, just half of such a core's width is in use.
    flops = {"fp32": (core.fp32 if core.fp32 <= 32 or "avx512f" in flags else core.fp32 / 2) * cycles}
    if core.bf16 and core.bf16_flag in flags:
        flops["bf16"] = core.bf16 * cycles
    return Peak(flops, None, f"{core.source}; {cores} cores at {megahertz / 1e3:.2f} GHz, the highest clock")
