"""The fastest loop that could be written by hand in JAX: a frozen ResNet-18 and a trained last layer.

Plain operations, no modules: normalised images lie in memory as one array; batch norms are folded; convolutions of maps
that are no larger than their kernel are matrix products, because XLA has no kernel for them on a CPU
(docs/lessons/xla_small_maps.py); the last layer's gradient is written down, and its memory is donated. A call does
several steps, so that XLA can overlap them, or one; the weights are arguments or constants; in fp32, and in bf16, where
XLA computes with fp32 between roundings. All of it is tried at the start, and the quickest form is kept. Convolutions
as products of unfolded maps, as sums of shifted products and channels first were not faster for larger maps.

A yardstick: it shares no code with `backends`. The weights are drawn as they would be once folded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SIDE, FEATURES, CLASSES = 32, 512, 10
LEARNING_RATE, MOMENTUM = 0.001, 0.9
#: Steps between two ticks, of one call or of as many.
AT_ONCE = 4
#: The forms that are tried: precision, whether weights are constants, and steps in a call.
FORMS = (
    ("float32", False, 1),
    ("float32", False, AT_ONCE),
    ("float32", True, 1),
    ("float32", True, AT_ONCE),
    ("bfloat16", False, 1),
)
#: Ticks' worth of steps that a form is tried with.
TRIED = 3
drawn = np.random.default_rng(0)
#: Weights and biases, by convolution.
Weights = list[tuple[jax.Array, jax.Array]]
#: Weight and bias of the last layer, and their momentum.
Head = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
#: Trains the head on rows (steps, b) of images and labels; returns it, and the mean loss.
Steps = Callable[[Head, Weights, jax.Array, jax.Array, jax.Array], tuple[Head, jax.Array]]


class Convolution:
    """The shape of a convolution; a product where its map has at most three pixels a side."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, side: int) -> None:
        self.shape, self.stride, self.side = (kernel, kernel, into, out), stride, side
        self.product = 1 < kernel >= side
        self.after = -(-side // stride)

    def convolve(self, maps: jax.Array, weights: jax.Array) -> jax.Array:
        """The convolution of maps (n, h, w, c)."""
        edge = self.shape[0] // 2
        return lax.conv_general_dilated(
            maps, weights, (self.stride,) * 2, [(edge, edge)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def draw(self, dtype: str) -> tuple[jax.Array, jax.Array]:
        """Weights, of the product if it is one, and a bias."""
        *_, into, out = self.shape
        weights = drawn.normal(0, (2 / (self.shape[0] ** 2 * out)) ** 0.5, self.shape).astype(np.float32)
        if self.product:
            maps = jnp.eye(self.side**2 * into).reshape(-1, self.side, self.side, into)
            weights = jax.jit(self.convolve)(maps, weights).reshape(-1, self.after**2 * out)
        return jnp.array(weights, dtype), jnp.zeros(weights.shape[-1], dtype)

    def __call__(self, maps: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
        """The outputs (n, h, w, c)."""
        if self.product:
            outputs = maps.reshape(len(maps), -1) @ weights + bias
            return outputs.reshape(-1, self.after, self.after, self.shape[-1])
        return self.convolve(maps, weights) + bias


def list_convolutions() -> list[Convolution]:
    """The convolutions of ResNet-18, in the order in which they run; a shortcut's comes last in its block."""
    found, into, side = [Convolution(3, 64, 7, 2, SIDE)], 64, SIDE // 4
    for out, stage_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (stage_stride, 1):
            after = side // stride
            found += [Convolution(into, out, 3, stride, side), Convolution(out, out, 3, 1, after)]
            found += [Convolution(into, out, 1, stride, side)] if stride > 1 else []
            into, side = out, after
    return found


CONVOLUTIONS = list_convolutions()


def backbone(weights: Weights, images: jax.Array) -> jax.Array:
    """Pooled features (n, 512) float32 of normalised images (n, 32, 32, 3)."""
    layers = iter([partial(one, weights=w, bias=b) for one, (w, b) in zip(CONVOLUTIONS, weights, strict=True)])
    maps = jax.nn.relu(next(layers)(images))
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    lowest = np.array(-np.inf, maps.dtype)
    maps = lax.reduce_window(maps, lowest, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), edges)
    for stage in range(4):
        for block in range(2):
            one, two = next(layers), next(layers)
            shortcut = next(layers)(maps) if stage and not block else maps
            maps = jax.nn.relu(two(jax.nn.relu(one(maps))) + shortcut)
    return jnp.mean(maps.astype(jnp.float32), (1, 2))


def train_head(head: Head, features: jax.Array, expected: jax.Array) -> tuple[Head, jax.Array]:
    """One step; the head after it, and the mean loss."""
    weight, bias, moved, moved_bias = head
    scores = jax.nn.log_softmax(features @ weight + bias)
    hot = jax.nn.one_hot(expected, CLASSES)
    wrong = (jnp.exp(scores) - hot) / len(expected)
    moved, moved_bias = MOMENTUM * moved + features.T @ wrong, MOMENTUM * moved_bias + wrong.sum(0)
    head = weight - LEARNING_RATE * moved, bias - LEARNING_RATE * moved_bias, moved, moved_bias
    return head, -jnp.sum(scores * hot) / len(expected)


def run_steps(
    head: Head, weights: Weights, images: jax.Array, labels: jax.Array, rows: jax.Array
) -> tuple[Head, jax.Array]:
    """A step on each row of `rows` (steps, b), unrolled; see `Steps`."""
    losses = []
    for batch in rows:
        head, loss = train_head(head, backbone(weights, images[batch]), labels[batch])
        losses.append(loss)
    return head, jnp.stack(losses).mean()


def make_form(weights: Weights, constant: bool, at_once: int) -> Steps:
    """A form of the step: `at_once` in a call, with the weights as arguments or as constants."""
    if constant:
        compiled = jax.jit(lambda head, _, *data: run_steps(head, weights, *data), donate_argnums=0)
    else:
        compiled = jax.jit(run_steps, donate_argnums=0)

    def run(head: Head, weights: Weights, *data: jax.Array) -> tuple[Head, jax.Array]:
        *arrays, rows = data
        for at in range(0, len(rows), at_once):
            head, loss = compiled(head, () if constant else weights, *arrays, rows[at : at + at_once])
        return head, loss

    return run


def make_head() -> Head:
    """A head as PyTorch draws it."""
    bound = FEATURES**-0.5
    weight, bias = drawn.uniform(-bound, bound, (FEATURES, CLASSES)), drawn.uniform(-bound, bound, CLASSES)
    made = jnp.array(weight, jnp.float32), jnp.array(bias, jnp.float32)
    return *made, jnp.zeros_like(made[0]), jnp.zeros_like(made[1])


def quickest(images: jax.Array, labels: jax.Array, rows: np.ndarray) -> tuple[Steps, Weights, jax.Array]:
    """The form that takes the least time for the steps of a tick; its weights, and the images in its precision."""
    found = []
    for dtype, constant, at_once in FORMS:
        weights, data = [one.draw(dtype) for one in CONVOLUTIONS], images.astype(dtype)
        form, head, seconds = make_form(weights, constant, at_once), make_head(), []
        for _ in range(1 + TRIED):
            began = time.perf_counter()
            head, _ = jax.block_until_ready(form(head, weights, data, labels, rows))
            seconds.append(time.perf_counter() - began)
        name = f"{dtype}, weights {'constants' if constant else 'arguments'}, {at_once} at once"
        found.append((min(seconds), name, form, weights, data))
    print("\n".join(f"{name}: {rows.size / seconds:,.0f} images/s" for seconds, name, *_ in found))
    best, name, form, weights, data = min(found, key=lambda one: one[0])
    print(f"kept: {name}, {rows.size / best:,.0f} images/s", flush=True)
    return form, weights, data


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 128,
    epochs: int = 1,
    tick: Callable[[int], object] = lambda steps: None,
) -> float:
    """Train; the mean loss of the last epoch."""
    resident = jnp.concatenate([jnp.array(part / 127.5 - 1, jnp.float32) for part in np.array_split(images, 20)])
    targets, at_a_tick = jnp.array(labels, jnp.int32), batch_size * AT_ONCE
    first = np.arange(at_a_tick, dtype=np.int32).reshape(AT_ONCE, -1) % len(images)
    form, weights, resident = quickest(resident, targets, first)
    head, losses = make_head(), []
    for _ in range(epochs):
        losses = []
        order = drawn.permutation(len(images)).astype(np.int32)[: len(images) // at_a_tick * at_a_tick]
        for rows in order.reshape(-1, AT_ONCE, batch_size):
            head, loss = form(head, weights, resident, targets, rows)
            losses.append(loss)
            tick(AT_ONCE)
    return float(jnp.stack(losses).mean())
