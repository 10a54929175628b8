"""The work of a training step: operations and bytes, counted from the shapes alone.

*Useful* is what meets a pixel, *padded* what a kernel computes and reads with the padding around a map: where a map is
1 x 1, eight of a 3 x 3 kernel's nine taps lie on padding. A multiply-add counts as two floating-point operations, as in
papers on utilisation (Chowdhery et al., "PaLM", 2022, appendix B); tables of networks count it as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from backends import folding
from backends.convolutions import Convolution, convolutions
from backends.kernels import Pass
from backends.task import DATASETS, Task, Variant

#: Bytes of a number; the head is always trained in fp32.
SIZES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
FP32 = SIZES["fp32"]
#: By parameter, an update of SGD with momentum: v = m v + g and w = w - r v. It reads w, v and g and writes w and v.
UPDATE_FLOP, UPDATE_NUMBERS = 4, 5


@dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes read and written; useful ones, and those with padding."""

    flop: float = 0.0
    flop_padded: float = 0.0
    bytes: float = 0.0
    bytes_padded: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flop + other.flop,
            self.flop_padded + other.flop_padded,
            self.bytes + other.bytes,
            self.bytes_padded + other.bytes_padded,
        )

    @property
    def intensity(self) -> float:
        """Useful operations per byte."""
        return self.flop / self.bytes if self.bytes else 0.0


def total(works: Iterable[Work]) -> Work:
    """Their sum."""
    return sum(works, Work())


@dataclass(frozen=True)
class Step:
    """One training step of a task in a variant, on a whole batch."""

    task: Task
    variant: Variant

    @cached_property
    def layers(self) -> tuple[Convolution, ...]:
        """The convolutions that a step runs: none where their features are cached."""
        return () if self.variant.features == "cached" else convolutions(self.task.network, self.task.image_size)

    @cached_property
    def calls(self) -> tuple[tuple[Convolution, Pass], ...]:
        """The passes of the task's convolutions in their order: forward, and back through those that are trained.

        Nothing needs the gradient of what the first trained part reads.
        """
        trained = [layer for layer in self.layers if f"{layer.name}.weight" in self.task.trained]
        source = trained[0].reads if trained else None
        back: list[tuple[Convolution, Pass]] = []
        for layer in reversed(trained):
            back.append((layer, "weight_gradient"))
            if layer.reads != source:
                back.append((layer, "input_gradient"))
        return (*((layer, "forward") for layer in self.layers), *back)

    def executed(self, layer: Convolution) -> Convolution:
        """What the variant runs in its place: where it makes a product of it, a 1 x 1 convolution of the whole map as
        one pixel, see `backends.folding.as_product`.
        """
        if layer.name not in self._products:
            return layer
        into, out = layer.into * layer.side**2, layer.out * layer.out_side**2
        return replace(layer, into=into, out=out, kernel=1, stride=1, before=0, after=0, side=1)

    def work(self, layer: Convolution) -> Work:
        """One pass of a convolution, with the padding of what is run in its place."""
        batch, size = self.task.batch_size, SIZES[self.variant.precision]
        asked, run = convolution(layer, batch, size), convolution(self.executed(layer), batch, size)
        return Work(asked.flop, run.flop_padded, asked.bytes, run.bytes_padded)

    @cached_property
    def _products(self) -> frozenset[str]:
        return frozenset(folding.small_maps(self.task, self.variant))

    @property
    def operations(self) -> int:
        """Operations of the backbone's forward pass, counted singly: convolutions, normalisations that are not folded,
        activations and shortcuts.
        """
        norms = 0 if folding.folds(self.variant) else 1
        return sum(1 + norms + layer.activated + layer.added for layer in self.layers)

    @cached_property
    def parts(self) -> dict[str, Work]:
        """The step's parts by name; those of no work are left out."""
        size = SIZES[self.variant.precision]
        batch = self.task.batch_size
        of = {"forward": Work(), "weight_gradient": Work(), "input_gradient": Work()}
        for layer, what in self.calls:
            of[what] += self.work(layer)
        between = total(self._between(layer, what, batch * size) for layer, what in self.calls)
        found = {
            "images": self._images(),
            "convolutions": of["forward"],
            "between convolutions": between,
            "weights' gradients": of["weight_gradient"],
            "maps' gradients": of["input_gradient"],
            "head": self._head(),
            "update": self._update(),
        }
        return {name: work for name, work in found.items() if work != Work()}

    @property
    def compute(self) -> Work:
        """Of a step on images that are on the device already; what lies between convolutions can be fused into them."""
        return total(work for name, work in self.parts.items() if name not in ("images", "between convolutions"))

    def _images(self) -> Work:
        """The input pipeline's: raw pixels read, network inputs written; or cached features."""
        if self.variant.features == "cached":
            return _bytes(self.task.batch_size * self.task.network.features * FP32)
        raw = DATASETS[self.task.dataset][0]
        return _bytes(self.task.batch_size * 3 * (raw * raw + self.task.image_size**2 * FP32))

    def _between(self, layer: Convolution, what: Pass, bytes_per_value: int) -> Work:
        """Normalisation, activation and shortcut, each by itself. Forward they read a map and write one, and the
        shortcut reads two; back, told with the weights' gradient, each reads two and writes one. It takes an operation
        for each number, and two for the normalisation's multiply-add.
        """
        if what == "input_gradient":
            return Work()
        norm = 0 if folding.folds(self.variant) else 1
        single = 2 if what == "forward" else 3
        values = layer.out_side**2 * layer.out
        moved = values * bytes_per_value * (single * norm + single * layer.activated + 3 * layer.added)
        flop = values * self.task.batch_size * (2 * norm + layer.activated + layer.added)
        return Work(flop, flop, moved, moved)

    def _head(self) -> Work:
        """Scores, and the gradient of the kernel; that of the features where something below is trained."""
        n, d, c = self.task.batch_size, self.task.network.features, self.task.classes
        passes = 3 if self.task.trained else 2
        flop, moved = passes * 2 * n * d * c, passes * (n * d + d * c + n * c) * FP32
        return Work(flop, flop, moved, moved)

    def _update(self) -> Work:
        count = (self.task.network.features + 1) * self.task.classes + sum(
            layer.out * layer.weights[1] * layer.kernel**2 for layer, what in self.calls if what == "weight_gradient"
        )
        flop, moved = UPDATE_FLOP * count, UPDATE_NUMBERS * count * FP32
        return Work(flop, flop, moved, moved)


def convolution(layer: Convolution, batch: int, size: int) -> Work:
    """One pass of a convolution, whichever: each multiplies as often, and each reads two of input, weights and output
    and writes the third.

    Args:
        size: bytes of a number.
    """
    taps = layer.taps
    met = {place for places in taps for place in places}
    touched = set(_touched(layer))
    out, into, kernel, _ = layer.weights
    multiply_adds = batch * out * into * sum(map(len, taps)) ** 2
    padded = batch * out * into * (layer.out_side * kernel) ** 2
    output = batch * layer.out * layer.out_side**2
    numbers = out * into * len(met) ** 2 + batch * layer.into * len(touched) ** 2 + output
    around = layer.side + layer.before + layer.after
    numbers_padded = out * into * kernel**2 + batch * layer.into * around**2 + output
    return Work(2 * multiply_adds, 2 * padded, numbers * size, numbers_padded * size)


def shape(layer: Convolution, what: Pass) -> tuple[object, ...]:
    """What decides how long a pass takes: two that have it in common are the same work."""
    return what, replace(layer, name="", reads="", activated=False, added=False)


def _touched(layer: Convolution) -> Iterator[int]:
    """In one direction, the pixels that any tap lies on: a stride may leave some out."""
    for at, places in enumerate(layer.taps):
        for place in places:
            yield at * layer.stride - layer.before + place


def _bytes(count: float) -> Work:
    return Work(bytes=count, bytes_padded=count)
