"""TensorFlow's own way: its guide's custom training loop, over tf.data as its performance guide sets it up.

https://www.tensorflow.org/guide/keras/writing_a_training_loop_from_scratch
https://www.tensorflow.org/guide/data_performance

A yardstick: it shares no code with `backends`, and does nothing that the task does not ask for (no accuracy).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras_hub.models import ResNetBackbone


def build() -> keras.Model:
    """A frozen ResNet-18 with a new, trainable dense layer; inputs are normalised images."""
    base_model = ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    base_model.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = base_model(inputs, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def normalise(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """0..255 to -1..1."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0, labels


def train(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    tick: Callable[[], object],
) -> float:
    """Train the dense layer; the last step's loss. `tick` is called after every step."""
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.shuffle(len(images)).batch(batch_size)
    dataset = dataset.map(normalise, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    optimizer = keras.optimizers.SGD(0.001, momentum=0.9)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def train_step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss_value = loss_fn(y, logits)
        gradients = tape.gradient(loss_value, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return loss_value

    loss = tf.zeros(())
    for _ in range(epochs):
        for x_batch, y_batch in dataset:
            loss = train_step(x_batch, y_batch)
            tick()
    return float(loss)


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The share of images that are classified right."""
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
    dataset = dataset.map(normalise, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    metric = keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def test_step(x: tf.Tensor, y: tf.Tensor) -> None:
        metric.update_state(y, model(x, training=False))

    for x_batch, y_batch in dataset:
        test_step(x_batch, y_batch)
    return float(metric.result())


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
    last_loss = main(drawn, rng.integers(10, size=len(drawn)))
    print(f"loss {last_loss:.3f}, {len(drawn) / (time.perf_counter() - began):,.0f} images/s, start included")
