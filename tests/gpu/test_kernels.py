"""PyTorch's kernels on a GPU: they wait for the device, so that none is faster than can be, and its profiler sees them.

`python -m pytest tests/gpu -m gpu`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.values import Event
from bench.analysis.profiler_trace import sum_up_operations, to_chrome_trace
from bench.machine import gpu
from bench.roofline import device_peaks
from bench.roofline.device_peaks import Peak

PROJECT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not gpu.list_visible(gpu.list_devices(), os.environ), reason="no GPU: NVML finds none"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("kernels") / "found.json"
    command = [sys.executable, "-m", "tests.gpu.kernels", str(file), "cuda"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(file.read_text())


def test_no_kernel_is_faster_than_the_device_can_be(found):
    name = gpu.list_visible(gpu.list_devices(), os.environ)[0].name
    peak = device_peaks.find_gpu_peak(name)
    print(name, {kind: f"{rate:.3g}" for kind, rate in found.items() if isinstance(rate, float)})
    assert found["gemm fp32"] < found["gemm bf16"]
    assert 0 < found["convolutions"] < found["gemm fp32"]
    if isinstance(peak, Peak):
        assert 0.2 < found["gemm fp32"] / peak.flops["fp32"] < 1.05
        assert 0.2 < found["gemm bf16"] / peak.flops["bf16"] < 1.05
        assert 0.4 < found["memory"] / peak.memory < 1.05


def test_the_profiler_separates_the_devices_kernels_from_the_host(found):
    events = [Event(*event) for event in found["events"]]
    on_device = [event for event in events if event.on_device]
    assert len(on_device) >= found["calls"], "a convolution is a kernel or more"
    assert {event.place.partition(",")[0] for event in on_device} == {"device 0"}
    assert sum(event.name == "aten::convolution" for event in events) == found["calls"]
    assert any(one.on_device and one.own_us > 0 for one in sum_up_operations(events))
    assert {event["pid"] for event in to_chrome_trace(events)["traceEvents"]} == {1, 2}
