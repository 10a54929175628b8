"""Faults that make another experiment of a fine-tune, each planted in a backend where people really make it.

A fault is a context manager: inside it, trainers are built faulty. The frameworks are imported in it and not
above, as each of them has a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from backends.values import Order
from tests.backends import jax_faults as jax
from tests.backends import keras_faults
from tests.backends import lightning_faults as lightning


@dataclass(frozen=True)
class Fault:
    """Where it is planted, the task that it is planted in, and the checks that have to name it."""

    plant: Callable[[], AbstractContextManager]
    backend: str
    task: str
    named: str
    others: tuple[str, ...] = ()
    variant: str | None = None


@contextmanager
def _graph_altered(alter: Callable) -> Iterator[None]:
    """Every Keras graph passes through `alter` once it is built."""
    from backends import graphs

    real = graphs.build
    with patch.object(graphs, "build", lambda *arguments: alter(real(*arguments))):
        yield


@contextmanager
def other_epsilon() -> Iterator[None]:
    """Keras' own default, 1e-3, where torchvision has 1e-5."""
    import keras

    def alter(graph):
        for layer in graph.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.epsilon = 1e-3
        return graph

    with _graph_altered(alter):
        yield


@contextmanager
def same_padding() -> Iterator[None]:
    """`same` pads a strided convolution on the right and at the bottom; PyTorch pads all sides."""
    import keras

    def instead(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.ZeroPadding2D):
            config["padding"] = 0
        elif (max(config.get("strides", (1,))) == 2 and max(config.get("kernel_size", (1,))) > 1) or isinstance(
            layer, keras.layers.MaxPooling2D
        ):
            config["padding"] = "same"
        return layer.__class__.from_config(config)

    def alter(graph):
        return keras.models.clone_model(graph, clone_function=instead)

    with _graph_altered(alter):
        yield


@contextmanager
def trained_gamma() -> Iterator[None]:
    """The normalisations' scales stay trainable, although they run in inference mode."""
    import keras

    def alter(graph):
        graph.trainable = True
        for layer in graph.layers:
            layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
            if layer.trainable:
                layer.beta.trainable = False
        return graph

    with _graph_altered(alter):
        yield


@contextmanager
def swapped_channels() -> Iterator[None]:
    """Blue, green, red: as OpenCV reads images."""
    from backends.tensorflow import preprocess

    real = preprocess.make_transform

    def make_transform(task):
        right = real(task)
        return lambda images: right(images[..., ::-1])

    with patch.object(preprocess, "make_transform", make_transform):
        yield


@contextmanager
def other_order() -> Iterator[None]:
    """The framework's pipeline shuffles for itself."""
    from backends.tensorflow import pipeline

    real = pipeline.make_loader

    def make_loader(images, labels, order, transform):
        shuffled = np.random.default_rng(1).permuted(order.permutations, axis=1)
        return real(images, labels, Order(shuffled, order.batch_size, order.drop_last), transform)

    with patch.object(pipeline, "make_loader", make_loader):
        yield


@contextmanager
def softmax_twice() -> Iterator[None]:
    """A softmax ends the model, and the loss takes its outputs for logits and applies another."""
    import keras

    from backends.keras import model

    real = model.build

    def build(*arguments):
        built = real(*arguments)
        # Given a plain softmax layer, Keras finds its inputs and takes those for the logits, with a warning.
        built.get_layer("head").activation = lambda x: 1.0 * keras.ops.softmax(x)
        return built

    with patch.object(model, "build", build):
        yield


@contextmanager
def biased_variance() -> Iterator[None]:
    """Keras' own normalisation stores the biased variance."""
    from backends.graphs.batch_norm import BatchStatistics

    with patch.object(BatchStatistics, "call", BatchStatistics.__base__.call):
        yield


@contextmanager
def moving_statistics() -> Iterator[None]:
    """`requires_grad = False` without `.eval()`: the frozen backbone normalises by the batch."""
    from backends.pytorch import model

    real = model.build
    with patch.object(model, "build", lambda task, variant: real(task, variant).train()):
        yield


@contextmanager
def lost_momentum() -> Iterator[None]:
    """Plain SGD; the first step is the same."""
    import torch

    real = torch.optim.SGD
    with patch.object(torch.optim, "SGD", lambda parameters, lr, **others: real(parameters, lr=lr)):
        yield


@contextmanager
def last_loss() -> Iterator[None]:
    """The pipeline's training reports the loss of the last step for the mean of all."""
    from backends.pytorch.trainer import PyTorchTraining

    real = PyTorchTraining.advance
    with patch.object(PyTorchTraining, "advance", lambda self, steps: [real(self, 1) for _ in range(steps)][-1]):
        yield


@contextmanager
def altered_while_folded() -> Iterator[None]:
    """A step changes a weight that exists only in its folded form."""
    from backends.tensorflow.trainer import TensorFlowTrainer

    real = TensorFlowTrainer.step

    def step(self, images, labels):
        kernel = next(layer for layer in self.backbone.layers if layer.name == "conv1_conv").bias
        kernel.assign(kernel * 1.001)
        return real(self, images, labels)

    with patch.object(TensorFlowTrainer, "step", step):
        yield


@contextmanager
def other_epsilon_folded() -> Iterator[None]:
    """Folded with another epsilon than the network has."""
    from backends import folding

    real = folding.fold_batch_norm

    def fold_batch_norm(backbone, checkpoint):
        moved = {n: t + 1e-3 if n.endswith("running_var") else t for n, t in checkpoint.items()}
        return real(backbone, moved)

    with patch.object(folding, "fold_batch_norm", fold_batch_norm):
        yield


@contextmanager
def frozen_scales() -> Iterator[None]:
    """In the trained stage the normalisations' scales and shifts stay frozen."""
    import keras

    def alter(graph):
        for layer in graph.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        return graph

    with _graph_altered(alter):
        yield


@contextmanager
def stage_in_train_mode() -> Iterator[None]:
    """The trained stage is put in train mode: its normalisations use the batch, and move their statistics."""
    from backends.pytorch import model

    real = model.build

    def build(task, variant):
        backbone = real(task, variant)
        for module in backbone.modules():
            if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
                module.train()
        return backbone

    with patch.object(model, "build", build):
        yield


FAULTS = {
    "another epsilon": Fault(other_epsilon, "tensorflow", "frozen", "features", ("logits", "losses")),
    "same padding at stride 2": Fault(same_padding, "tensorflow", "frozen", "features", ("logits",)),
    "swapped channels": Fault(swapped_channels, "tensorflow", "frozen", "preprocessing", ("features",)),
    "another order of images": Fault(other_order, "tensorflow", "frozen", "pipeline order"),
    "trained gamma": Fault(trained_gamma, "keras", "frozen", "frozen"),
    "softmax twice": Fault(softmax_twice, "keras", "frozen", "logits", ("first loss", "losses")),
    "biased running variance": Fault(biased_variance, "keras", "batch_stats", "running statistics"),
    "statistics that move": Fault(moving_statistics, "pytorch", "frozen", "frozen, statistics", ("features",)),
    "no momentum": Fault(lost_momentum, "pytorch", "frozen", "losses", ("trajectory",)),
    "a folded bias altered": Fault(altered_while_folded, "tensorflow", "frozen", "frozen", variant="folded"),
    "folded with another epsilon": Fault(other_epsilon_folded, "keras", "frozen", "features", variant="folded"),
    "scales of the trained stage frozen": Fault(frozen_scales, "keras", "last stage", "frozen, trained"),
    "trained stage in train mode": Fault(
        stage_in_train_mode, "pytorch", "last stage", "frozen, statistics", ("features",)
    ),
    "loss of the last step": Fault(last_loss, "pytorch", "frozen", "pipeline loss"),
    "JAX, another epsilon": Fault(jax.other_epsilon, "jax", "frozen", "features", ("logits",)),
    "JAX, same padding": Fault(jax.same_padding, "jax", "frozen", "features", ("logits",)),
    "JAX, swapped channels": Fault(jax.swapped_channels, "jax", "frozen", "preprocessing", ("features",)),
    "JAX, another order of images": Fault(jax.other_order, "jax", "frozen", "pipeline order"),
    "JAX, trained gamma": Fault(jax.trained_gamma, "jax", "frozen", "frozen", ("losses",)),
    "JAX, softmax twice": Fault(jax.softmax_twice, "jax", "frozen", "logits", ("first loss",)),
    "JAX, biased running variance": Fault(jax.biased_variance, "jax", "batch_stats", "running statistics"),
    "JAX, loss of the last step": Fault(jax.last_loss, "jax", "frozen", "pipeline loss"),
    **{
        f"{backend}, {title}": Fault(plant, backend, task, named, others)
        for backend in ("keras-torch", "keras-jax")
        for title, plant, task, named, others in (
            ("another epsilon", other_epsilon, "frozen", "features", ("logits", "losses")),
            ("same padding", same_padding, "frozen", "features", ("logits",)),
            ("swapped channels", keras_faults.swapped_channels, "frozen", "preprocessing", ("features",)),
            ("another order of images", keras_faults.other_order, "frozen", "pipeline order", ()),
            ("trained gamma", trained_gamma, "frozen", "frozen", ()),
            ("softmax twice", softmax_twice, "frozen", "logits", ("first loss", "losses")),
            ("biased running variance", biased_variance, "batch_stats", "running statistics", ()),
        )
    },
    "Lightning, another epsilon": Fault(lightning.other_epsilon, "lightning", "frozen", "features", ("logits",)),
    "Lightning, same padding": Fault(lightning.same_padding, "lightning", "frozen", "features", ("logits",)),
    "Lightning, swapped channels": Fault(
        lightning.swapped_channels, "lightning", "frozen", "preprocessing", ("features",)
    ),
    "Lightning, another order of images": Fault(lightning.other_order, "lightning", "frozen", "pipeline order"),
    "Lightning, trained gamma": Fault(lightning.trained_gamma, "lightning", "frozen", "frozen", ("losses",)),
    "Lightning, softmax twice": Fault(lightning.softmax_twice, "lightning", "frozen", "logits", ("first loss",)),
    "Lightning, train mode": Fault(lightning.train_mode, "lightning", "frozen", "frozen, statistics", ("losses",)),
    "Lightning, loss of the last step": Fault(lightning.last_loss, "lightning", "frozen", "pipeline loss"),
}
