"""Task and Variant: what is trained, and how it is executed. Validated, immutable, serialisable, framework-neutral."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from backends.backbones import BACKBONES, Backbone
from backends.exported.exported_backbone import PROGRAM, WEIGHTS, find_backbone, is_exported
from backends.task_entries import DATASETS

Channel3 = tuple[float, float, float]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
#: Width or height of an image in pixels: far more than a classifier of images is trained with.
Side = Annotated[int, Field(ge=1, le=10_000)]
#: Updates of a schedule: the rate of each is a number in memory.
MOST_UPDATES = 10_000_000
Value = TypeVar("Value")
#: A knob that is not set is not written: a reader older than the knob, for example the worker of a gate's base, would
#: refuse it. Written in C, the condition cannot be interrupted by Ctrl-C, which pydantic would report as an error.
IfSet = Annotated[Value | None, Field(exclude_if=(None,).__contains__)]
Execution = Literal[
    "eager",
    "compiled",
    "compiled_frozen",
    "functional",
    "torchscript",
    "onednn_graph",
    "xla",
    "reduce_overhead",
    "max_autotune",
    "cuda_graphs",
]

#: AdamW's least epsilon where a trained backbone is normalised by a batch's statistics. The gradient of some tensors is
#: nothing but rounding there, for example that of a shift before another normalisation, and with a smaller epsilon
#: these move as far as all others, in another direction in each framework. With 1e-8 running statistics of PyTorch and
#: JAX differ by 3e-3 after three steps at 0.001, with 1e-4 by 6e-6 (ResNet-18, all trained, batch 8, 32 px).
LEAST_EPSILON_OF_STATISTICS = 1e-4
#: The context in which stored tasks are validated: what they name may have come with a package that is not installed.
STORED = {"stored": True}


def list_weights(backbone: str) -> tuple[str, ...]:
    """The weights that a task may name for a backbone of the table, or for an exported network."""
    if backbone.startswith(PROGRAM):
        return WEIGHTS
    return (*(WEIGHTS if is_exported(backbone) else BACKBONES[backbone].weights), "random")


class Task(BaseModel):
    """What is trained: the fields that decide whether two fine-tunes are the same experiment.

    Attributes:
        name: the entry of the task table that it comes from; not part of the hash.
        backbone, weights: entry of the backbone table, and one of its checkpoints (`random` draws one); or a network of
            timm, as `timm/vit_tiny_patch16_224`, with its `pretrained` weights or `random` ones; or a program that the
            user has saved, as `program/NAME-HASH`, with its own weights, which count as `pretrained`.
        dataset: entry of the table of data sets.
        image_size: width and height in pixels that images are resized to (bilinear, half-pixel centres, no
            antialias: the one rule that all frameworks share).
        resize, crop: how the user's own images become squares, before all else: the shorter side is resized to `resize`
            px (Pillow's bilinear, antialiased) and `crop` x `crop` px of the centre are kept. None is `crop`, and
            `image_size`.
        mean, std: normalisation per channel, of pixels scaled to 0..1.
        batch_norm: `frozen` uses the checkpoint's running statistics; `batch_stats` normalises by the batch and
            moves them, as a PyTorch model does that is never put in eval mode.
        trainable: only the `head`, the head and the `last-stage` of the backbone, or `all`. In a trained part batch
            normalisations do what `batch_norm` says, and their scales and shifts are trained.
        update_rule: `sgd` or `adamw`, as `torch.optim.SGD` and `torch.optim.AdamW` define them.
        learning_rate: of all trained tensors.
        momentum, nesterov: of SGD, and whether it is Nesterov's.
        beta1, beta2, epsilon: of AdamW: how much of the moments is kept in a step, and what is added to the root of the
            second.
        weight_decay: of all trained tensors, biases and normalisations among them. In SGD this share of a tensor is
            added to its gradient; in AdamW the share times the learning rate is taken from the tensor.
        clip_norm: the largest global L2 norm of the gradients of all trained tensors: where theirs is larger, they are
            scaled together, as `torch.nn.utils.clip_grad_norm_` does; None leaves them as they are.
        accumulate: the gradients of so many consecutive steps are averaged, and the update is made in the last of them.
            What is left over at the end of the training is no update. The schedule counts updates.
        label_smoothing: this share of each target is spread over all classes alike, its own among them.
        schedule: whether the learning rate is `constant`, falls with the `cosine`, or by `step` to a tenth after each
            third of the steps; see `backends.recipe`.
        warm_up: updates at the start in which the learning rate rises linearly. Without `accumulate` each step makes
            one.
        schedule_steps: updates that warm-up and schedule take; None is the whole training, and the harness sets it once
            it knows the number of images.
        flip: whether each training image is flipped horizontally with a probability of a half, anew in each epoch.
        crop_scale: the least share of its area that is cropped at random from each training image and resized; 1 is no
            cropping. See `bench.data.augmentations`.
        jitter: how far the factors of its brightness, contrast and saturation are from 1, at most.
        batch_size, epochs: images in a step, and passes over all training images.
        last_batch: whether the last, partial batch of an epoch is `kept` or `dropped`.
        train_limit: number of training images, drawn from the seed; None is all of them.
        seed: of the head's initial values, the subset, and the order of images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    backbone: str
    weights: str
    dataset: str
    image_size: Positive
    resize: IfSet[Side] = None
    crop: IfSet[Side] = None
    mean: Channel3 = (0.5, 0.5, 0.5)
    std: tuple[Deviation, Deviation, Deviation] = (0.5, 0.5, 0.5)
    batch_norm: Literal["frozen", "batch_stats"] = "frozen"
    #: A default of this field, as of those below that have `exclude_if`, is not written: a reader older than the field
    #: would refuse it, and the hash would change.
    trainable: Annotated[Literal["head", "last-stage", "all"], Field(exclude_if="head".__eq__)] = "head"
    update_rule: Annotated[Literal["sgd", "adamw"], Field(exclude_if="sgd".__eq__)] = "sgd"
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: Annotated[bool, Field(exclude_if=False.__eq__)] = False
    beta1: Annotated[float, Field(ge=0, lt=1, exclude_if=(0.9).__eq__)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1, exclude_if=(0.999).__eq__)] = 0.999
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False, exclude_if=(1e-8).__eq__)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False, exclude_if=(0.0).__eq__)] = 0.0
    clip_norm: IfSet[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = None
    accumulate: Annotated[int, Field(ge=1, exclude_if=(1).__eq__)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=1, exclude_if=(0.0).__eq__)] = 0.0
    schedule: Annotated[Literal["constant", "cosine", "step"], Field(exclude_if="constant".__eq__)] = "constant"
    warm_up: Annotated[int, Field(ge=0, exclude_if=(0).__eq__)] = 0
    schedule_steps: IfSet[Annotated[int, Field(ge=1, le=MOST_UPDATES)]] = None
    flip: Annotated[bool, Field(exclude_if=False.__eq__)] = False
    crop_scale: Annotated[float, Field(gt=0, le=1, exclude_if=(1.0).__eq__)] = 1.0
    jitter: Annotated[float, Field(ge=0, le=1, exclude_if=(0.0).__eq__)] = 0.0
    batch_size: Positive = 4
    epochs: Positive = 2
    last_batch: Literal["kept", "dropped"] = "kept"
    train_limit: Positive | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check_fields(self, info: ValidationInfo) -> Task:
        if self.dataset not in DATASETS and info.context != STORED:
            raise ValueError(f"dataset {self.dataset!r} is not one of {', '.join(DATASETS)}")
        if is_exported(self.backbone):
            self._check_exported()
        elif self.backbone in BACKBONES:
            self._check_network()
        elif info.context != STORED:
            raise ValueError(f"backbone {self.backbone!r} is not one of {', '.join(BACKBONES)}")
        if self.framing[0] < self.framing[1]:
            resize, crop = self.framing
            raise ValueError(f"resize {resize} is less than the crop, {crop} px: use {crop} or more, or a smaller crop")
        self._check_recipe()
        return self

    def _check_weights(self) -> None:
        if self.weights not in (known := list_weights(self.backbone)):
            raise ValueError(
                f"weights {self.weights!r} do not exist for {self.backbone}: use one of {', '.join(known)}"
            )

    def _check_network(self) -> None:
        self._check_weights()
        if self.image_size < self.network.stride:
            raise ValueError(
                f"image size {self.image_size} is too small for {self.backbone}: use {self.network.stride} or more"
            )
        if self.batch_norm == "batch_stats" and self.values_per_channel(self.batch_size) == 1:
            raise ValueError(
                f"batch norm 'batch_stats' would see one value per channel at batch size {self.batch_size} and "
                f"{self.image_size} px: use a batch size of 2 or more, or larger images"
            )

    def _check_recipe(self) -> None:
        if self.update_rule == "adamw" and self.nesterov:
            raise ValueError("Nesterov's momentum is SGD's: leave nesterov out, or use update rule sgd")
        moves = self.trainable != "head" and self.batch_norm == "batch_stats"
        if self.update_rule == "adamw" and moves and self.epsilon < LEAST_EPSILON_OF_STATISTICS:
            raise ValueError(
                f"AdamW with epsilon {self.epsilon:g} steps along rounding errors where batch norm 'batch_stats' "
                f"leaves no other gradient: use epsilon {LEAST_EPSILON_OF_STATISTICS:g} or more, or batch norm frozen"
            )
        if self.update_rule == "sgd" and (self.beta1, self.beta2, self.epsilon) != (0.9, 0.999, 1e-8):
            raise ValueError("beta1, beta2 and epsilon are AdamW's: leave them out, or use update rule adamw")
        if self.nesterov and not self.momentum:
            raise ValueError("Nesterov's momentum needs a momentum above 0: set one, or leave nesterov out")
        if self.schedule == "constant" and self.schedule_steps is not None:
            raise ValueError(
                "schedule_steps are those of a schedule, and the learning rate is constant: set a schedule, or leave "
                "schedule_steps out"
            )
        if self.schedule_steps is not None and self.warm_up >= self.schedule_steps:
            raise ValueError(
                f"a warm-up of {self.warm_up} {self.update_unit} is too long for a schedule of "
                f"{self.schedule_steps}: use fewer than these, or more schedule_steps"
            )

    def _check_exported(self) -> None:
        self._check_weights()
        if self.batch_norm != "frozen":
            raise ValueError(
                f"batch norm {self.batch_norm!r} is for backbones of the table, and {self.backbone} is exported with "
                "fixed statistics: use batch norm frozen"
            )

    @property
    def network(self) -> Backbone:
        """The entry of the backbone table, or the exported network.

        Raises:
            LookupError: this process does not know the exported network.
        """
        if is_exported(self.backbone):
            return find_backbone(self.backbone, self.image_size)
        return BACKBONES[self.backbone]

    @property
    def framing(self) -> tuple[int, int]:
        """`resize` and `crop`, with the values that they have by default."""
        crop = self.crop or self.image_size
        return self.resize or crop, crop

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the backbone's trained tensors, in its order; running statistics move, but are not trained."""
        if self.trainable == "head":
            return ()
        names, first = self.network.parameters, 0
        if self.trainable == "last-stage":
            first = next(at for at, name in enumerate(names) if name.startswith(self.network.last_stage))
        return names[first:]

    @property
    def update_unit(self) -> str:
        """What warm-up and schedule are counted in, in words: `steps`, or `updates` where several steps make one."""
        return "steps" if self.accumulate == 1 else "updates"

    @property
    def classes(self) -> int:
        """Number of classes: the outputs of the head."""
        return DATASETS[self.dataset].classes

    def values_per_channel(self, batch: int) -> int:
        """Number of values that the last batch normalisation averages over, in a batch of `batch` images."""
        side = -(-self.image_size // self.network.stride)
        return batch * side * side

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of all fields except the name."""
        content = self.model_dump(mode="json", exclude={"name"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


class Variant(BaseModel):
    """How a backend executes a task. `None` is the backend's default: what the framework's docs show to a new user.

    The knobs are described, with the values of each backend, in `backends.knob_table`.

    Attributes:
        name: `default`, `matched`, `tuned`, or the values of the knobs that are set.
        execution: `eager`, `compiled` (torch.compile, tf.function, nnx.jit), `compiled_frozen`, `functional` (jax.jit),
            `torchscript`, `onednn_graph`, `xla`, or with a GPU `reduce_overhead`, `max_autotune` and `cuda_graphs`.
        precision: of the frozen forward.
        layout: memory order of images.
        folding: of frozen batch normalisations into the convolutions before them; `product` also writes convolutions
            of small maps as matrix products.
        gradients: how the frozen forward is kept out of the graph of gradients; `closed_form` needs no graph.
        images: `streamed` through the input pipeline as network inputs or as `uint8`, `resident` on the device as raw
            images, or `normalised` there once; `encoded` ones are decoded in the input pipeline.
        workers, prefetch: processes of a DataLoader, and batches that each of them prepares ahead.
        transfer: whether batches leave the host from `pageable` or from `pinned` memory.
        steps_per_execution: training steps that one call of a compiled function makes.
        optimizer: how an update is computed; what it is, is the task's.
        autotune: whether cuDNN tries its algorithms, or guesses the best one.
        graph: what the frozen backbone is written in.
        kernels: the library that computes operations on a CPU.
        inter_op: whether operations may run in parallel.
        affinity: whether each thread stays on one core.
        allocator: of the host's memory.
        features: `recomputed` every step, or `cached` once.
        threads: of one operation (intra-op); None is the number of CPUs that the process may use.
        device: `cpu`, `cuda` or `cuda:N`.
        devices: number of devices, with one process each, that train together; a task's batch size is that of all.
        exchange: `none` keeps several devices from exchanging gradients: each process trains a head of its own on its
            share of each batch. That is no fine-tune; it shows what the exchange costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    execution: IfSet[Execution] = None
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    layout: IfSet[Literal["nchw", "nhwc"]] = None
    folding: IfSet[Literal["none", "conv_bn", "product"]] = None
    gradients: IfSet[Literal["no_grad", "inference_mode", "closed_form"]] = None
    images: IfSet[Literal["streamed", "uint8", "resident", "normalised", "encoded"]] = None
    workers: IfSet[Literal["0", "1", "2", "4"]] = None
    prefetch: IfSet[Literal["2", "4", "8"]] = None
    transfer: IfSet[Literal["pageable", "pinned"]] = None
    steps_per_execution: IfSet[Literal["1", "4", "8", "32"]] = None
    optimizer: IfSet[Literal["unfused", "fused"]] = None
    autotune: IfSet[Literal["heuristic", "autotuned"]] = None
    graph: IfSet[Literal["keras_layers", "nnx_modules", "tf_ops", "exported"]] = None
    kernels: IfSet[Literal["onednn", "eigen"]] = None
    inter_op: IfSet[Literal["parallel", "sequential"]] = None
    affinity: IfSet[Literal["free", "bound"]] = None
    allocator: IfSet[Literal["system", "jemalloc", "tcmalloc", "hugepages"]] = None
    features: Literal["recomputed", "cached"] = "recomputed"
    threads: IfSet[Positive] = None
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    devices: IfSet[Positive] = None
    exchange: IfSet[Literal["none"]] = None
