"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from backends import folding, knobs
from backends.base import Backend, Trainer, Training
from backends.engines.jax import group as groups
from backends.engines.jax.group import Membership
from backends.exported.evaluation import evaluate
from backends.exported.executed_network import name_graph
from backends.exported.network_graph import NetworkGraph
from backends.exported.weight_layouts import lay_out_for_engines
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.jax import device as devices
from backends.jax import kernels, model, optimizer, pipeline, preprocess, profiler
from backends.jax.head import HeadTraining
from backends.jax.operations import OPERATIONS
from backends.jax.pipeline import Batch
from backends.jax.steps import CompiledSteps, FunctionalSteps, JaxTraining, Step
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Head, Order, Tensors, check_labels

#: Values of the knob `images` whose batches are network inputs before the step.
PREPARED = ("streamed", "encoded")


class JaxTrainer(Trainer):
    """`backends.base.Trainer` in JAX."""

    def __init__(
        self, task: Task, variant: Variant, checkpoint: Tensors, head: Head, membership: Membership | None = None
    ) -> None:
        knobs.check_variant("jax", variant, task)
        variant = name_graph(task, variant)
        self.task, self.variant = task, variant
        self.membership = membership or Membership()
        self.device = devices.set_up(variant)
        self.transform = preprocess.make_transform(task)
        self.images = knobs.get_value("jax", variant, "images")
        backbone = model.build(task, variant)
        self.model = model.Classifier(backbone, task.network.features, task.classes)
        self.paths = {name: model.get_path(backbone, name) for name in task.trained}
        self.trained = {("head", "kernel"), ("head", "bias"), *(("backbone", *path) for path in self.paths.values())}
        self.optimizer = nnx.Optimizer(self.model, optimizer.make_optimizer(task), wrt=self._is_trained)
        self.prepare = jax.jit(self.transform)
        self.take = jax.jit(self._take)
        self.forward = nnx.jit(self._forward)
        self.gradient = nnx.jit(self._loss)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed_tensors = folding.prepare_tensors(task, checkpoint, variant)
        self.reset()
        with self._in_this_process():
            self.compute_features = model.make_forward(backbone, variant)
        self.group = int(knobs.get_value("jax", variant, "steps_per_execution"))
        self.train_steps, self.taking_steps = self._compile(self._train_step), self._compile(self._taking_step)
        in_force = model.find_knobs_in_force(backbone, self.compute_features, variant)
        in_force |= {"steps_per_execution": str(self.group), **self.membership.describe()}
        self.resolved = devices.resolve(variant, self.device, pipeline.DESCRIPTIONS[self.images], in_force)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        with self._in_this_process():
            model.load(self.model.backbone, self.executed_tensors)
            self.model.head.kernel[...] = jnp.array(self.initial_head.kernel)
            self.model.head.bias[...] = jnp.array(self.initial_head.bias)
            nnx.update(self.optimizer, jax.tree.map(jnp.zeros_like, nnx.state(self.optimizer)))

    @contextmanager
    def _in_this_process(self) -> Iterator[None]:
        """The context of what each process of a group computes for itself: variables have its values, which no other
        process holds. It is left with variables that all processes hold alike.
        """
        if self.membership.mesh is None:
            yield
            return
        variables = (self.model, self.optimizer)
        nnx.update(variables, self.membership.take_own(nnx.state(variables)))
        try:
            yield
        finally:
            nnx.update(variables, self.membership.replicate(nnx.state(variables)))

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return np.array(self._inputs(images, *rows))

    def decode(self, files: ImageFiles) -> np.ndarray:
        """See `Trainer.decode`."""
        return np.stack([pipeline.decode(content, files) for content in files])

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        with self._in_this_process():
            return np.array(self.forward(self.model, self._inputs(images))[0])

    def list_extraction_forms(self) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""
        return model.list_extraction_forms(self.task, self.variant)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        return model.make_extractor(self.task, form, self.checkpoint)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        with self._in_this_process():
            return np.array(self.forward(self.model, self._inputs(images))[1])

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        loss, gradients = self.gradient(self.model, *self._share(images, labels))
        return float(self.membership.read_losses(loss)), Head(
            *(np.array(gradients["head"][name][...]) for name in ("kernel", "bias"))
        )

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        _, gradients = self.gradient(self.model, *self._share(images, labels))
        own = self.membership.take_own(gradients)
        by_path = {path: variable[...] for path, variable in nnx.to_flat_state(own)}
        return {
            name: model.lay_out_as_in_checkpoint(self.model.backbone, name, by_path["backbone", *path])
            for name, path in self.paths.items()
        }

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`."""
        with self.train_steps.open() as train:
            return float(self.membership.read_losses(train((), [self._share(images, labels, *rows)]))[0])

    def _train_step(
        self, classifier: model.Classifier, optimizer: nnx.Optimizer, data: Batch, batch: Batch
    ) -> jax.Array:
        """Train one step on a batch of network inputs; the mean loss stays on the device."""
        loss, gradients = self._loss(classifier, *batch)
        optimizer.update(classifier, gradients)
        return loss

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        steps = self.train_steps if self.images in PREPARED else self.taking_steps
        data, batches = self._batches(images, labels, self.membership.share(order))
        joined = map(self.membership.join_shares, batches)
        return JaxTraining(steps, self.membership.replicate(data), joined, self.group, self.membership)

    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        data, batches = self._batches(images, labels, self.membership.share(order))
        if self.images in PREPARED:
            return pipeline.Loading(batches, lambda *batch: jax.device_put(batch, self.device))
        return pipeline.Loading(batches, lambda *batch: self.take(data, batch))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        batches = [self._share(images[batch], labels[batch], *rows) for batch, *rows in order.augmented_batches()]
        return JaxTraining(self.train_steps, (), itertools.cycle(batches), self.group, self.membership)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        trained = (self.model, self.optimizer)
        return HeadTraining(self._head_step, trained, self._changes, features, labels, order, self.membership)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        with self._in_this_process():
            return np.array(self.model.head(features))

    def head(self) -> Head:
        """See `Trainer.head`."""
        return Head(np.array(self.model.head.kernel[...]), np.array(self.model.head.bias[...]))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        with self._in_this_process():
            now = model.read(self.model.backbone, self.executed_tensors)
        return folding.recover_checkpoint(now, self.executed_tensors, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        devices.reset_memory(self.device)

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return devices.read_memory(self.device)

    def _batches(
        self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order
    ) -> tuple[Batch, Iterator[Batch]]:
        """What batches are taken from in the step, if they are, and the batches."""
        if isinstance(images, ImageFiles):
            return (), self._checked(pipeline.make_file_loader(images, labels, order, self._prepare_batch), labels)
        if self.images in ("resident", "normalised"):
            normalised = self.images == "normalised"
            all_images = pipeline.normalise_all(images, self.prepare) if normalised else jnp.array(images)
            batches = ((*rows, batch.astype(np.int32)) for batch, *rows in order.augmented_batches())
            return (all_images, self._labels(labels)), self._checked(batches, labels)
        transform = self._prepare_batch if self.images == "streamed" else _keep_batch
        return (), self._checked(pipeline.make_loader(images, labels, order, transform), labels)

    def _checked(self, batches: Iterator[Batch], labels: np.ndarray) -> Iterator[Batch]:
        check_labels(labels, self.task.classes)
        yield from batches

    def _take(self, data: Batch, batch: Batch) -> Batch:
        """The network inputs and labels of a batch, of which there are raw images, or only the indices; and rows that
        the images are augmented by, if there are any.
        """
        if not data:
            *raw, labels = batch
            return self.transform(*raw), labels
        (all_images, all_labels), (*rows, indices) = data, batch
        images = all_images[indices]
        return images if self.images == "normalised" else self.transform(images, *rows), all_labels[indices]

    def _taking_step(
        self, classifier: model.Classifier, optimizer: nnx.Optimizer, data: Batch, batch: Batch
    ) -> jax.Array:
        return self._train_step(classifier, optimizer, (), self._take(data, batch))

    def _compile(self, step: Step) -> CompiledSteps:
        functional = knobs.get_value("jax", self.variant, "execution") != "compiled"
        return (FunctionalSteps if functional else CompiledSteps)(step, self.model, self.optimizer, self._changes)

    def _is_trained(self, path: model.Path, variable: nnx.Variable) -> bool:
        return tuple(path) in self.trained

    def _changes(self, path: model.Path, variable: nnx.Variable) -> bool:
        """Whether a step changes a variable of (model, optimizer)."""
        statistic = self.task.batch_norm == "batch_stats" and isinstance(variable, nnx.BatchStat)
        return path[0] == 1 or statistic or self._is_trained(path[1:], variable)

    def _inputs(self, images: np.ndarray, *rows: np.ndarray) -> jax.Array:
        return self.prepare(images, *rows)

    def _prepare_batch(self, *images: np.ndarray) -> Batch:
        return (self.prepare(*images),)

    def _labels(self, labels: np.ndarray) -> jax.Array:
        return jnp.array(labels, jnp.int32)

    def _share(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> Batch:
        """The network inputs and labels of a batch; in a group each process prepares its own share."""
        images, labels, *own = self.membership.take_share(images, labels, *rows)
        return self.membership.join_shares((self._inputs(images, *own), self._labels(labels)))

    def _forward(self, classifier: model.Classifier, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = self.compute_features(classifier.backbone, inputs)
        return features, classifier.head(features)

    def _head_step(
        self,
        classifier: model.Classifier,
        optimizer: nnx.Optimizer,
        features: jax.Array,
        labels: jax.Array,
        weights: jax.Array,
    ) -> jax.Array:
        def compute_loss(classifier: model.Classifier) -> tuple[jax.Array, jax.Array]:
            losses = self._compute_losses(classifier, features, labels) * weights
            return jnp.sum(losses), self.membership.map_shares(jnp.sum, losses * self.membership.group.size)

        loss, gradients = self._differentiate(compute_loss, classifier)
        optimizer.update(classifier, gradients)
        return loss

    def _loss(self, classifier: model.Classifier, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, nnx.State]:
        """The mean loss, in a group that of each process; and the gradient of the whole batch's with respect to what is
        trained.
        """
        # Outside what is differentiated, if nothing below the head is trained.
        computed = None if self.paths else self.compute_features(classifier.backbone, inputs)

        def compute_loss(classifier: model.Classifier) -> tuple[jax.Array, jax.Array]:
            features = self.compute_features(classifier.backbone, inputs) if computed is None else computed
            losses = self._compute_losses(classifier, features, labels)
            return jnp.mean(losses), self.membership.map_shares(jnp.mean, losses)

        return self._differentiate(compute_loss, classifier)

    def _differentiate(self, compute_loss: Callable, classifier: model.Classifier) -> tuple[jax.Array, nnx.State]:
        trained = nnx.DiffState(0, self._is_trained)
        (_, loss), gradients = nnx.value_and_grad(compute_loss, argnums=trained, has_aux=True)(classifier)
        return loss, gradients

    def _compute_losses(self, classifier: model.Classifier, features: jax.Array, labels: jax.Array) -> jax.Array:
        logits = classifier.head(features)
        if not self.task.label_smoothing:
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        targets = optax.smooth_labels(jax.nn.one_hot(labels, self.task.classes), self.task.label_smoothing)
        return optax.softmax_cross_entropy(logits, targets)


def _keep_batch(*arrays: np.ndarray) -> Batch:
    return arrays


class Jax(Backend):
    """The backend `jax`."""

    name = "jax"
    membership = Membership()

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`."""
        self.membership = groups.join(group, variant)

    def leave(self) -> None:
        """See `Backend.leave`."""
        groups.leave()

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return devices.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return JaxTrainer(task, variant, checkpoint, head, self.membership)

    def evaluate_network(self, graph: NetworkGraph, tensors: Tensors, images: np.ndarray) -> np.ndarray:
        """See `Backend.evaluate_network`."""
        laid_out = lay_out_for_engines(graph)
        compute = partial(evaluate, laid_out.graph, OPERATIONS)
        return np.asarray(jax.jit(compute)(laid_out.lay_out(tensors), images))

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
