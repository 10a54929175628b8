"""The same training step in PyTorch and in JAX."""

import numpy as np
import pytest


@pytest.fixture
def batch():
    draw = np.random.default_rng(1)
    return draw.standard_normal((64, 256), np.float32), draw.integers(10, size=64)


def test_torch(benchmark, batch):
    import torch

    images, labels = map(torch.from_numpy, batch)
    layer = torch.nn.Linear(256, 10)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(images), labels)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "kernel": layer.weight.T}

    benchmark(step)


def test_jax(benchmark, batch):
    import jax
    import jax.numpy as jnp

    images, labels = map(jnp.asarray, batch)
    parameters = {"kernel": jnp.zeros((256, 10)), "bias": jnp.zeros(10)}

    def compute_loss(parameters):
        logits = images @ parameters["kernel"] + parameters["bias"]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    @jax.jit
    def update(parameters):
        loss, gradients = jax.value_and_grad(compute_loss)(parameters)
        return loss, jax.tree.map(lambda value, gradient: value - 0.1 * gradient, parameters, gradients)

    def step():
        nonlocal parameters
        loss, parameters = update(parameters)
        return jax.block_until_ready({"loss": loss, "kernel": parameters["kernel"]})

    benchmark(step)
