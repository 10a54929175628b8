"""Whether frameworks see the GPU that NVML sees: real processes of real frameworks, beside a GPU that is made up."""

from __future__ import annotations

import pytest

import backends
from bench.cli import doctor
from bench.machine import gpu
from bench.measure import framework_gpus
from bench.measure.framework_gpus import ask_frameworks, explain_blindness

NEW, OLD, VERY_OLD = (gpu.Gpu(0, "NVIDIA L4", "GPU-0", 24, "driver", cuda, 70.0) for cuda in ("13.1", "12.4", "11.8"))


@pytest.mark.parametrize(
    ("name", "seen", "of", "line"),
    [
        ("pytorch", ["NVIDIA L4"], NEW, None),
        (
            "pytorch",
            [],
            NEW,
            "PyTorch does not see it: pip install --force-reinstall torch torchvision",
        ),
        (
            "lightning",
            [],
            OLD,
            "Lightning does not see it: pip install --force-reinstall 'torch<2.11' 'torchvision<0.26'",
        ),
        ("jax", [], NEW, "JAX does not see it: pip install 'jax[cuda13]'"),
        ("jax", [], OLD, "JAX does not see it: pip install 'jax[cuda12]'"),
        ("keras", [], NEW, "Keras does not see it: pip install 'tensorflow[and-cuda]'"),
        (
            "tensorflow",
            [],
            VERY_OLD,
            "TensorFlow does not see it: its packages need CUDA 12, and driver driver has 11.8: update the driver",
        ),
        ("jax", "ImportError: x", NEW, "JAX cannot be asked: ImportError: x"),
    ],
)
def test_the_line_to_install_fits_the_driver(name, seen, of, line):
    assert explain_blindness(name, seen, [of]) == line


def test_an_entry_that_names_no_package_for_a_gpu_is_told_apart_from_an_old_driver(monkeypatch):
    entry = backends.BackendEntry("mine", (), cuda=backends.CudaSupport("mine", {}))
    monkeypatch.setattr(backends, "REGISTRY", {"mine": entry})
    line = "mine does not see it: its entry does not say what to install: see its documentation"
    assert explain_blindness("mine", [], [NEW]) == line


def test_every_backend_of_ours_says_how_it_comes_to_use_a_gpu():
    assert [name for name, entry in backends.REGISTRY.items() if not entry.distribution and not entry.cuda] == []


def test_the_machine_shows_which_framework_is_blind(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpu, "list_devices", lambda: [NEW])
    monkeypatch.setattr(framework_gpus, "ask_frameworks", lambda names: {"pytorch": ["NVIDIA L4"], "jax": []})
    doctor.show_machine(tmp_path)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "GPU in pytorch sees NVIDIA L4" in lines
    assert "GPU in jax missing: JAX does not see it: pip install 'jax[cuda13]'" in lines
    assert lines[-1] == "Missing for --device cuda: JAX does not see it: pip install 'jax[cuda13]'"


@pytest.mark.thorough
@pytest.mark.skipif(bool(gpu.list_devices()), reason="here the frameworks may see a GPU")
def test_without_a_driver_no_framework_sees_a_gpu():
    names = [name for name in ("pytorch", "tensorflow", "jax") if not backends.find_missing_packages(name)]
    assert ask_frameworks(names) == {name: [] for name in names}
