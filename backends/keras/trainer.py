"""The training step, and training as a whole."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from backends import folding, graphs, knobs
from backends.base import Backend, Trainer, Training
from backends.extraction import in_batches
from backends.keras import device as devices
from backends.keras import kernels, model, pipeline, preprocess, profiler
from backends.keras.head import HeadTraining
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Head, Order, Tensors

Batch = tuple[tf.Tensor, tf.Tensor]


class KerasTrainer(Trainer):
    """`backends.base.Trainer` in Keras: a compiled model, trained with `fit`."""

    def __init__(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> None:
        knobs.check("keras", variant, task)
        self.task, self.variant = task, variant
        devices.set_up(variant)
        self.transform = preprocess.transform(task, variant)
        self.group = int(knobs.value_of("keras", variant, "steps_per_execution"))
        self.model = model.build(task, variant)
        self.until_features = keras.Model(self.model.input, self.model.get_layer("pool").output)
        self.backbone = self.model.layers[2]
        self.classifier = self.model.get_layer("head")
        self.trained = graphs.trained(self.backbone, task)
        self.model.compile(
            optimizer=keras.optimizers.SGD(task.learning_rate, task.momentum),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=self.group,
            **devices.EXECUTIONS[variant.execution],
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.steps = {count: self._steps(count) for count in sorted({1, self.group})}
        self.compiled = partial(devices.compiled, variant)
        self.forward = self.compiled(self._forward)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed = folding.executed(task, checkpoint, variant)
        self.reset()
        self.resolved = devices.resolve(variant, self.model, pipeline.DESCRIPTIONS[variant.images or "streamed"])

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        model.load(self.backbone, self.task, self.executed)
        self.classifier.kernel.assign(self.initial_head.kernel)
        self.classifier.bias.assign(self.initial_head.bias)
        for variable in self.model.optimizer.variables:
            if variable is not self.model.optimizer.learning_rate:
                variable.assign(keras.ops.zeros_like(variable))

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return keras.ops.convert_to_numpy(self.model.get_layer("normalise")(self._inputs(images)))

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return self.forward(self._inputs(images))[0].numpy()

    def extract(self, *several: np.ndarray) -> list[np.ndarray]:
        """See `Trainer.extract`."""
        form = folding.for_extraction(self.variant)
        whole = model.build(self.task, form)
        model.load(whole.layers[2], self.task, folding.executed(self.task, self.checkpoint, form))
        until_features = keras.Model(whole.input, whole.get_layer("pool").output)
        transform = preprocess.transform(self.task, form)
        any_batch = tf.TensorSpec((None, *several[0].shape[1:]), tf.uint8)  # a partial one is not traced anew
        features = tf.function(lambda images: until_features(transform(images)), input_signature=[any_batch])
        return [in_batches(lambda batch: features(tf.constant(batch)).numpy(), images, self.task) for images in several]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return self.forward(self._inputs(images))[1].numpy()

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        with tf.GradientTape() as tape:
            loss = self.model.loss(self._labels(labels), self.model(self._inputs(images), training=True))
        kernel, bias = tape.gradient(loss, [self.classifier.kernel.value, self.classifier.bias.value])
        return float(loss), Head(kernel.numpy(), bias.numpy())

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        with tf.GradientTape() as tape:
            loss = self.model.loss(self._labels(labels), self.model(self._inputs(images), training=True))
        gradients = tape.gradient(loss, [variable.value for variable in self.trained])
        return graphs.gradients(self.backbone, self.task, gradients)

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """See `Trainer.step`."""
        return float(self.train_step(self._inputs(images), self._labels(labels)))

    def train_step(self, inputs: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
        """One step on a batch on the device; returns its mean loss."""
        return self.model.train_on_batch(inputs, labels)

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        return Fit(self.model, self._batches(images, labels, order, self.group == 1), order.steps, self.steps)

    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        return pipeline.Loading(self._batches(images, labels, order))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        batches = [(self._inputs(images[batch]), self._labels(labels[batch])) for batch in order.batches()]
        return KerasTraining(self, itertools.cycle(batches))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return HeadTraining(self._head_step, self.compiled, features, labels, order)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return keras.ops.convert_to_numpy(self.classifier(features))

    def head(self) -> Head:
        """See `Trainer.head`."""
        kernel, bias = (keras.ops.convert_to_numpy(v) for v in (self.classifier.kernel, self.classifier.bias))
        return Head(np.array(kernel), np.array(bias))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        now = model.read(self.backbone, self.task, self.executed)
        return folding.read_back(now, self.executed, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        devices.reset_memory()

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return devices.memory()

    def _batches(self, images: np.ndarray, labels: np.ndarray, order: Order, counted: bool = True) -> tf.data.Dataset:
        load = pipeline.resident if self.variant.images == "normalised" else pipeline.loader
        return load(images, labels, order, self.transform, counted)

    def _steps(self, count: int) -> Callable:
        """Keras' training function of `count` steps."""
        self.model.steps_per_execution = count
        self.model.make_train_function(force=True)
        return self.model.train_function

    def _inputs(self, images: np.ndarray) -> tf.Tensor:
        return self.transform(tf.constant(images))

    def _labels(self, labels: np.ndarray) -> tf.Tensor:
        return tf.constant(labels, tf.int64)

    def _forward(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # `predict` would run normalisations in inference mode, also where the task says `batch_stats`.
        features = self.until_features(inputs, training=self.task.batch_norm == "batch_stats")
        return features, self.classifier(features)

    def _head_step(self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """As in Keras' guide to custom training steps. Its losses divide by the size of the batch."""
        with tf.GradientTape() as tape:
            scaled = weights * tf.cast(tf.size(weights), tf.float32)
            loss = self.model.loss(labels, self.classifier(features), sample_weight=scaled)
        variables = [self.classifier.kernel, self.classifier.bias]
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss


class KerasTraining(Training):
    """`train_on_batch` over batches on the device, resting between calls."""

    def __init__(self, trainer: KerasTrainer, batches: Iterator[Batch]) -> None:
        self.trainer, self.batches = trainer, batches

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        losses, sizes = [], []
        for _ in range(steps):
            inputs, labels = next(self.batches)
            losses.append(self.trainer.train_step(inputs, labels))
            sizes.append(len(labels))
        return float(np.average(losses, weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        self.batches = iter(())


#: A `fit` that is closed ends within milliseconds, or waits for tf.data, which nobody else has to (see `let_go`).
CLOSE_SECONDS = 2.0


class _Closed(Exception):
    """Unwinds `fit` when training is closed before the order's end."""


class Fit(Training, keras.callbacks.Callback):
    """One `fit` over the whole order, in a thread of its own, held at a gate before a batch whenever it may rest.

    `fit` offers no way to pause it, but a callback that blocks `on_train_batch_begin` does, and costs an
    unblocked step one comparison. The whole order is one Keras epoch, so nothing restarts at the harness' epochs.

    Where a call makes several steps, the callback comes once a call. While fewer are left to do, calls make one each:
    Keras looks its training function up for every call.
    """

    def __init__(
        self, model: keras.Model, batches: tf.data.Dataset, steps: int, functions: Mapping[int, Callable]
    ) -> None:
        """Begin.

        Args:
            model: compiled.
            batches: of the order.
            steps: how many batches there are.
            functions: the model's training functions, by the steps that a call of them makes; one of them makes one.
        """
        super().__init__()
        self._fitted, self._functions, self._group = model, functions, max(functions)
        self._ahead = steps
        self._left = 0
        self._loss = 0.0
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._gate = threading.Condition()
        self._thread = threading.Thread(target=self._fit, args=(batches,), name="fit", daemon=True)
        self._thread.start()

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if steps > self._ahead:
            raise StopIteration
        self._ahead -= steps
        with self._gate:
            self._fitted.reset_metrics()
            self._left = steps
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._left == -1 or self._ended)
        if self._error:
            raise self._error
        if self._left > 0:
            raise StopIteration
        return self._loss

    def close(self) -> None:
        """See `Training.close`."""
        with self._gate:
            self._closed = True
            self._gate.notify_all()
        self._thread.join(CLOSE_SECONDS)
        pipeline.let_go(gc.collect)  # the iterator is part of a cycle: it would be freed in the midst of something else

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Pass while steps are left; otherwise hand over the loss and wait."""
        if self._left > 0:
            self._call()
            return
        with self._gate:
            if batch:
                self._rest()
            self._gate.wait_for(lambda: self._left > 0 or self._closed)
            if self._closed:
                raise _Closed
            self._call()

    def on_train_end(self, logs: object = None) -> None:
        """Hand over the loss of the order's last steps. Later is too late: `fit` frees its iterator before it returns,
        and that may wait, see `let_go`.
        """
        with self._gate:
            if self._left == 0 and not self._closed:
                self._rest()

    def _call(self) -> None:
        """Let the next call be of as many steps as it may make."""
        steps = self._group if self._left >= self._group else 1
        self._left -= steps
        if self._group > 1:
            self._fitted.steps_per_execution = steps
            self._fitted.train_function = self._functions[steps]

    def _rest(self) -> None:
        """Say that the steps asked for are done. Reading the loss waits for the device."""
        self._loss = float(self._fitted.get_metrics_result()["loss"])
        self._left = -1
        self._gate.notify_all()

    def _fit(self, batches: tf.data.Dataset) -> None:
        try:
            self._fitted.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[self])
        except _Closed:
            pass
        except BaseException as error:  # it belongs to the thread that waits in `advance`
            self._error = error
        with self._gate:
            self._ended = True
            self._gate.notify_all()


class Keras(Backend):
    """The backend `keras`."""

    name = "keras"

    def about(self) -> dict[str, str]:
        """See `Backend.about`."""
        return devices.about()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return KerasTrainer(task, variant, checkpoint, head)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
