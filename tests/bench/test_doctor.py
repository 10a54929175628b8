"""`bench doctor` says what of the knobs' needs this machine lacks, before a run is refused for it."""

from __future__ import annotations

import pytest

from backends.knobs import NEEDS
from bench import abilities, gpu
from bench.commands import doctor


@pytest.fixture
def shown(monkeypatch, tmp_path, capsys):
    """What it prints, by row, on a machine with a GPU or without."""

    def show(*gpus: gpu.Gpu) -> str:
        monkeypatch.setenv("COLUMNS", "400")
        monkeypatch.setattr(gpu, "devices", lambda: list(gpus))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(abilities, "find_library", lambda name: None)
        doctor.examine(tmp_path)
        return capsys.readouterr().out

    return show


def test_every_need_of_a_knob_is_told(shown):
    told = shown()
    assert {need for needed in NEEDS.values() for need in needed} == set(abilities.MISSING)
    for need in abilities.MISSING:
        assert need in told
    assert "libjemalloc is not installed: apt-get install libjemalloc2" in told
    assert "missing: no GPU" in told


def test_what_a_gpu_lacks_is_told_beside_the_cpu(shown):
    old = gpu.Gpu(0, "NVIDIA T4", "GPU-0", 16 * 2**30, "580", "13.0", 70.0, capability=(7, 5))
    rows = [row.split("  ")[0].strip() for row in shown(old).splitlines() if "NVIDIA T4 has no" in row]
    assert rows == ["cuda:0: tf32", "cuda:0: bf16"]
