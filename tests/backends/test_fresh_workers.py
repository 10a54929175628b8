"""What a fresh process of each backend has imported once it has trained, and where it reads the device's memory.

Frameworks and trainers are real. The GPU and the frameworks' counters are made up, because these tests must pass where
there is no GPU: that real counters are called so is known from the frameworks' documentation, and where there is a GPU
from `tests/gpu`.
"""

from __future__ import annotations

import json

import pytest

from tests.backends.sessions import OWN

pytestmark = [pytest.mark.slow, pytest.mark.engines]

#: Builds a trainer and trains a step, as a worker does.
TRAIN = """
import json, os, sys
from types import SimpleNamespace
import numpy as np
import backends
from backends.task import Task, Variant
from bench.data.order import draw_head
from bench.weights.random_weights import draw_weights
from bench.machine.hidden_packages import hide_packages

name = {name!r}
entry = backends.REGISTRY[name]
os.environ.update(entry.environment)
hide_packages(entry.hides, entry.packages)
backend = backends.load(name)
recipe = dict(weights="random", dataset="cifar10", image_size=32, batch_size=4, epochs=1)
task = Task(name="small", backbone="resnet18", **recipe)
head = draw_head(task.network.features, task.classes, task.seed)
trainer = backend.build(task, Variant(threads=1), draw_weights(task.network, task.seed), head)
images = np.arange(4 * 32 * 32 * 3, dtype=np.uint8).reshape(4, 32, 32, 3)
found = {"loss": trainer.step(images, np.arange(4))}
found["engines"] = sorted({"torch", "tensorflow", "jax"} & {m for m in sys.modules if sys.modules[m]})
found["keras"] = sys.modules["keras"].backend.backend() if "keras" in sys.modules else None
found["on the CPU"] = trainer.device_memory()
calls = []
"""
#: Put a framework's counters in place; then the trainer takes its device for a GPU.
COUNTERS = {
    "torch": """
import torch
getattr(trainer, "engine", trainer).device = torch.device("cuda")
torch.cuda.reset_peak_memory_stats = lambda device: calls.append("restarted")
torch.cuda.max_memory_allocated = lambda device: 7
torch.cuda.max_memory_reserved = lambda device: 9
""",
    "jax": """
counters = {"peak_bytes_in_use": 7, "peak_pool_bytes": 9}
getattr(trainer, "engine", trainer).device = SimpleNamespace(platform="gpu", memory_stats=lambda: counters)
""",
    "tensorflow": """
import tensorflow as tf
tf.config.get_visible_devices = lambda kind: ["GPU:0"]
tf.config.experimental.reset_memory_stats = lambda device: calls.append("restarted")
tf.config.experimental.get_memory_info = lambda device: {"peak": 7}
""",
}
READ = """
trainer.reset_device_memory()
found["calls"] = calls
found["on a GPU"] = list(trainer.device_memory())
print()
print(json.dumps(found))
"""
#: The engine of each backend: what is imported of the three.
ENGINES = {
    "pytorch": "torch",
    "lightning": "torch",
    "keras-torch": "torch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "jax": "jax",
    "keras-jax": "jax",
}


@pytest.fixture(scope="module", params=OWN)
def worker(request, in_fresh_interpreter) -> tuple[str, dict]:
    name = request.param
    code = TRAIN.replace("{name!r}", repr(name)) + COUNTERS[ENGINES[name]] + READ
    return name, json.loads(in_fresh_interpreter(code).splitlines()[-1])


def test_it_has_imported_its_own_engine_and_no_other(worker):
    """What else is imported costs memory and start-up time that would be charged to it."""
    name, found = worker
    assert found["loss"] > 0
    assert found["engines"] == [ENGINES[name]]
    assert found["keras"] == (ENGINES[name] if "keras" in name or name == "tensorflow" else None)


def test_it_reads_its_frameworks_counters_of_a_gpu_and_none_of_a_cpu(worker):
    name, found = worker
    assert found["on the CPU"] is None
    assert found["on a GPU"] == [7, None if ENGINES[name] == "tensorflow" else 9]
    # JAX cannot restart its counters.
    assert found["calls"] == ([] if ENGINES[name] == "jax" else ["restarted"])
