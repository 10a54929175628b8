"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from backends import folding, knobs
from backends.base import Backend, Trainer, Training
from backends.engines.tensorflow import group as groups
from backends.engines.tensorflow.extraction import list_extraction_forms, make_extractor
from backends.engines.tensorflow.group import Membership
from backends.exported.evaluation import evaluate
from backends.exported.executed_network import name_graph
from backends.exported.network_graph import NetworkGraph
from backends.exported.weight_layouts import lay_out_for_engines
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.tensorflow import device as devices
from backends.tensorflow import kernels, model, optimizer, pipeline, preprocess, profiler
from backends.tensorflow.head import HeadTraining
from backends.tensorflow.operations import OPERATIONS
from backends.values import DeviceMemory, Event, Group, Head, Order, Tensors

Batch = tuple[tf.Tensor, ...]


class TensorFlowTrainer(Trainer):
    """`backends.base.Trainer` in TensorFlow."""

    def __init__(
        self, task: Task, variant: Variant, checkpoint: Tensors, head: Head, membership: Membership | None = None
    ) -> None:
        knobs.check_variant("tensorflow", variant, task)
        variant = name_graph(task, variant)
        self.task, self.variant = task, variant
        self.membership = membership or Membership()
        self.membership.check(variant)
        devices.set_up(variant)
        self.transform = preprocess.make_transform(task)
        self.on_device = variant.images in ("resident", "normalised")
        with self.membership.make_variables_in():
            self.backbone = model.build(task, variant)
            self.kernel = tf.Variable(tf.zeros((task.network.features, task.classes)), name="head_kernel")
            self.bias = tf.Variable(tf.zeros(task.classes), name="head_bias")
            self.optimizer = optimizer.make_optimizer(task, sum_gradients=self.membership.sum_over_processes)
            self.trained = model.list_trained_variables(self.backbone, task)
            self.variables = [self.kernel, self.bias, *self.trained]
            self.optimizer.build(self.variables)
        self.compile_function = partial(devices.compile_function, variant)
        self.train_steps = self._compile_training(partial(_run_in_sequence, self._train_step))
        self.resident_steps = self._compile_training(partial(_run_in_sequence, self._resident_step))
        self.group = int(knobs.get_value("tensorflow", variant, "steps_per_execution"))
        self.take = self.compile_function(self._take)
        self.forward = self.compile_function(self._forward)
        self.gradient = self._compile_training(self._gradient)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed_tensors = folding.prepare_tensors(task, checkpoint, variant)
        self.reset()
        self.frozen = model.make_forward(self.backbone, task, variant)
        in_force = model.find_knobs_in_force(self.backbone, self.frozen, self.train_steps)
        in_force |= {"steps_per_execution": str(self.group), **self.membership.describe()}
        self.resolved = devices.resolve(variant, pipeline.DESCRIPTIONS[variant.images or "streamed"], in_force)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        model.load(self.backbone, self.task, self.executed_tensors)
        self.kernel.assign(self.initial_head.kernel)
        self.bias.assign(self.initial_head.bias)
        for variable in self.optimizer.variables:
            if variable is not self.optimizer.learning_rate:
                variable.assign(keras.ops.zeros_like(variable))

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return self._inputs(images, *rows).numpy()

    def decode(self, files: ImageFiles) -> np.ndarray:
        """See `Trainer.decode`."""
        return np.stack([one.numpy() for one in map(pipeline.make_decoder(files), range(len(files)))])

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return self.forward(self._inputs(images))[0].numpy()

    def list_extraction_forms(self) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""
        return list_extraction_forms(self.task, self.variant)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        backbone = model.build(self.task, form.variant)
        model.load(backbone, self.task, folding.prepare_tensors(self.task, self.checkpoint, form.variant))
        return make_extractor(lambda images: backbone(self.transform(images)), self.task, form)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return self.forward(self._inputs(images))[1].numpy()

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        images, labels = self.membership.take_share(images, labels)
        loss, (kernel, bias, *_) = self.gradient(self._inputs(images), self._labels(labels))
        return float(loss), Head(kernel.numpy(), bias.numpy())

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        images, labels = self.membership.take_share(images, labels)
        _, (_, _, *gradients) = self.gradient(self._inputs(images), self._labels(labels))
        return model.read_gradients(self.backbone, self.task, gradients)

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`."""
        images, labels, *own = self.membership.take_share(images, labels, *rows)
        return float(self.train_steps([(self._inputs(images, *own), self._labels(labels))])[0])

    def _train_step(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Train one step on a batch on the device; the mean loss stays there."""
        loss, gradients = self._loss(inputs, labels)
        self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
        return loss

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        order = self.membership.share(order)
        if isinstance(images, np.ndarray) and self.on_device:
            return TensorFlowTraining(self.resident_steps, self._resident(images, labels, order), self.group)
        batches = iter(pipeline.make_loader(images, labels, order, self.transform))
        return TensorFlowTraining(self.train_steps, batches, self.group)

    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        order = self.membership.share(order)
        if isinstance(images, np.ndarray) and self.on_device:
            return pipeline.Loading(self.take(*batch) for batch in self._resident(images, labels, order))
        return pipeline.Loading(pipeline.make_loader(images, labels, order, self.transform))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        own = self.membership.share(order)
        batches = [
            (self._inputs(images[batch], *rows), self._labels(labels[batch]))
            for batch, *rows in own.augmented_batches()
        ]
        return TensorFlowTraining(self.train_steps, itertools.cycle(batches), self.group)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        own = self.membership.share(order)
        step = self.membership.run_as_replica(self._head_step)
        return HeadTraining(step, self.compile_function, features, labels, own)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return (tf.nn.bias_add(tf.matmul(features, self.kernel), self.bias)).numpy()

    def head(self) -> Head:
        """See `Trainer.head`."""
        return Head(self.kernel.numpy(), self.bias.numpy())

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        now = model.read(self.backbone, self.task, self.executed_tensors)
        return folding.recover_checkpoint(now, self.executed_tensors, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        devices.reset_memory()

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return devices.read_memory()

    def _resident(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Iterator[Batch]:
        """For each batch: all images and all labels, on the device, the rows that it is augmented by, if there are any,
        and its indices.

        Raw images stay uint8 on a CPU. On a GPU they become float16, which represents 0..255 exactly, because
        TensorFlow 2.21 cannot gather uint8 there.
        """
        all_labels = self._labels(labels)
        if self.variant.images == "normalised":
            all_images = pipeline.normalise_all(images, self.transform)
        else:
            all_images = tf.constant(images)
            if self.variant.device != "cpu":
                all_images = tf.cast(all_images, tf.float16)
        batches = order.augmented_batches()
        return ((all_images, all_labels, *map(tf.constant, (*rows, batch))) for batch, *rows in batches)

    def _take(self, images: tf.Tensor, labels: tf.Tensor, *batch: tf.Tensor) -> Batch:
        *rows, indices = batch
        taken = tf.gather(images, indices)
        inputs = taken if self.variant.images == "normalised" else self.transform(taken, *rows)
        return inputs, tf.gather(labels, indices)

    def _resident_step(self, images: tf.Tensor, labels: tf.Tensor, *batch: tf.Tensor) -> tf.Tensor:
        return self._train_step(*self._take(images, labels, *batch))

    def _compile_training(self, function: Callable) -> Callable:
        """A function that trains, compiled; in a group it exchanges gradients."""
        return self.compile_function(self.membership.run_as_replica(function))

    def _inputs(self, *images: np.ndarray) -> tf.Tensor:
        """Network inputs of raw images, and of the rows that they are to be augmented by, if there are any."""
        return self.transform(*map(tf.constant, images))

    def _labels(self, labels: np.ndarray) -> tf.Tensor:
        return tf.constant(labels, tf.int64)

    def _features(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.frozen(inputs, training=self.task.batch_norm == "batch_stats")

    def _forward(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = self._features(inputs)
        return features, tf.nn.bias_add(tf.matmul(features, self.kernel), self.bias)

    def _head_step(self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.nn.bias_add(tf.matmul(features, self.kernel), self.bias)
            loss = tf.reduce_sum(self._compute_losses(logits, labels) * weights)
        gradients = tape.gradient(loss, [self.kernel, self.bias], self.membership.gradient_scale)
        self.optimizer.apply_gradients(zip(gradients, [self.kernel, self.bias], strict=True))
        return loss

    def _loss(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        if self.trained:
            with tf.GradientTape() as tape:
                loss = self._mean_loss(self._features(inputs), labels)
        else:
            features = self._features(inputs)  # outside the tape, because nothing below the head is trained
            with tf.GradientTape() as tape:
                loss = self._mean_loss(features, labels)
        return loss, tape.gradient(loss, self.variables, self.membership.gradient_scale)

    def _gradient(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        loss, gradients = self._loss(inputs, labels)
        return loss, self.membership.sum_over_processes(gradients)

    def _mean_loss(self, features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = tf.nn.bias_add(tf.matmul(features, self.kernel), self.bias)
        return tf.reduce_mean(self._compute_losses(logits, labels))

    def _compute_losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        share = self.task.label_smoothing
        if not share:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        targets = tf.one_hot(labels, self.task.classes, 1 - share) + share / self.task.classes
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def _run_in_sequence(step: Callable[..., tf.Tensor], batches: Sequence[Batch]) -> list[tf.Tensor]:
    """Train a step on each batch, one after the other. In one graph TensorFlow computes the features of several batches
    in parallel, because no step changes what they depend on.
    """
    return [step(*batch) for batch in batches]


class TensorFlowTraining(Training):
    """A custom training loop over a data set, which pauses between calls.

    `steps` trains on a list of batches and returns their mean losses; the last tensor of a batch has an entry for every
    image. It is called with `group` batches, and with one while fewer than `group` steps are left.
    """

    def __init__(
        self, steps: Callable[[Sequence[Batch]], list[tf.Tensor]], batches: Iterator[Batch], group: int
    ) -> None:
        self.steps, self.batches, self.group = steps, batches, group

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        losses: list[tf.Tensor] = []
        sizes: list[int] = []
        while len(losses) < steps:
            group = self.group if len(losses) + self.group <= steps else 1
            batches = [next(self.batches) for _ in range(group)]
            losses += self.steps(batches)
            sizes += [len(batch[-1]) for batch in batches]
        # All losses are read once, at the end: reading one waits for the device.
        return float(np.average(tf.stack(losses).numpy(), weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        held, self.batches = [self.batches], iter(())
        pipeline.free_iterator(held.clear)


class TensorFlow(Backend):
    """The backend `tensorflow`."""

    name = "tensorflow"
    membership = Membership()

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`."""
        self.membership = groups.join(group, variant)

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return devices.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return TensorFlowTrainer(task, variant, checkpoint, head, self.membership)

    def evaluate_network(self, graph: NetworkGraph, tensors: Tensors, images: np.ndarray) -> np.ndarray:
        """See `Backend.evaluate_network`."""
        laid_out = lay_out_for_engines(graph)
        values = {name: tf.constant(tensor) for name, tensor in laid_out.lay_out(tensors).items()}
        return evaluate(laid_out.graph, OPERATIONS, values, tf.constant(images)).numpy()

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
