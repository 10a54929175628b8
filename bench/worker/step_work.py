"""The work of a training step: operations and bytes, counted from the shapes of its tensors.

*Useful* work is on pixels; *padded* work also includes the padding around a map: in a 1 x 1 map, eight of a 3 x 3
kernel's nine taps lie on padding. A multiply-add counts as two floating-point operations, as in
papers on utilisation (Chowdhery et al., "PaLM", 2022, appendix B); tables of networks count it as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from backends import folding
from backends.convolutions import Convolution, list_convolutions
from backends.exported.executed_network import fold_norms
from backends.exported.exported_backbone import ExportedBackbone
from backends.exported.network_graph import NetworkGraph
from backends.kernels import ConvolutionPass
from backends.task import DATASETS, Task, Variant
from bench.worker.graph_work import count_others, count_products, find_changing_values
from bench.worker.work import Work, sum_work

#: Bytes of a number, by precision; the head is always trained in fp32.
NUMBER_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
FP32 = NUMBER_BYTES["fp32"]
#: Per parameter, an update of SGD with momentum: v = m v + g and w = w - r v. It reads w, v and g, and writes w and v.
UPDATE_FLOP, UPDATE_NUMBERS = 4, 5
#: What Nesterov's momentum and a weight decay add to it: a multiply-add each.
NESTEROV_FLOP, DECAY_FLOP = 2, 2
#: What clipping adds: a multiply-add of the norm and a product with the scale; the norm reads g once more.
CLIP_FLOP, CLIP_NUMBERS = 3, 1
#: What each step adds where several are accumulated: a sum; it reads g and the total, and writes the total.
ACCUMULATE_FLOP, ACCUMULATE_NUMBERS = 1, 3
#: The same of AdamW: m = b m + (1 - b) g (3), v = c v + (1 - c) g g (4), w = w - r m / (sqrt(d v) + e) (6: a product, a
#: root, a sum, a quotient, a product, a difference). It reads w, m, v and g, and writes w, m and v.
ADAMW_FLOP, ADAMW_NUMBERS = 13, 7


@dataclass(frozen=True)
class Step:
    """One training step of a task in a variant, on a whole batch."""

    task: Task
    variant: Variant

    @cached_property
    def layers(self) -> tuple[Convolution, ...]:
        """The convolutions that a step runs: none if the features are cached."""
        return () if self.variant.features == "cached" else list_convolutions(self.task.network, self.task.image_size)

    @cached_property
    def calls(self) -> tuple[tuple[Convolution, ConvolutionPass], ...]:
        """The passes of the task's convolutions in their order: forward, and back through the trained ones.

        No step needs the gradient of the first trained part's input.
        """
        if self.graph:
            return tuple(self._list_exported_calls(self.graph))
        trained = [layer for layer in self.layers if f"{layer.name}.weight" in self.task.trained]
        source = trained[0].source if trained else None
        back: list[tuple[Convolution, ConvolutionPass]] = []
        for layer in reversed(trained):
            back.append((layer, "weight_gradient"))
            if layer.source != source:
                back.append((layer, "input_gradient"))
        return (*((layer, "forward") for layer in self.layers), *back)

    @cached_property
    def graph(self) -> NetworkGraph | None:
        """The neutral graph that a step runs, if the network was exported."""
        network = self.task.network
        if self.variant.features == "cached" or not isinstance(network, ExportedBackbone):
            return None
        return fold_norms(network.graph) if folding.folds_batch_norm(self.variant) else network.graph

    def _list_exported_calls(self, graph: NetworkGraph) -> Iterator[tuple[Convolution, ConvolutionPass]]:
        changing = find_changing_values(graph, self.task.trained)
        for layer in self.layers:
            yield layer, "forward"
        for layer in reversed(self.layers):
            if f"{layer.name}.weight" in self.task.trained:
                yield layer, "weight_gradient"
            if layer.source in changing:
                yield layer, "input_gradient"

    def get_executed_layer(self, layer: Convolution) -> Convolution:
        """The convolution that the variant runs instead of `layer`.

        If it is run as a matrix product, that is a 1 x 1 convolution with the whole map as one pixel, see
        `backends.folding.make_product_weights`.
        """
        if layer.name not in self._products:
            return layer
        into, out = layer.in_channels * layer.side**2, layer.out_channels * layer.out_side**2
        return replace(layer, in_channels=into, out_channels=out, kernel=1, stride=1, pad_before=0, pad_after=0, side=1)

    def count_work(self, layer: Convolution) -> Work:
        """Count the work of one pass of a convolution, with the padding of the convolution that is run instead."""
        batch, size = self.task.batch_size, NUMBER_BYTES[self.variant.precision]
        useful, padded = (
            count_convolution_work(layer, batch, size),
            count_convolution_work(self.get_executed_layer(layer), batch, size),
        )
        return Work(useful.flop, padded.flop_padded, useful.bytes, padded.bytes_padded)

    @cached_property
    def _products(self) -> frozenset[str]:
        return frozenset(folding.find_product_convolutions(self.task, self.variant))

    @property
    def operations(self) -> int:
        """Number of operations in the backbone's forward pass: convolutions, unfolded normalisations, activations,
        shortcuts.
        """
        if self.graph:
            return len(self.graph.operations)
        norms = 0 if folding.folds_batch_norm(self.variant) else 1
        return sum(1 + norms + layer.has_activation + layer.adds_shortcut for layer in self.layers)

    @cached_property
    def parts(self) -> dict[str, Work]:
        """The step's parts by name, without those that do no work."""
        size = NUMBER_BYTES[self.variant.precision]
        batch = self.task.batch_size
        of = {"forward": Work(), "weight_gradient": Work(), "input_gradient": Work()}
        for layer, what in self.calls:
            of[what] += self.count_work(layer)
        if self.graph:
            products = count_products(self.graph, self.task.trained, batch, size)
            between = count_others(self.graph, self.task.trained, batch, size)
        else:
            products = Work()
            between = sum_work(self._between(layer, what, batch * size) for layer, what in self.calls)
        found = {
            "images": self._images(),
            "convolutions": of["forward"],
            "matrix products": products,
            "between convolutions": between,
            "weights' gradients": of["weight_gradient"],
            "maps' gradients": of["input_gradient"],
            "head": self._head(),
            "update": self._update(),
        }
        return {name: work for name, work in found.items() if work != Work()}

    @property
    def compute(self) -> Work:
        """The work of a step on images on the device, without operations that can be fused into convolutions."""
        return sum_work(work for name, work in self.parts.items() if name not in ("images", "between convolutions"))

    def _images(self) -> Work:
        """Count the work of the input pipeline: raw pixels read and network inputs written, or cached features read."""
        if self.variant.features == "cached":
            return _make_byte_work(self.task.batch_size * self.task.network.features * FP32)
        raw = DATASETS[self.task.dataset][0]
        return _make_byte_work(self.task.batch_size * 3 * (raw * raw + self.task.image_size**2 * FP32))

    def _between(self, layer: Convolution, what: ConvolutionPass, bytes_per_value: int) -> Work:
        """Count the work of normalisation, activation and shortcut, as separate operations.

        Forward, each reads a map and writes one, and the shortcut reads two. Back, each reads two and writes one; that
        is counted with the weights' gradient. Each number takes one operation, and two for the normalisation's
        multiply-add.
        """
        if what == "input_gradient":
            return Work()
        norm = 0 if folding.folds_batch_norm(self.variant) else 1
        single = 2 if what == "forward" else 3
        values = layer.out_side**2 * layer.out_channels
        moved = values * bytes_per_value * (single * norm + single * layer.has_activation + 3 * layer.adds_shortcut)
        flop = values * self.task.batch_size * (2 * norm + layer.has_activation + layer.adds_shortcut)
        return Work(flop, flop, moved, moved)

    def _head(self) -> Work:
        """Count the work of scores, kernel's gradient, and features' gradient if a part of the backbone is trained."""
        n, d, c = self.task.batch_size, self.task.network.features, self.task.classes
        passes = 3 if self.task.trained else 2
        flop, moved = passes * 2 * n * d * c, passes * (n * d + d * c + n * c) * FP32
        return Work(flop, flop, moved, moved)

    def _update(self) -> Work:
        count = (self.task.network.features + 1) * self.task.classes + self._count_trained()
        adamw = self.task.update_rule == "adamw"
        each: float = ADAMW_FLOP if adamw else UPDATE_FLOP + NESTEROV_FLOP * self.task.nesterov
        each += DECAY_FLOP * (self.task.weight_decay > 0)
        numbers: float = ADAMW_NUMBERS if adamw else UPDATE_NUMBERS
        if self.task.clip_norm:
            each, numbers = each + CLIP_FLOP, numbers + CLIP_NUMBERS
        if self.task.accumulate > 1:
            each = each / self.task.accumulate + ACCUMULATE_FLOP
            numbers = numbers / self.task.accumulate + ACCUMULATE_NUMBERS
        flop, moved = each * count, numbers * count * FP32
        return Work(flop, flop, moved, moved)

    def _count_trained(self) -> int:
        """Numbers in the trained tensors of the backbone; of those of the table, in convolutions."""
        if self.graph:
            return sum(math.prod(self.graph.tensors[name]) for name in self.task.trained)
        return sum(
            layer.out_channels * layer.weights[1] * layer.kernel**2
            for layer, what in self.calls
            if what == "weight_gradient"
        )


def count_convolution_work(layer: Convolution, batch: int, size: int) -> Work:
    """Count the work of one pass of a convolution.

    All passes have the same work: they do the same multiplications, read two of input, weights and output, and write
    the third.

    Args:
        size: bytes of a number.
    """
    taps = layer.taps
    met = {place for places in taps for place in places}
    touched = set(_find_read_pixels(layer))
    out, into, kernel, _ = layer.weights
    multiply_adds = batch * out * into * sum(map(len, taps)) ** 2
    padded = batch * out * into * (layer.out_side * kernel) ** 2
    output = batch * layer.out_channels * layer.out_side**2
    numbers = out * into * len(met) ** 2 + batch * layer.in_channels * len(touched) ** 2 + output
    around = layer.side + layer.pad_before + layer.pad_after
    numbers_padded = out * into * kernel**2 + batch * layer.in_channels * around**2 + output
    return Work(2 * multiply_adds, 2 * padded, numbers * size, numbers_padded * size)


def describe_shape(layer: Convolution, what: ConvolutionPass) -> tuple[object, ...]:
    """Describe what determines the time of a pass: two passes with the same description do the same work."""
    return what, replace(layer, name="", source="", has_activation=False, adds_shortcut=False)


def _find_read_pixels(layer: Convolution) -> Iterator[int]:
    """The pixels of one row that any tap lies on: a stride may leave some out."""
    for at, places in enumerate(layer.taps):
        for place in places:
            yield at * layer.stride - layer.pad_before + place


def _make_byte_work(count: float) -> Work:
    return Work(bytes=count, bytes_padded=count)
