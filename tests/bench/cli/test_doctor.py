"""`bench doctor` says what this machine has and lacks, before a run is refused for it."""

from __future__ import annotations

import importlib.util

import pytest

from backends.knobs import NEEDS
from bench.cli import doctor
from bench.data import cifar10
from bench.machine import gpu
from bench.plan import knob_support


@pytest.fixture
def shown(monkeypatch, tmp_path, capsys):
    """What it prints, by row, on a machine with a GPU or without."""

    def show(*gpus: gpu.Gpu) -> str:
        monkeypatch.setenv("COLUMNS", "400")
        monkeypatch.setattr(gpu, "list_devices", lambda: list(gpus))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(knob_support, "find_library", lambda name: None)
        doctor.examine(tmp_path)
        return capsys.readouterr().out

    return show


def test_every_need_of_a_knob_is_told(shown):
    told = shown()
    assert {need for needed in NEEDS.values() for need in needed} == set(knob_support.SUPPORT_CHECKS)
    for need in knob_support.SUPPORT_CHECKS:
        assert need in told
    assert "libjemalloc is not installed: apt-get install libjemalloc2" in told
    assert "missing: no GPU" in told


def test_what_a_gpu_lacks_is_told_beside_the_cpu(shown):
    old = gpu.Gpu(0, "NVIDIA T4", "GPU-0", 16 * 2**30, "580", "13.0", 70.0, capability=(7, 5))
    rows = [row.split("  ")[0].strip() for row in shown(old).splitlines() if "NVIDIA T4 has no" in row]
    assert rows == ["cuda:0: tf32", "cuda:0: bf16"]


def row(told: str, beginning: str) -> str:
    (found,) = (line.strip() for line in told.splitlines() if line.strip().startswith(beginning))
    return " ".join(found.removeprefix(beginning).split())


def test_data_are_found_where_they_are_whole(shown, tmp_path):
    assert row(shown(), "data cifar10") == (
        f"missing: {tmp_path / 'data_batch_1'} is missing: give a folder with data_batch_1 to data_batch_5 and "
        "test_batch (or cifar-10-batches-py)"
    )
    for name in (*cifar10.TRAIN, cifar10.TEST):
        (tmp_path / name).write_bytes(b"x")
    assert row(shown(), "data cifar10") == str(tmp_path)


def test_weights_are_found_where_torch_keeps_its_own_and_what_converting_takes_is_told(shown, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert row(shown(), "weights resnet18 IMAGENET1K_V1").startswith("missing: not in ")
    kept = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert row(shown(), "weights resnet18 IMAGENET1K_V1") == f"{kept} (converted on first use)"
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    monkeypatch.setattr("bench.weights.checkpoints.find_spec", importlib.util.find_spec)
    told = shown()
    assert row(told, "backend pytorch").startswith("skipped: torch missing, pip install 'head-to-head[pytorch]'")
    assert row(told, "weights resnet18 IMAGENET1K_V1") == (
        f"missing: {kept} is there, but its conversion needs PyTorch: pip install 'head-to-head[pytorch]'"
    )
