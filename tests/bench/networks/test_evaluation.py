"""Exported networks in each backend: the same features as PyTorch's, and other ones if a fault is planted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import backends
from backends.exported.network_graph import ATTRIBUTES, read_graph
from bench.coverage.coverage_record import TOLERANCE
from bench.machine.environment import PROJECT
from bench.networks.processes import EvaluationProcess
from bench.weights.checkpoint_folder import MODEL
from bench.weights.exported_files import GRAPH

pytestmark = pytest.mark.thorough

BUILDING = [name for name, entry in backends.REGISTRY.own.items() if entry.exported_networks]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-m", "tests.bench.networks.every_operation", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=120)
    return folder / "mixed"


@pytest.fixture(scope="module")
def in_jax():
    process = EvaluationProcess("jax")
    yield process
    process.stop()


def test_the_network_has_every_operation(exported):
    assert set(read_graph(json.loads((exported / GRAPH).read_text())).list_kinds()) == set(ATTRIBUTES)


@pytest.mark.parametrize("backend", BUILDING)
def test_a_backend_computes_the_features_of_pytorch(backend, exported):
    process = EvaluationProcess(backend)
    try:
        answers = [process.compare(exported.with_name(network)) for network in ("mixed", "composed")]
    finally:
        process.stop()
    assert all(answer.get("difference", 1) < 1e-5 for answer in answers), answers


def change(kind, **attributes):
    """A fault in the first operation of a kind."""

    def plant(graph, tensors):
        one = next(one for one in graph["operations"] if one["kind"] == kind)
        assert one["attributes"] | attributes != one["attributes"]
        one["attributes"] |= attributes

    return plant


def swap_heads(graph, tensors):
    weight = tensors["qkv.weight"].reshape(3, 2, 12, 24)
    tensors["qkv.weight"] = np.ascontiguousarray(weight[:, ::-1]).reshape(72, 24)


def swap_depthwise_kernels(graph, tensors):
    """The kernels of a depthwise convolution with two of them per channel, in TensorFlow's order."""
    weight = tensors["depthwise.weight"]
    order = np.arange(32).reshape(2, 16).T.reshape(-1)
    tensors["depthwise.weight"] = np.ascontiguousarray(weight[order])


def pad_as_tensorflow(graph, tensors):
    """`same` padding of a stride of two: the odd pixel is after."""
    one = graph["operations"][0]
    assert one["attributes"]["padding"] == [[1, 1], [1, 1]]
    one["attributes"]["padding"] = [[0, 1], [0, 1]]


FAULTS = {
    "gelu by tanh": change("gelu", approximate=True),
    "same padding": pad_as_tensorflow,
    "an average without padding": change("average_pool", counts_padding=False),
    "another epsilon of batch norm": change("batch_norm", epsilon=1e-5),
    "another epsilon of layer norm": change("layer_norm", epsilon=1e-3),
    "heads in another order": swap_heads,
    "depthwise kernels in another order": swap_depthwise_kernels,
    "an LSTM in the other direction": change("lstm", reverse=True),
    "another scale of attention": change("attention", scale=1.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, exported, in_jax, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "faulty")
    graph, tensors = json.loads((folder / GRAPH).read_text()), load_file(folder / MODEL)
    FAULTS[fault](graph, tensors)
    (folder / GRAPH).write_text(json.dumps(graph))
    save_file(tensors, folder / MODEL)
    assert in_jax.compare(folder)["difference"] > TOLERANCE


def test_a_backend_that_builds_none_says_so(exported):
    process = EvaluationProcess("pytorch")
    try:
        assert process.compare(exported) == {"error": "UnsupportedVariant: pytorch builds no exported networks"}
    finally:
        process.stop()


def test_a_process_that_dies_is_named_and_started_again(exported, in_jax, tmp_path):
    (tmp_path / GRAPH).write_text("{}")
    assert "died" in in_jax.compare(tmp_path)["error"]
    assert in_jax.compare(exported)["difference"] < 1e-5


def test_a_backends_process_hides_what_its_worker_hides():
    """With keras-torch, Keras and KerasHub import TensorFlow and JAX where they are installed."""
    lines = (
        "import sys",
        "from bench.networks.evaluation import main",
        "main('keras-torch')",
        "print(sorted({'tensorflow', 'jax', 'torch'} & set(sys.modules)), file=sys.stderr)",
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], input="", capture_output=True, text=True, cwd=PROJECT, env=environment
    )
    assert done.stderr.splitlines()[-1] == "['torch']"
