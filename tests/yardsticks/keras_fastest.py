"""The fastest loop that could be written by hand in Keras: a frozen ResNet-18 and a trained last layer.

`fit` over a functional model whose layers keep their weights in bf16, on JAX in fp32. Batch norms are folded;
convolutions of maps that are no larger than their kernel are dense layers; normalised images lie in memory as one array
of the engine. On TensorFlow several steps are one execution, and tf.data takes batches by their numbers. The engine is
that of `KERAS_BACKEND`.

A yardstick: it shares no code with `backends`. The weights are drawn as they would be once folded.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import layers

SIDE, CLASSES = 32, 10
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
#: Steps of one execution.
AT_ONCE = 4 if ON_TENSORFLOW else 1
#: XLA computes in fp32 on a CPU in any case, and rounds in between.
DTYPE = "float32" if keras.backend.backend() == "jax" else "bfloat16"


class Tick(keras.callbacks.Callback):
    """Calls `tick` after every execution, before the next one begins."""

    def __init__(self, tick: Callable[[int], object]) -> None:
        super().__init__()
        self.tick = tick

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if batch:
            self.tick(AT_ONCE)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.tick(AT_ONCE)


def convolution(x: keras.KerasTensor, out: int, kernel: int, stride: int) -> keras.KerasTensor:
    """A folded convolution, padded as PyTorch does."""
    _, side, _, into = x.shape
    after = -(-side // stride)
    if 1 < kernel >= side:
        x = layers.Reshape((side**2 * into,), dtype=DTYPE)(x)
        x = layers.Dense(after**2 * out, dtype=DTYPE)(x)
        return layers.Reshape((after, after, out), dtype=DTYPE)(x)
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, dtype=DTYPE)(x)
        return layers.Conv2D(out, kernel, stride, dtype=DTYPE)(x)
    return layers.Conv2D(out, kernel, stride, padding="same" if stride == 1 else "valid", dtype=DTYPE)(x)


def build() -> keras.Model:
    """The model; only its last layer is trainable."""

    def relu(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU(dtype=DTYPE)(x)

    inputs = keras.Input((SIDE, SIDE, 3), dtype=DTYPE)
    x = relu(convolution(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, dtype=DTYPE)(layers.ZeroPadding2D(1, dtype=DTYPE)(x))
    for out, stage_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (stage_stride, 1):
            shortcut = convolution(x, out, 1, stride) if stride > 1 else x
            y = convolution(relu(convolution(x, out, 3, stride)), out, 3, 1)
            x = relu(layers.Add(dtype=DTYPE)([y, shortcut]))
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    model = keras.Model(inputs, layers.Dense(CLASSES, dtype="float32")(x))
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 128,
    epochs: int = 1,
    tick: Callable[[int], object] = lambda steps: None,
) -> float:
    """Train; the last epoch's mean loss."""
    model = build()
    model.compile(
        optimizer=keras.optimizers.SGD(0.001, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=AT_ONCE,
        jit_compile=False if ON_TENSORFLOW else "auto",
    )
    fit = _fit_tensors if ON_TENSORFLOW else _fit_arrays
    return fit(model, images, labels, batch_size, epochs, Tick(tick)).history["loss"][-1]


def _fit_tensors(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int, epochs: int, callback: Tick
) -> keras.callbacks.History:
    import tensorflow as tf

    with tf.device("CPU"):
        resident = tf.concat([tf.cast(part / 127.5 - 1.0, DTYPE) for part in np.array_split(images, 20)], 0)
        targets = tf.constant(labels)
    rows = tf.data.Dataset.range(len(images)).shuffle(len(images)).repeat().batch(batch_size, drop_remainder=True)
    batches = rows.map(
        lambda at: (tf.gather(resident, at), tf.gather(targets, at)), num_parallel_calls=tf.data.AUTOTUNE
    )
    steps = len(images) // (batch_size * AT_ONCE) * AT_ONCE
    return model.fit(
        batches.prefetch(tf.data.AUTOTUNE), epochs=epochs, steps_per_epoch=steps, verbose=0, callbacks=[callback]
    )


def _fit_arrays(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int, epochs: int, callback: Tick
) -> keras.callbacks.History:
    parts = [keras.ops.cast(part / 127.5 - 1.0, DTYPE) for part in np.array_split(images, 20)]
    resident, targets = keras.ops.concatenate(parts), keras.ops.convert_to_tensor(labels, "int32")
    return model.fit(resident, targets, batch_size, epochs, verbose=0, callbacks=[callback])
