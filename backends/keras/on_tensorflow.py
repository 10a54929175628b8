"""Keras on TensorFlow: the backend `keras`. Input by tf.data, as in Keras' transfer-learning guide."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Sequence
from typing import ClassVar

os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's Keras settings

import keras
import numpy as np
import tensorflow as tf

from backends.base import Training
from backends.engines.tensorflow import device, extraction, kernels, pipeline, profiler
from backends.engines.tensorflow.head import HeadTraining
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.keras import preprocess
from backends.keras.engine import Engine, HeadStep
from backends.keras.trainer import Keras
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Order, Resolved


class TensorFlowEngine(Engine):
    """TensorFlow below Keras."""

    backend = "keras"
    #: The guide leaves `jit_compile` at "auto", which is XLA on a GPU and nothing on a CPU; `compiled` means
    #: TensorFlow's `tf.function` without XLA.
    executions: ClassVar = {
        None: {},
        "compiled": {"jit_compile": False},
        "eager": {"run_eagerly": True},
        "xla": {"jit_compile": True},
    }
    resizes_in_model = False
    pipelines: ClassVar = {
        "streamed": "tf.data, autotuned prefetch",
        "encoded": "tf.data, tf.io.decode_image in a parallel map, autotuned prefetch",
        "normalised": "tf.data, of images in memory that were normalised once, autotuned prefetch",
    }

    def set_up(self, variant: Variant) -> None:
        """See `Engine.set_up`."""
        device.set_up(variant)

    def find_execution(self, model: keras.Model, variant: Variant) -> str:
        """See `Engine.find_execution`. A variant that does not set `execution` leaves the choice of XLA to Keras, and
        has what it asks for either way.
        """
        if model.run_eagerly or tf.config.functions_run_eagerly():
            return "eager"
        return "xla" if model.jit_compile and variant.execution else "compiled"

    def resolve(self, variant: Variant, model: keras.Model, input_pipeline: str, in_force: dict[str, str]) -> Resolved:
        """See `Engine.resolve`."""
        jit = "xla" if model.jit_compile else "none"
        engine = device.resolve(variant, input_pipeline, self.backend, jit, in_force)
        return dataclasses.replace(engine, framework=f"keras on {keras.backend.backend()}")

    def describe_build(self) -> dict[str, str]:
        """See `Engine.describe_build`."""
        return device.describe_build()

    def reset_memory(self) -> None:
        """See `Engine.reset_memory`."""
        device.reset_memory()

    def read_memory(self) -> DeviceMemory | None:
        """See `Engine.read_memory`."""
        return device.read_memory()

    def build_kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Engine.build_kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Engine.profile`."""
        return profiler.profile(run, folder)

    def to_device(self, array: np.ndarray) -> tf.Tensor:
        """See `Engine.to_device`."""
        return tf.constant(array)

    def add_bias(self, values: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """See `Engine.add_bias`. TensorFlow fuses `bias_add` with a product before it and with a ReLU after it."""
        return tf.nn.bias_add(values, bias)

    def compile_function(
        self, variant: Variant, function: Callable[..., tf.Tensor], variables: Sequence[keras.Variable]
    ) -> Callable[..., tf.Tensor]:
        """See `Engine.compile_function`."""
        return device.compile_function(variant, function)

    def compute_gradients(
        self,
        loss: Callable[..., tf.Tensor],
        arrays: Sequence[tf.Tensor],
        variables: Sequence[keras.Variable],
        others: Sequence[keras.Variable] = (),
    ) -> tuple[tf.Tensor, Sequence[tf.Tensor]]:
        """See `Engine.compute_gradients`."""
        with tf.GradientTape() as tape:
            value = loss(*arrays)
        return value, tape.gradient(value, [variable.value for variable in variables])

    def make_loader(
        self,
        images: np.ndarray | ImageFiles,
        labels: np.ndarray,
        order: Order,
        transform: Callable,
        classes: int,
        known_length: bool = True,
    ) -> tf.data.Dataset:
        """See `Engine.make_loader`. An epoch's images are first copied in its order, as the guide's `shuffle` also
        does. If nothing is resized, there is no `map`: one was measured to take some 90 µs of CPU time for a batch of
        4.
        """
        batches = (
            pipeline.make_file_batches(images, labels, order, known_length)
            if isinstance(images, ImageFiles)
            else _make_batches(images, labels, order, known_length)
        )
        if transform is not preprocess.keep_unchanged:
            batches = batches.map(
                lambda *batch: (transform(*batch[:-1]), batch[-1]), num_parallel_calls=tf.data.AUTOTUNE
            )
        return batches.prefetch(tf.data.AUTOTUNE)

    def make_resident_loader(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        order: Order,
        transform: Callable,
        classes: int,
        known_length: bool = True,
    ) -> tf.data.Dataset:
        """See `Engine.make_resident_loader`."""
        with tf.device("CPU"):
            inputs, all_labels = pipeline.normalise_all(images, transform), tf.constant(labels)

        def take(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(inputs, indices), tf.gather(all_labels, indices)

        batches = pipeline.make_index_batches(order, known_length).map(take, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)

    def decode(self, files: ImageFiles) -> np.ndarray:
        """See `Engine.decode`."""
        return np.stack([one.numpy() for one in map(pipeline.make_decoder(files), range(len(files)))])

    def start_loading(self, loader: tf.data.Dataset) -> Training:
        """See `Engine.start_loading`."""
        return pipeline.Loading(loader)

    def start_on_features(
        self,
        step: HeadStep,
        variant: Variant,
        variables: Sequence[keras.Variable],
        data: tuple[np.ndarray, np.ndarray],
        order: Order,
    ) -> Training:
        """See `Engine.start_on_features`."""
        return HeadTraining(step, lambda function: device.compile_function(variant, function), *data, order)

    def list_extraction_forms(self, task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
        """See `Engine.list_extraction_forms`."""
        return extraction.list_extraction_forms(task, variant)

    def make_extractor(self, model: keras.Model, transform: Callable, task: Task, form: ExtractionForm) -> Extractor:
        """See `Engine.make_extractor`."""
        return extraction.make_extractor(lambda images: model(transform(images)), task, form)

    def free(self) -> None:
        """See `Engine.free`. The iterator is in a reference cycle, which is otherwise collected at some later time."""
        pipeline.free_iterator(gc.collect)


BACKEND = Keras(TensorFlowEngine())


def _make_batches(images: np.ndarray, labels: np.ndarray, order: Order, known_length: bool) -> tf.data.Dataset:
    """Batches of raw images, of the rows that they are to be augmented by, if there are any, and of labels."""
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)
    rows, order = pipeline.hold_rows(order)

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        indices = permutation % len(images) if rows else permutation
        own = (tf.gather(one, permutation) for one in rows)
        ordered = tf.gather(all_images, indices), *own, tf.gather(all_labels, indices)
        return tf.data.Dataset.from_tensor_slices(ordered).batch(order.batch_size, drop_remainder=order.drop_last)

    return pipeline.make_batches_of_epochs(order, one_epoch, known_length)
