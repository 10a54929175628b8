"""The bound of steps whose bound is known, and the theoretical peaks of known and unknown devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.roofline import device_peaks
from bench.roofline.bound import StepSeconds, decide_bound

#: A step of 10 ms that does not wait for input, with 9 ms of convolutions that arithmetic limits.
COMPUTE = StepSeconds(
    pipeline=0.010,
    compute=0.010,
    loader=0.001,
    convolutions=0.009,
    arithmetic=0.007,
    traffic=0.001,
    dispatch=0.0001,
    between=0.0005,
)


@pytest.mark.parametrize(
    ("bound", "change"),
    [
        ("compute", {}),
        ("memory", {"arithmetic": 0.001, "traffic": 0.007}),
        ("memory", {"convolutions": 0.004, "arithmetic": 0.004, "between": 0.006}),
        ("overhead", {"convolutions": 0.003, "arithmetic": 0.003}),
        ("overhead", {"arithmetic": 0.0005, "traffic": 0.0005, "dispatch": 0.008}),
        ("input", {"compute": 0.008, "convolutions": 0.007, "loader": 0.009}),
        ("input", {"compute": 0.004, "convolutions": 0.0035, "loader": 0.005}),
        ("compute", {"compute": 0.0085, "convolutions": 0.008, "loader": 0.004}),
        ("compute", {"compute": 0.0095, "loader": 0.0099}),
        ("compute", {"compute": 0.011}),
        ("overhead", {"convolutions": 0.0, "arithmetic": 0.0, "traffic": 0.0, "between": 0.0, "dispatch": 0.0}),
    ],
)
def test_the_bound_is_what_takes_most_of_the_time(bound, change):
    decided = decide_bound(replace(COMPUTE, **change))
    assert decided.name == bound, decided
    assert sum(decided.shares.values()) == pytest.approx(1)
    assert min(decided.shares.values()) >= 0


def test_dispatch_within_convolutions_counts_no_further_than_they_exceed_their_limits():
    decided = decide_bound(replace(COMPUTE, dispatch=1.0))
    assert decided.shares["overhead"] == pytest.approx(0.1 + 0.05, abs=1e-9), "9 ms of 8, and 0.5 ms between"
    assert decided.name == "compute"


EPYC = {"vendor_id": "AuthenticAMD", "cpu family": "26", "model": "2"}
XEON = {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "143"}


def test_a_cpus_peak_is_its_cores_times_its_clock_times_its_width():
    peak = device_peaks.compute_cpu_peak(EPYC, frozenset({"avx512f", "avx512_bf16"}), 2, 4000.0)
    assert peak.flops == {"fp32": 2 * 4e9 * 64, "bf16": 2 * 4e9 * 128}
    assert "2 cores at 4.00 GHz" in peak.source
    assert device_peaks.compute_cpu_peak(EPYC, frozenset(), 2, 4000.0).flops == {"fp32": 2 * 4e9 * 32}
    assert (
        device_peaks.compute_cpu_peak(XEON, frozenset({"avx512f", "amx_bf16"}), 1, 3000.0).flops["bf16"] == 3e9 * 1024
    )


@pytest.mark.parametrize(
    ("described", "megahertz", "why"),
    [
        (EPYC, None, "does not report the highest clock"),
        (EPYC, 0.0, "does not report the highest clock"),
        ({**EPYC, "cpu family": "99"}, 4000.0, "CPU family 99 model 2 is not in the table"),
        ({}, 4000.0, "does not report which CPU"),
    ],
)
def test_an_unknown_peak_has_a_reason(described, megahertz, why):
    assert why in device_peaks.compute_cpu_peak(described, frozenset(), 2, megahertz)
    assert "is not in the table of GPUs" in device_peaks.find_gpu_peak("NVIDIA Imaginary 9000")


def test_a_gpus_peak_is_found_by_its_name():
    assert device_peaks.find_gpu_peak("NVIDIA H100 80GB HBM3").flops["bf16"] == 989e12
    assert "bf16" not in device_peaks.find_gpu_peak("Tesla T4").flops
