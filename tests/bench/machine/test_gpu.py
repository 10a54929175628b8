"""GPUs through the real code and the real bindings, of which only NVML's own functions are replaced.

These tests must pass where there is no GPU, so NVML's answers are made up here: that a real driver gives
answers of this shape is known from NVML's reference alone.
"""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from bench.errors import UserError
from bench.machine import gpu

GB = 10**9


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    calls = []
    answers = {
        "nvmlInit": lambda: calls.append("init"),
        "nvmlShutdown": lambda: calls.append("shutdown"),
        "nvmlSystemGetDriverVersion": lambda: "580.10",
        "nvmlSystemGetCudaDriverVersion": lambda: 13010,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: (b"NVIDIA A", "NVIDIA B")[handle],
        "nvmlDeviceGetUUID": lambda handle: ("GPU-aa11", "GPU-ab22")[handle],
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=80 * GB, used=(handle + 1) * GB),
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 350_000 if handle == 0 else _unsupported(),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    return calls


@pytest.fixture
def no_driver(monkeypatch):
    def absent():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)


def test_devices_are_described_and_nvml_is_closed_again(two_gpus):
    first, second = gpu.list_devices()
    assert (first.name, first.uuid, first.index) == ("NVIDIA A", "GPU-aa11", 0)
    assert (first.driver, first.cuda, first.memory_total) == ("580.10", "13.1", 80 * GB)
    assert (first.power_limit, second.power_limit) == (350.0, None)
    assert gpu.read_used_bytes(1) == 2 * GB
    assert two_gpus == ["init", "shutdown"] * 2


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        (None, "AB"),
        ("", ""),
        ("-1", ""),
        ("1", "B"),
        ("1,0", "BA"),
        ("0,7,1", "A"),
        ("GPU-ab", "B"),
        ("GPU-a", ""),
    ],
)
def test_cuda_numbers_the_devices_that_it_may_see(two_gpus, listed, names):
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert "".join(found.name[-1] for found in gpu.list_visible(gpu.list_devices(), environment)) == names


def test_a_device_is_found_by_cudas_number_and_carries_nvmls(two_gpus, monkeypatch):
    assert gpu.find_device("cpu") is None
    assert gpu.find_device("cuda").index == 0
    assert gpu.find_device("cuda:1").index == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpu.find_device("cuda:0").index == 1


@pytest.mark.parametrize("device", ["cuda:2", "cuda:-1", "cuda:x", "tpu"])
def test_an_unknown_device_is_refused_with_a_list_of_the_known_ones(two_gpus, device):
    with pytest.raises(UserError, match=f"no CUDA device '{device}': use cpu or one of cuda:0, cuda:1"):
        gpu.find_device(device)


def test_hidden_devices_are_distinguished_from_none(two_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES hides all 2"):
        gpu.find_device("cuda")


def test_without_a_driver_there_are_no_devices(no_driver):
    assert gpu.list_devices() == []
    assert gpu.read_used_bytes(0) is None
    with pytest.raises(UserError) as error:
        gpu.find_device("cuda:1")
    expected = "no CUDA device 'cuda:1': NVML finds none on this machine, use --device cpu"
    assert str(error.value) == expected


def _unsupported():
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_the_state_of_a_gpu_tells_who_shares_it_and_what_holds_its_clock_down(two_gpus, monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda handle: [object(), object()])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", lambda handle, kind: 1200)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxClockInfo", lambda handle, kind: 1980)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksThrottleReasons", lambda handle: 0x41)  # idle, and hot
    assert gpu.read_state(1) == gpu.GpuState(2, 1200, 1980, ("hardware thermal slowdown",))


def test_a_device_tells_its_modes_where_it_has_them(two_gpus, monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEccMode", lambda handle: [1, 0])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigMode", lambda handle: _unsupported())
    first, _ = gpu.list_devices()
    assert (first.ecc, first.mig) == (True, None)


def test_without_a_driver_there_is_no_state(no_driver):
    assert gpu.read_state(0) is None


def test_a_driver_that_is_older_than_a_function_has_no_state(two_gpus, monkeypatch):
    def too_old(handle):
        raise pynvml.NVMLLibraryMismatchError("Unversioned function called")

    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", too_old)
    assert gpu.read_state(0) is None
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEccMode", too_old)
    assert gpu.list_devices()[0].ecc is None
