"""How long a training step takes, by pytest-benchmark."""

from __future__ import annotations

import numpy as np
import pytest
from perceptron.training import Perceptron


@pytest.fixture
def batch():
    draw = np.random.default_rng(1)
    return draw.standard_normal((64, 256)), draw.integers(10, size=64)


def test_training_step(benchmark, batch):
    model = Perceptron(inputs=256, hidden=128, classes=10)
    loss = benchmark(model.step, *batch)
    assert np.isfinite(loss)


def test_from_scratch(benchmark, batch):
    """A new model for every round."""

    def new():
        return (Perceptron(inputs=256, hidden=128, classes=10), *batch), {}

    assert np.isfinite(benchmark.pedantic(Perceptron.step, setup=new, rounds=5))


def test_that_times_nothing(batch):
    assert Perceptron(256, 128, 10).step(*batch) > 0
