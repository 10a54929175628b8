"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from backends import folding, knobs
from backends.base import Backend, Trainer, Training
from backends.extraction import ExtractionForm, Extractor
from backends.jax import device as devices
from backends.jax import kernels, model, pipeline, preprocess, profiler
from backends.jax.head import HeadTraining
from backends.jax.pipeline import Batch
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Head, Order, Tensors

#: Trains a model with its optimizer on a batch, which may be taken from `data`; returns the mean loss.
Step = Callable[[model.Classifier, nnx.Optimizer, Batch, Batch], jax.Array]


class JaxTrainer(Trainer):
    """`backends.base.Trainer` in JAX."""

    def __init__(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> None:
        knobs.check_variant("jax", variant, task)
        self.task, self.variant = task, variant
        self.device = devices.set_up(variant)
        self.transform = preprocess.make_transform(task)
        self.images = knobs.get_value("jax", variant, "images")
        backbone = model.build(task, variant)
        self.model = model.Classifier(backbone, task.network.features, task.classes)
        self.paths = {name: model.get_path(backbone, name) for name in task.trained}
        self.trained = {("head", "kernel"), ("head", "bias"), *(("backbone", *path) for path in self.paths.values())}
        self.optimizer = nnx.Optimizer(self.model, optax.sgd(task.learning_rate, task.momentum), wrt=self._is_trained)
        self.prepare = jax.jit(self.transform)
        self.take = jax.jit(self._take)
        self.forward = nnx.jit(self._forward)
        self.gradient = nnx.jit(self._loss)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed_tensors = folding.prepare_tensors(task, checkpoint, variant)
        self.reset()
        self.compute_features = model.make_forward(backbone, variant)
        self.group = int(knobs.get_value("jax", variant, "steps_per_execution"))
        self.train_steps, self.taking_steps = self._compile(self._train_step), self._compile(self._taking_step)
        in_force = model.find_knobs_in_force(backbone, self.compute_features, variant)
        in_force["steps_per_execution"] = str(self.group)
        self.resolved = devices.resolve(variant, self.device, pipeline.DESCRIPTIONS[self.images], in_force)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        model.load(self.model.backbone, self.executed_tensors)
        self.model.head.kernel[...] = jnp.array(self.initial_head.kernel)
        self.model.head.bias[...] = jnp.array(self.initial_head.bias)
        nnx.update(self.optimizer, jax.tree.map(jnp.zeros_like, nnx.state(self.optimizer)))

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return np.array(self._inputs(images))

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return np.array(self.forward(self.model, self._inputs(images))[0])

    def list_extraction_forms(self) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""
        return model.list_extraction_forms(self.task, self.variant)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        return model.make_extractor(self.task, form, self.checkpoint)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return np.array(self.forward(self.model, self._inputs(images))[1])

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        loss, gradients = self.gradient(self.model, self._inputs(images), self._labels(labels))
        return float(loss), Head(*(np.array(gradients["head"][name][...]) for name in ("kernel", "bias")))

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        _, gradients = self.gradient(self.model, self._inputs(images), self._labels(labels))
        by_path = {path: variable[...] for path, variable in nnx.to_flat_state(gradients)}
        return {name: model.lay_out_as_in_checkpoint(by_path["backbone", *path]) for name, path in self.paths.items()}

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """See `Trainer.step`."""
        with self.train_steps.open() as train:
            return float(train((), [(self._inputs(images), self._labels(labels))])[0])

    def _train_step(
        self, classifier: model.Classifier, optimizer: nnx.Optimizer, data: Batch, batch: Batch
    ) -> jax.Array:
        """Train one step on a batch of network inputs; the mean loss stays on the device."""
        loss, gradients = self._loss(classifier, *batch)
        optimizer.update(classifier, gradients)
        return loss

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        steps = self.train_steps if self.images == "streamed" else self.taking_steps
        return JaxTraining(steps, *self._batches(images, labels, order), self.group)

    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        data, batches = self._batches(images, labels, order)
        if self.images == "streamed":
            return pipeline.Loading(batches, lambda *batch: jax.device_put(batch, self.device))
        return pipeline.Loading(batches, lambda *batch: self.take(data, batch))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        batches = [(self._inputs(images[batch]), self._labels(labels[batch])) for batch in order.batches()]
        return JaxTraining(self.train_steps, (), itertools.cycle(batches), self.group)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return HeadTraining(self._head_step, (self.model, self.optimizer), self._changes, features, labels, order)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return np.array(self.model.head(features))

    def head(self) -> Head:
        """See `Trainer.head`."""
        return Head(np.array(self.model.head.kernel[...]), np.array(self.model.head.bias[...]))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        now = model.read(self.model.backbone, self.executed_tensors)
        return folding.recover_checkpoint(now, self.executed_tensors, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        devices.reset_memory(self.device)

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return devices.read_memory(self.device)

    def _batches(self, images: np.ndarray, labels: np.ndarray, order: Order) -> tuple[Batch, Iterator[Batch]]:
        """What batches are taken from in the step, if they are, and the batches."""
        if self.images in ("resident", "normalised"):
            normalised = self.images == "normalised"
            all_images = pipeline.normalise_all(images, self.prepare) if normalised else jnp.array(images)
            batches = ((batch.astype(np.int32),) for batch in order.batches())
            return (all_images, self._labels(labels)), self._checked(batches, labels)
        transform = self.prepare if self.images == "streamed" else np.ascontiguousarray
        return (), self._checked(pipeline.make_loader(images, labels, order, transform), labels)

    def _checked(self, batches: Iterator[Batch], labels: np.ndarray) -> Iterator[Batch]:
        pipeline.check_labels(labels, self.task.classes)
        yield from batches

    def _take(self, data: Batch, batch: Batch) -> Batch:
        """The network inputs and labels of a batch, of which there are raw images, or only the indices."""
        if not data:
            images, labels = batch
            return self.transform(images), labels
        (all_images, all_labels), (indices,) = data, batch
        images = all_images[indices]
        return images if self.images == "normalised" else self.transform(images), all_labels[indices]

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

    def _inputs(self, images: np.ndarray) -> jax.Array:
        return self.prepare(images)

    def _labels(self, labels: np.ndarray) -> jax.Array:
        return jnp.array(labels, jnp.int32)

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
        def compute_loss(classifier: model.Classifier) -> jax.Array:
            return jnp.sum(_compute_losses(classifier, features, labels) * weights)

        loss, gradients = self._differentiate(compute_loss, classifier)
        optimizer.update(classifier, gradients)
        return loss

    def _loss(self, classifier: model.Classifier, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, nnx.State]:
        """The mean loss, and its gradient with respect to what is trained."""
        if self.paths:

            def compute_loss(classifier: model.Classifier) -> jax.Array:
                features = self.compute_features(classifier.backbone, inputs)
                return jnp.mean(_compute_losses(classifier, features, labels))
        else:
            # Outside what is differentiated, because nothing below the head is trained.
            features = self.compute_features(classifier.backbone, inputs)

            def compute_loss(classifier: model.Classifier) -> jax.Array:
                return jnp.mean(_compute_losses(classifier, features, labels))

        return self._differentiate(compute_loss, classifier)

    def _differentiate(self, compute_loss: Callable, classifier: model.Classifier) -> tuple[jax.Array, nnx.State]:
        return nnx.value_and_grad(compute_loss, argnums=nnx.DiffState(0, self._is_trained))(classifier)


def _compute_losses(classifier: model.Classifier, features: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(classifier.head(features), labels)


class CompiledSteps:
    """A training step by `nnx.jit`, as in Flax' guides: each call passes the modules, and updates them."""

    def __init__(
        self, step: Step, classifier: model.Classifier, optimizer: nnx.Optimizer, changes: Callable[..., bool]
    ) -> None:
        self.step, self.trained, self.changes = step, (classifier, optimizer), changes
        self.compiled = self._compile()

    @contextmanager
    def open(self) -> Iterator[Callable[[Batch, Sequence[Batch]], jax.Array]]:
        """A function that trains a step on each of some batches of one size, and returns their mean losses."""
        yield lambda data, batches: self.compiled(*self.trained, data, batches)

    def _compile(self) -> Callable:
        return nnx.jit(self._run_in_sequence)

    def _run_in_sequence(
        self, classifier: model.Classifier, optimizer: nnx.Optimizer, data: Batch, batches: Sequence[Batch]
    ) -> jax.Array:
        """Train a step on each batch, one after the other. (docs.jax.dev, "jax.lax.scan")"""
        if len(batches) == 1:
            return self.step(classifier, optimizer, data, batches[0])[None]
        graph, state, rest = nnx.split((classifier, optimizer), self.changes, ...)

        def train(state: nnx.State, batch: Batch) -> tuple[nnx.State, jax.Array]:
            classifier, optimizer = nnx.merge(graph, state, rest, copy=True)
            loss = self.step(classifier, optimizer, data, batch)
            return nnx.state((classifier, optimizer), self.changes), loss

        state, losses = lax.scan(train, state, jax.tree.map(lambda *parts: jnp.stack(parts), *batches))
        nnx.update((classifier, optimizer), state)
        return losses


class FunctionalSteps(CompiledSteps):
    """The same by `jax.jit`, as in Flax' guide to performance ("Functional training loop"): the state goes from call to
    call, its memory is donated, and the modules are updated when the training pauses.
    """

    @contextmanager
    def open(self) -> Iterator[Callable[[Batch, Sequence[Batch]], jax.Array]]:
        """See `CompiledSteps.open`."""
        _, state, rest = nnx.split(self.trained, self.changes, ...)

        def train(data: Batch, batches: Sequence[Batch]) -> jax.Array:
            nonlocal state
            losses, state = self.compiled(state, rest, data, batches)
            return losses

        try:
            yield train
        finally:
            nnx.update(self.trained, state)

    def _compile(self) -> Callable:
        self.graph = nnx.graphdef(self.trained)  # not an argument: comparing it would take longer than small steps
        return jax.jit(self._run_on_state, donate_argnums=0)

    def _run_on_state(
        self, state: nnx.State, rest: nnx.State, data: Batch, batches: Sequence[Batch]
    ) -> tuple[jax.Array, nnx.State]:
        classifier, optimizer = nnx.merge(self.graph, state, rest, copy=True)
        losses = self._run_in_sequence(classifier, optimizer, data, batches)
        return losses, nnx.state((classifier, optimizer), self.changes)


class JaxTraining(Training):
    """A custom training loop over batches, which pauses between calls. The last array of a batch has an entry for every
    image. `group` batches are trained on in a call, and one while fewer steps than that are left, or where sizes
    differ.
    """

    def __init__(self, steps: CompiledSteps, data: Batch, batches: Iterator[Batch], group: int) -> None:
        self.steps, self.data, self.batches, self.group = steps, data, batches, group

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        losses: list[jax.Array] = []
        sizes: list[int] = []
        with self.steps.open() as train:
            while len(sizes) < steps:
                group = self.group if len(sizes) + self.group <= steps else 1
                batches = [next(self.batches) for _ in range(group)]
                sizes += [len(batch[-1]) for batch in batches]
                same = len({len(batch[-1]) for batch in batches}) == 1
                losses += [train(self.data, part) for part in ([batches] if same else [[one] for one in batches])]
        # All losses are read once, at the end: reading one waits for the device.
        return float(np.average(np.concatenate(jax.device_get(losses)), weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        self.batches = iter(())


class Jax(Backend):
    """The backend `jax`."""

    name = "jax"

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return devices.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return JaxTrainer(task, variant, checkpoint, head)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
