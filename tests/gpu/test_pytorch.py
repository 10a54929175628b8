"""PyTorch's variants on a GPU: the same fine-tune within their precision's tolerance, and what they say they are.

`python -m pytest tests/gpu -m gpu`
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.knobs import collect_flags
from bench.machine import gpu
from bench.parity.sameness_proof import prove
from bench.parity.tolerances import FORWARD
from tests.backends.tasks import TASKS
from tests.gpu.variants import REFERENCE, VARIANTS

PROJECT = Path(__file__).parents[2]
#: Of all variants together.
SECONDS = 420

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not gpu.list_visible(gpu.list_devices(), os.environ), reason="no GPU: NVML finds none"),
]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, request) -> Path:
    """The folder where a process of its own has left what PyTorch computes for the tests that were selected.

    One that takes too long fails the tests of what it did not come to.
    """
    folder = tmp_path_factory.mktemp("gpu")
    requested = {item.callspec.params["name"] for item in request.session.items if item.module is request.module}
    names = [name for name in VARIANTS if name in requested | {"default"}]
    command = [sys.executable, "-m", "tests.gpu.evidence", str(folder), *names]
    with (folder / "output.txt").open("wb") as output, contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, cwd=PROJECT, stdout=output, stderr=output, timeout=SECONDS)
        assert done.returncode == 0, (folder / "output.txt").read_text()[-3000:]
    return folder


def arrays(evidence: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(evidence / f"{name}.npz") as found:
        return dict(found)


def facts(evidence: Path, name: str) -> dict:
    found = json.loads((evidence / f"{name}.json").read_text())
    assert "failed" not in found, found["failed"]
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_on_a_gpu_is_the_fine_tune_of_the_cpu(evidence, name):
    task, variant = VARIANTS[name]
    seconds = facts(evidence, name)["seconds"]
    proof = prove(arrays(evidence, name), arrays(evidence, f"{REFERENCE} {task}"), TASKS[task], None, variant.precision)
    worst = {
        check.name: f"{check.difference:.1e} of {check.tolerance:.1e}" for check in proof.checks if check.tolerance
    }
    print(f"{name}, {seconds:.1f} s: {worst}")
    assert (proof.status, proof.reason) == ("proven", "")


@pytest.mark.parametrize("name", VARIANTS)
def test_what_a_variant_resolves_to_is_what_the_framework_was_set_to(evidence, name):
    _, variant = VARIANTS[name]
    found = facts(evidence, name)
    flags = found["resolved"]["flags"]
    assert {knob: flags[knob] for knob in collect_flags("pytorch", variant)} == collect_flags("pytorch", variant)
    assert found["tf32"] == [variant.precision == "tf32"] * 2 == [flags["tf32"] == "on"] * 2
    assert found["autotuned"] == (variant.autotune == "autotuned") == (flags["cudnn_autotune"] == "on")
    assert found["fused"] == (variant.optimizer == "fused")
    held = {"fp16": "torch.float16", "bf16": "torch.bfloat16"}.get(variant.precision, "torch.float32")
    assert (found["weights"], found["head"]) == (held, "torch.float32")
    assert found["allocated"] > 0


@pytest.mark.parametrize("name", VARIANTS)
def test_features_are_not_overwritten_by_the_next_batch(evidence, name):
    assert facts(evidence, name)["features outlive the next"]


@pytest.mark.parametrize("name", ["tf32", "fp16", "bf16"])
def test_less_precision_is_really_computed_in(evidence, name):
    exact, rounded = (arrays(evidence, one)["features"] for one in ("default", name))
    assert np.abs(exact - rounded).max() / np.abs(exact).max() > FORWARD
