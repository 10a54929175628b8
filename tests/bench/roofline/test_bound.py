"""What bounds a case, on steps of which that is known; and peaks that are known, or said not to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.roofline import device_peaks
from bench.roofline.bound import Seconds, decide

#: A step of 10 ms, 9 of them in convolutions that arithmetic limits, and nothing waits.
COMPUTE = Seconds(
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
def test_the_bound_is_what_takes_the_time(bound, change):
    found = decide(replace(COMPUTE, **change))
    assert found.name == bound, found
    assert sum(found.shares.values()) == pytest.approx(1)
    assert min(found.shares.values()) >= 0


def test_dispatch_within_convolutions_counts_no_further_than_they_exceed_their_limits():
    found = decide(replace(COMPUTE, dispatch=1.0))
    assert found.shares["overhead"] == pytest.approx(0.1 + 0.05, abs=1e-9), "9 ms of 8, and 0.5 ms between"
    assert found.name == "compute"


EPYC = {"vendor_id": "AuthenticAMD", "cpu family": "26", "model": "2"}
XEON = {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "143"}


def test_a_cpus_peak_is_its_cores_times_its_clock_times_its_width():
    peak = device_peaks.of_cpu(EPYC, frozenset({"avx512f", "avx512_bf16"}), 2, 4000.0)
    assert peak.flops == {"fp32": 2 * 4e9 * 64, "bf16": 2 * 4e9 * 128}
    assert "2 cores at 4.00 GHz" in peak.source
    assert device_peaks.of_cpu(EPYC, frozenset(), 2, 4000.0).flops == {"fp32": 2 * 4e9 * 32}
    assert device_peaks.of_cpu(XEON, frozenset({"avx512f", "amx_bf16"}), 1, 3000.0).flops["bf16"] == 3e9 * 1024


@pytest.mark.parametrize(
    ("described", "megahertz", "why"),
    [
        (EPYC, None, "does not tell the highest clock"),
        (EPYC, 0.0, "does not tell the highest clock"),
        ({**EPYC, "cpu family": "99"}, 4000.0, "CPU family 99 model 2 is not in the table"),
        ({}, 4000.0, "does not tell which CPU"),
    ],
)
def test_a_peak_that_is_not_known_is_said_not_to_be(described, megahertz, why):
    assert why in device_peaks.of_cpu(described, frozenset(), 2, megahertz)
    assert "is not in the table of GPUs" in device_peaks.of_gpu("NVIDIA Imaginary 9000")


def test_a_gpus_peak_is_found_by_its_name():
    assert device_peaks.of_gpu("NVIDIA H100 80GB HBM3").flops["bf16"] == 989e12
    assert "bf16" not in device_peaks.of_gpu("Tesla T4").flops
