"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import keras
import numpy as np

from backends import folding, knobs
from backends.augmentation import augments
from backends.base import Backend, Trainer, Training
from backends.exported.evaluation import evaluate
from backends.exported.executed_network import name_graph
from backends.exported.network_graph import NetworkGraph
from backends.exported.weight_layouts import lay_out_for_engines
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.keras import model, optimizer, preprocess
from backends.keras.engine import Engine, Tensor
from backends.keras.operations import OPERATIONS
from backends.kernels import Kernel
from backends.paused_fit import PausedFit
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Head, Order, Tensors

Batch = tuple[Tensor, Tensor]


class KerasTrainer(Trainer):
    """`backends.base.Trainer` in Keras: a compiled model, trained with `fit`."""

    def __init__(self, engine: Engine, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> None:
        knobs.check_variant(engine.backend, variant, task)
        variant = name_graph(task, variant)
        self.engine, self.task, self.variant = engine, task, variant
        engine.set_up(variant)
        self.transform = preprocess.make_transform(task, variant, engine.resizes_in_model_of(task))
        if augments(task):
            self.transform = engine.compile_transform(self.transform)
        self.group = int(knobs.get_value(engine.backend, variant, "steps_per_execution"))
        with engine.distribute():
            self._make_model()
        self.until_inputs = keras.Model(self.model.input, self.model.get_layer("normalise").output)
        self.until_features = keras.Model(self.model.input, self.model.get_layer("pool").output)
        self.backbone = model.find_backbone(self.model)
        self.classifier = self.model.get_layer("head")
        self.trained = model.list_trained_variables(self.backbone, task)
        self.forward = engine.compile_function(variant, self._forward, self.model.weights)
        self.checkpoint, self.initial_head = checkpoint, head
        self.executed_tensors = folding.prepare_tensors(task, checkpoint, variant)
        self.reset()
        in_force = model.find_knobs_in_force(self.model, engine.find_execution(self.model, variant))
        description = engine.pipelines[variant.images or "streamed"]
        if engine.resizes_in_model and augments(task):
            description += ", augmented on the device"
        self.resolved = engine.resolve(variant, self.model, description, in_force)

    def _make_model(self) -> None:
        """Make the compiled model, its optimizer's variables and its training functions."""
        self.model = model.build(self.task, self.variant, self.engine)
        self.model.compile(
            optimizer=optimizer.make_optimizer(self.task, self.engine.keep_resident),
            loss=model.make_loss(self.task),
            steps_per_execution=self.group,
            **self.engine.executions[self.variant.execution],
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.steps = {count: self._steps(count) for count in sorted({1, self.group})}

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        model.load(self.backbone, self.task, self.executed_tensors)
        self.classifier.kernel.assign(self.initial_head.kernel)
        self.classifier.bias.assign(self.initial_head.bias)
        for variable in self.model.optimizer.variables:
            if variable is not self.model.optimizer.learning_rate:
                variable.assign(keras.ops.zeros(variable.shape, variable.dtype))

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return _to_numpy(self.until_inputs(self._inputs(images, *rows)))

    def decode(self, files: ImageFiles) -> np.ndarray:
        """See `Trainer.decode`."""
        return self.engine.decode(files)

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return _to_numpy(self.forward(self._inputs(images))[0])

    def list_extraction_forms(self) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""
        return self.engine.list_extraction_forms(self.task, self.variant)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        whole = model.build(self.task, form.variant, self.engine)
        model.load(
            model.find_backbone(whole), self.task, folding.prepare_tensors(self.task, self.checkpoint, form.variant)
        )
        until_features = keras.Model(whole.input, whole.get_layer("pool").output)
        transform = preprocess.make_transform(self.task, form.variant, self.engine.resizes_in_model_of(self.task))
        return self.engine.make_extractor(until_features, transform, self.task, form)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return _to_numpy(self.forward(self._inputs(images))[1])

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        loss, (kernel, bias) = self._compute_gradients(images, labels, [self.classifier.kernel, self.classifier.bias])
        return self.engine.read_loss(loss), Head(_to_numpy(kernel), _to_numpy(bias))

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        _, gradients = self._compute_gradients(images, labels, self.trained)
        return model.read_gradients(self.backbone, self.task, gradients)

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`."""
        images, labels, *own = self.engine.take_share(images, labels, *rows)
        return float(self.train_step(self._inputs(images, *own), self._labels(labels)))

    def train_step(self, inputs: Tensor, labels: Tensor) -> np.ndarray:
        """Train one step on a batch on the device; returns its mean loss."""
        with self.engine.distribute():
            return self.model.train_on_batch(inputs, labels)

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        batches = self._batches(images, labels, self.engine.share(order), self.group == 1)
        return Fit(self.model, batches, order.steps, self.steps, self.engine)

    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        return self.engine.start_loading(self._batches(images, labels, self.engine.share(order)))

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        own = self.engine.share(order)
        batches = [
            (self._inputs(images[batch], *rows), self._labels(labels[batch]))
            for batch, *rows in own.augmented_batches()
        ]
        return KerasTraining(self, itertools.cycle(batches))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        variables = [self.classifier.kernel, self.classifier.bias, *self.model.optimizer.variables]
        return self.engine.start_on_features(self._head_step, self.variant, variables, (features, labels), order)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return _to_numpy(self.classifier(features))

    def head(self) -> Head:
        """See `Trainer.head`."""
        kernel, bias = (_to_numpy(variable) for variable in (self.classifier.kernel, self.classifier.bias))
        return Head(np.array(kernel), np.array(bias))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        now = model.read(self.backbone, self.task, self.executed_tensors)
        return folding.recover_checkpoint(now, self.executed_tensors, self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        self.engine.reset_memory()

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return self.engine.read_memory()

    def _batches(
        self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order, known_length: bool = True
    ) -> Iterable:
        given = labels, order, self.transform, self.task.classes, known_length
        if isinstance(images, np.ndarray) and self.variant.images == "normalised":
            return self.engine.make_resident_loader(images, *given)
        return self.engine.make_loader(images, *given)

    def _compute_gradients(
        self, images: np.ndarray, labels: np.ndarray, variables: list[keras.Variable]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        images, labels = self.engine.take_share(images, labels)
        arrays = self.engine.join_shares(self._inputs(images), self._labels(labels))
        others = [one for one in self.model.weights if not any(one is variable for variable in variables)]
        return self.engine.compute_gradients(
            lambda inputs, targets: self.model.loss(targets, self.model(inputs, training=True)),
            arrays,
            variables,
            others,
        )

    def _steps(self, count: int) -> Callable:
        """Keras' training function that makes `count` steps in one call."""
        self.model.steps_per_execution = count
        self.model.make_train_function(force=True)
        return self.model.train_function

    def _inputs(self, *images: np.ndarray) -> Tensor:
        """Model inputs of raw images, and of the rows that they are to be augmented by, if there are any."""
        return self.transform(*map(self.engine.to_device, images))

    def _labels(self, labels: np.ndarray) -> Tensor:
        return self.engine.to_device(labels.astype(np.int64))

    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        # Not `predict`: it runs normalisations in inference mode, even if the task says `batch_stats`.
        features = self.until_features(inputs, training=self.task.batch_norm == "batch_stats")
        return features, self.classifier(features)

    def _head_step(self, features: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """A step as in Keras' guide to custom training steps. Keras' losses divide by the size of the batch, so the
        weights are multiplied by it.
        """
        scaled = weights * keras.ops.cast(keras.ops.size(weights), "float32")
        variables = [self.classifier.kernel, self.classifier.bias]
        loss, gradients = self.engine.compute_gradients(
            lambda features, labels, weights: self.model.loss(labels, self.classifier(features), sample_weight=weights),
            (features, labels, scaled),
            variables,
        )
        self.model.optimizer.apply(gradients, variables)
        return loss


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


class KerasTraining(Training):
    """`train_on_batch` over batches on the device; it pauses between calls."""

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


class Fit(PausedFit, keras.callbacks.Callback):
    """Pauses in `on_train_batch_begin`, which costs a step that does not wait one comparison. The whole order is one
    Keras epoch, so that nothing restarts at the harness' epochs.

    If one call makes several steps, the callback is called once for it. While fewer steps are left, each call makes
    one: Keras looks up its training function for every call.
    """

    #: `fit` may wait for tf.data, and then nothing else waits (see `Engine.free`).
    close_seconds = 2.0

    def __init__(
        self, model: keras.Model, batches: Iterable, steps: int, functions: Mapping[int, Callable], engine: Engine
    ) -> None:
        """Start `fit`, which waits for the first steps.

        Args:
            model: compiled.
            batches: of the order.
            steps: number of batches.
            functions: the model's training functions, by the number of steps that one call makes; 1 is among them.
            engine: that Keras runs on.
        """
        self._engine = engine
        self._fitted, self._functions, self._group = model, functions, max(functions)
        super().__init__(lambda: self._fit(batches), steps)

    def prepare(self) -> None:
        """See `PausedFit.prepare`."""
        self._fitted.reset_metrics()

    def read_loss(self) -> float:
        """See `PausedFit.read_loss`."""
        self._engine.update_variables(self._fitted)
        return float(self._fitted.get_metrics_result()["loss"])

    def close(self) -> None:
        """See `Training.close`."""
        super().close()
        self._engine.free()

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Continue while steps are left; otherwise report the loss and wait."""
        if self.left <= 0:
            with self.gate:
                if batch:
                    self.report()
                self.wait()
        self._prepare_call()

    def on_train_end(self, logs: object = None) -> None:
        """Report the loss of the order's last steps. This cannot wait for `fit` to return: on TensorFlow it frees its
        iterator first, which may take long.
        """
        with self.gate:
            if self.left == 0:
                self.report()

    def _prepare_call(self) -> None:
        """Prepare the next call: a whole group of steps if that many are left, or one step."""
        steps = self._group if self.left >= self._group else 1
        self.left -= steps
        if self._group > 1:
            self._fitted.steps_per_execution = steps
            self._fitted.train_function = self._functions[steps]

    def _fit(self, batches: Iterable) -> None:
        with self._engine.distribute():
            self._fitted.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[self])


class Keras(Backend):
    """The backends on Keras: one for each engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.backend

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`."""
        self.engine.join(group, variant)

    def leave(self) -> None:
        """See `Backend.leave`."""
        self.engine.leave()

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return self.engine.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return KerasTrainer(self.engine, task, variant, checkpoint, head)

    def evaluate_network(self, graph: NetworkGraph, tensors: Tensors, images: np.ndarray) -> np.ndarray:
        """See `Backend.evaluate_network`."""
        laid_out = lay_out_for_engines(graph)
        values = {name: keras.ops.convert_to_tensor(tensor) for name, tensor in laid_out.lay_out(tensors).items()}
        compute = partial(evaluate, laid_out.graph, OPERATIONS)
        return _to_numpy(self.engine.compile_function(Variant(), compute, ())(values, self.engine.to_device(images)))

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return self.engine.build_kernel(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return self.engine.profile(run, folder)
