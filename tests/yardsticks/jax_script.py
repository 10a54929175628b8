"""JAX's own way: the training step of Flax NNX' MNIST tutorial, on a ResNet-18 of which only the head is trained.

https://flax.readthedocs.io/en/stable/mnist_tutorial.html (`nnx.jit`, `nnx.value_and_grad`, `optimizer.update`)
https://flax.readthedocs.io/en/stable/guides/filters_guide.html (which variables are trained: `wrt`, `nnx.DiffState`)
https://flax.readthedocs.io/en/stable/guides/data_loaders.html (`get_batches`: batches of arrays, normalised in JAX)

A yardstick: it shares no code with `backends`, and does nothing that the task does not ask for (no metrics).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

#: What is trained.
HEAD = nnx.All(nnx.Param, nnx.PathContains("head"))


class Block(nnx.Module):
    """A residual block of two convolutions."""

    def __init__(self, into: int, out: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(into, out, (3, 3), stride, padding=1, use_bias=False, rngs=rngs)
        self.bn1 = nnx.BatchNorm(out, rngs=rngs)
        self.conv2 = nnx.Conv(out, out, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.bn2 = nnx.BatchNorm(out, rngs=rngs)
        shortcut = partial(nnx.Conv, into, out, (1, 1), stride, use_bias=False, rngs=rngs)
        self.downsample = nnx.Sequential(shortcut(), nnx.BatchNorm(out, rngs=rngs)) if stride > 1 else None

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = nnx.relu(self.bn1(self.conv1(x)))
        return nnx.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet(nnx.Module):
    """ResNet-18 with a head for ten classes."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(3, 64, (7, 7), 2, padding=3, use_bias=False, rngs=rngs)
        self.bn1 = nnx.BatchNorm(64, rngs=rngs)
        blocks, into = [], 64
        for out, stage_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            for stride in (stage_stride, 1):
                blocks.append(Block(into, out, stride, rngs))
                into = out
        self.blocks = nnx.Sequential(*blocks)
        self.head = nnx.Linear(512, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        return self.head(jnp.mean(self.blocks(x), (1, 2)))


def build() -> ResNet:
    """A ResNet-18 with a new head."""
    model = ResNet(nnx.Rngs(0))
    model.eval()  # the task freezes the batch normalisations too
    return model


@nnx.jit
def train_step(model: ResNet, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array) -> jax.Array:
    """One step of the head; the mean loss."""

    def loss_fn(model: ResNet) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

    loss, grads = nnx.value_and_grad(loss_fn, argnums=nnx.DiffState(0, HEAD))(model)
    optimizer.update(model, grads)
    return loss


def get_batches(
    images: np.ndarray, labels: np.ndarray, batch_size: int, rows: np.ndarray
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Normalised images (b, 32, 32, 3) and labels (b,), in the order of `rows`."""
    for i in range(0, len(rows), batch_size):
        batch = rows[i : i + batch_size]
        yield (jnp.array(images[batch], dtype=jnp.float32) / 255.0 - 0.5) / 0.5, jnp.array(labels[batch])


def train(
    model: ResNet,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    tick: Callable[[], object],
) -> float:
    """Train the head; the last epoch's mean loss. `tick` is called after every step."""
    optimizer = nnx.Optimizer(model, optax.sgd(0.001, 0.9), wrt=HEAD)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(epochs):
        losses = []
        for inputs, targets in get_batches(images, labels, batch_size, rng.permutation(len(images))):
            losses.append(train_step(model, optimizer, inputs, targets))
            tick()
    return float(jnp.stack(losses).mean())


@nnx.jit
def predict(model: ResNet, images: jax.Array) -> jax.Array:
    """The most likely classes (b,)."""
    return model(images).argmax(axis=1)


def evaluate(model: ResNet, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The share of images that are classified right."""
    batches = get_batches(images, labels, batch_size, np.arange(len(images)))
    correct = [jnp.sum(predict(model, inputs) == targets) for inputs, targets in batches]
    return float(jnp.stack(correct).sum() / len(images))


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 4,
    epochs: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> float:
    """The whole script."""
    return train(build(), images, labels, batch_size, epochs, tick)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    drawn = rng.integers(256, size=(4000, 32, 32, 3), dtype=np.uint8)
    began = time.perf_counter()
    mean_loss = main(drawn, rng.integers(10, size=len(drawn)))
    print(f"loss {mean_loss:.3f}, {len(drawn) / (time.perf_counter() - began):,.0f} images/s, start included")
