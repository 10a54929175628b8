"""The convolutions of a backbone at an image size: shapes, strides and padding, in the order of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.backbones import Backbone

#: What the network's first convolution reads.
IMAGES = "images"


@dataclass(frozen=True)
class Convolution:
    """One convolution of square maps, (n, side, side, into) to (n, out_side, out_side, out).

    Attributes:
        name: the prefix of its tensors in `Backbone.tensors`.
        reads: the convolution, or the block, whose output it reads; `IMAGES` for the first.
        into, out: channels.
        kernel, stride: in pixels, both ways.
        before, after: pixels of padding above and left, and below and right.
        groups: 1, or `into` where it is depthwise.
        side: width and height of its input.
        activated: whether an activation follows, after the shortcut if there is one.
        added: whether a block's shortcut is added to its output.
    """

    name: str
    reads: str
    into: int
    out: int
    kernel: int
    stride: int
    before: int
    after: int
    groups: int
    side: int
    activated: bool
    added: bool = False

    @property
    def out_side(self) -> int:
        """Width and height of its output."""
        return (self.side + self.before + self.after - self.kernel) // self.stride + 1

    @property
    def weights(self) -> tuple[int, int, int, int]:
        """Shape of its weights, (out, in, height, width) as in `Backbone.tensors`."""
        return self.out, self.into // self.groups, self.kernel, self.kernel

    @property
    def taps(self) -> list[list[int]]:
        """In one direction, for each output pixel: the places in the kernel that lie on a pixel and not on padding."""
        first = [at * self.stride - self.before for at in range(self.out_side)]
        return [[place for place in range(self.kernel) if 0 <= start + place < self.side] for start in first]


def convolutions(backbone: Backbone, image_size: int) -> tuple[Convolution, ...]:
    """All of them, for images (n, image_size, image_size, 3)."""
    made = _resnet if backbone.family == "resnet" else _efficientnet_lite
    return tuple(made(backbone, image_size))


def same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's `same` padding, before and after (tf.nn: "SAME padding")."""
    whole = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return whole // 2, whole - whole // 2


def pooled(side: int) -> int:
    """The side behind ResNet's max pooling: 3 x 3, stride 2, padding 1."""
    return (side + 2 - 3) // 2 + 1


def _resnet(backbone: Backbone, side: int) -> Iterator[Convolution]:
    """As torchvision builds it: padding of half the kernel, stride 2 in the first block of stages 2 to 4."""
    stem = Convolution("conv1", IMAGES, 3, 64, 7, 2, 3, 3, 1, side, activated=True)
    yield stem
    side, channels, source = pooled(stem.out_side), 64, stem.name
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
                    f"{prefix}.conv{number}", reads, into, out, kernel, step, half, half, 1, inner, True, added=last
                )
                yield one
                reads, into, inner = one.name, out, one.out_side
            if index == 0 and (stage > 1 or expansion > 1):
                name = f"{prefix}.downsample.0"
                yield Convolution(name, source, channels, into, 1, stride, 0, 0, 1, side, activated=False)
            side, channels, source = inner, into, prefix


def _efficientnet_lite(backbone: Backbone, side: int) -> Iterator[Convolution]:
    """As TensorFlow trained it, with `same` padding."""

    def convolution(
        name: str, reads: str, into: int, out: int, side: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> Convolution:
        before, after = same(side, kernel, stride)
        return Convolution(name, reads, into, out, kernel, stride, before, after, groups, side, activated=True)

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
                before=0,
                after=0,
                groups=1,
                side=side,
                activated=False,
                added=stride == 1 and channels == stage.channels,
            )
            channels, source = stage.channels, prefix
    yield convolution("conv_head", source, channels, backbone.features, side)
