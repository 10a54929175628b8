"""The convolutions of a backbone at an image size: shapes, strides and padding, in the order of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backends.backbones import Backbone
from backends.exported.exported_backbone import ExportedBackbone
from backends.exported.network_graph import NetworkGraph, Operation

#: The source of the network's first convolution.
IMAGES = "images"


@dataclass(frozen=True)
class Geometry:
    """Width and height of the map that a convolution reads, and its stride."""

    side: int
    stride: int


@dataclass(frozen=True)
class Convolution:
    """One convolution of square maps, (n, side, side, in_channels) to (n, out_side, out_side, out_channels).

    Attributes:
        name: the prefix of its tensors in `Backbone.tensors`.
        source: the convolution, or the block, whose output it reads; `IMAGES` for the first.
        kernel, stride: in pixels, in both directions.
        pad_before, pad_after: pixels of padding above and left, and below and right.
        groups: 1, or `in_channels` in a depthwise convolution.
        side: width and height of its input.
        has_activation: whether an activation follows, after the shortcut if there is one.
        adds_shortcut: whether a block's shortcut is added to its output.
    """

    name: str
    source: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    pad_before: int
    pad_after: int
    groups: int
    side: int
    has_activation: bool
    adds_shortcut: bool = False

    @property
    def out_side(self) -> int:
        """Width and height of its output."""
        return (self.side + self.pad_before + self.pad_after - self.kernel) // self.stride + 1

    @property
    def weights(self) -> tuple[int, int, int, int]:
        """Shape of its weights, (out, in, height, width) as in `Backbone.tensors`."""
        return self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel

    @property
    def taps(self) -> list[list[int]]:
        """In one direction, for each output pixel: the kernel positions that lie on a pixel and not on padding."""
        first = [at * self.stride - self.pad_before for at in range(self.out_side)]
        return [[place for place in range(self.kernel) if 0 <= start + place < self.side] for start in first]


def list_convolutions(backbone: Backbone, image_size: int) -> tuple[Convolution, ...]:
    """All convolutions of a backbone, for images (n, image_size, image_size, 3). Of an exported network those of square
    maps and kernels with weights of the checkpoint; the others are operations as any.
    """
    if isinstance(backbone, ExportedBackbone):
        return tuple(_iterate_exported(backbone.graph))
    iterate = _iterate_resnet if backbone.family == "resnet" else _iterate_efficientnet_lite
    return tuple(iterate(backbone, image_size))


def _iterate_exported(graph: NetworkGraph) -> Iterator[Convolution]:
    shapes = {one.name: one.shape for one in graph.operations} | {IMAGES: ("b", *graph.image)}
    for one in graph.operations:
        if one.kind != "convolution" or not is_square_convolution(one, graph, shapes.get(one.inputs[0], ())):
            continue
        out, into, kernel, _ = graph.tensors[one.inputs[1]]
        (before, after), *_ = one.attributes["padding"]
        groups, side = int(one.attributes["groups"]), int(shapes[one.inputs[0]][2])
        yield Convolution(
            one.inputs[1].rpartition(".")[0],
            one.inputs[0],
            into * groups,
            out,
            kernel,
            int(one.attributes["strides"][0]),
            before,
            after,
            groups,
            side,
            has_activation=False,  # an operation of its own in the graph, as a shortcut is
        )


def is_square_convolution(one: Operation, graph: NetworkGraph, shape: Sequence[int | str]) -> bool:
    """Whether a convolution is one of square maps with a square kernel of the checkpoint, of all channels or of each on
    its own; `shape` is that of its input.
    """
    if len(shape) != 4 or shape[2] != shape[3]:
        return False
    if one.inputs[1] not in graph.tensors or not one.inputs[1].endswith(".weight") or one.shape[0] != "b":
        return False
    out, into, height, width = graph.tensors[one.inputs[1]]
    attributes = one.attributes
    if attributes["groups"] != 1 and not (into == 1 and attributes["groups"] == out):
        return False
    both = all(len(set(attributes[name])) == 1 for name in ("strides", "padding", "dilations"))
    return height == width and both and attributes["dilations"][0] == 1 and shape[0] == "b"


def compute_same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's `same` padding, before and after (tf.nn: "SAME padding")."""
    whole = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return whole // 2, whole - whole // 2


def compute_pooled_side(side: int) -> int:
    """Width and height of a map after ResNet's max pooling: 3 x 3, stride 2, padding 1."""
    return (side + 2 - 3) // 2 + 1


def _iterate_resnet(backbone: Backbone, side: int) -> Iterator[Convolution]:
    """As torchvision builds it: padding of half the kernel, stride 2 in the first block of stages 2 to 4."""
    stem = Convolution("conv1", IMAGES, 3, 64, 7, 2, 3, 3, 1, side, has_activation=True)
    yield stem
    side, channels, source = compute_pooled_side(stem.out_side), 64, stem.name
    expansion = 4 if backbone.block == "bottleneck" else 1
    for stage, repeats in enumerate(backbone.blocks, start=1):
        width = 64 * 2 ** (stage - 1)
        for index in range(repeats):
            prefix, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            if backbone.block == "basic":
                kernels = [(width, 3, stride), (width, 3, 1)]
            else:
                kernels = [(width, 1, 1), (width, 3, stride), (width * expansion, 1, 1)]
            reads, into, inner = source, channels, side
            for number, (out, kernel, step) in enumerate(kernels, start=1):
                half, last = kernel // 2, number == len(kernels)
                one = Convolution(
                    f"{prefix}.conv{number}",
                    reads,
                    into,
                    out,
                    kernel,
                    step,
                    half,
                    half,
                    1,
                    inner,
                    True,
                    adds_shortcut=last,
                )
                yield one
                reads, into, inner = one.name, out, one.out_side
            if index == 0 and (stage > 1 or expansion > 1):
                name = f"{prefix}.downsample.0"
                yield Convolution(name, source, channels, into, 1, stride, 0, 0, 1, side, has_activation=False)
            side, channels, source = inner, into, prefix


def _iterate_efficientnet_lite(backbone: Backbone, side: int) -> Iterator[Convolution]:
    """As TensorFlow trained it, with `same` padding."""

    def convolution(
        name: str, reads: str, into: int, out: int, side: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> Convolution:
        before, after = compute_same_padding(side, kernel, stride)
        return Convolution(name, reads, into, out, kernel, stride, before, after, groups, side, has_activation=True)

    stem = convolution("conv_stem", IMAGES, 3, 32, side, kernel=3, stride=2)
    yield stem
    side, channels, source = stem.out_side, 32, stem.name
    for number, stage in enumerate(backbone.stages):
        for index in range(stage.repeats):
            prefix, stride = f"blocks.{number}.{index}", stage.stride if index == 0 else 1
            wide, reads = channels * stage.expansion, source
            if stage.expansion > 1:
                expand = convolution(f"{prefix}.conv_pw", reads, channels, wide, side)
                yield expand
                reads = expand.name
            depthwise = convolution(f"{prefix}.conv_dw", reads, wide, wide, side, stage.kernel, stride, groups=wide)
            yield depthwise
            side = depthwise.out_side
            yield Convolution(
                f"{prefix}.{'conv_pwl' if stage.expansion > 1 else 'conv_pw'}",
                depthwise.name,
                wide,
                stage.channels,
                kernel=1,
                stride=1,
                pad_before=0,
                pad_after=0,
                groups=1,
                side=side,
                has_activation=False,
                adds_shortcut=stride == 1 and channels == stage.channels,
            )
            channels, source = stage.channels, prefix
    yield convolution("conv_head", source, channels, backbone.features, side)
