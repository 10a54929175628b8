"""Keras' own way: its transfer-learning guide, compile and fit.

https://keras.io/guides/transfer_learning/

The engine is that of `KERAS_BACKEND`, or the argument: `python -m tests.yardsticks.keras_script torch`. On TensorFlow
the input is the guide's tf.data; on the others it is `fit`'s NumPy arrays (keras.io/api/models/model_training_apis).

A yardstick: it shares no code with `backends`, and does nothing that the task does not ask for (no accuracy).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

if __name__ == "__main__" and len(sys.argv) > 1:
    os.environ["KERAS_BACKEND"] = sys.argv[1]
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras_hub.models import ResNetBackbone


class Tick(keras.callbacks.Callback):
    """Calls `tick` after every step.

    It does so before the next one begins: a callback for the end of a batch makes Keras fetch the logs each time.
    """

    def __init__(self, tick: Callable[[], object]) -> None:
        super().__init__()
        self.tick = tick

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if batch:
            self.tick()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.tick()


def build() -> keras.Model:
    """A frozen ResNet-18 with a new, trainable dense layer; inputs are raw images, 0..255."""
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
    x = keras.layers.Rescaling(scale=1 / 127.5, offset=-1)(inputs)
    x = base_model(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def train(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    tick: Callable[[], object],
) -> float:
    """Train the dense layer; the last epoch's mean loss. `tick` is called after every step."""
    model.compile(
        optimizer=keras.optimizers.SGD(0.001, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    if keras.backend.backend() == "tensorflow":
        from tensorflow import data as tf_data

        dataset = tf_data.Dataset.from_tensor_slices((images, labels))
        dataset = dataset.shuffle(len(images)).batch(batch_size).prefetch(tf_data.AUTOTUNE)
        history = model.fit(dataset, epochs=epochs, verbose=0, callbacks=[Tick(tick)])
    else:
        history = model.fit(images, labels, batch_size, epochs, verbose=0, callbacks=[Tick(tick)])
    return history.history["loss"][-1]


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The share of images that are classified right."""
    if keras.backend.backend() == "tensorflow":
        from tensorflow import data as tf_data

        dataset = tf_data.Dataset.from_tensor_slices(images).batch(batch_size).prefetch(tf_data.AUTOTUNE)
        logits = model.predict(dataset, verbose=0)
    else:
        logits = model.predict(images, batch_size, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == labels))


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
