"""The work of a step, compared with published totals and with a count tap by tap."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from backends.backbones import BACKBONES
from backends.convolutions import Convolution, list_convolutions
from backends.task import Variant
from bench.plan.task_table import TASKS
from bench.worker.step_work import Step, count_convolution_work
from bench.worker.work import sum_work

#: Multiply-adds of one image at 224 px in 10^9, with the classifier of 1,000 classes: "GFLOPS" in torchvision's tables.
PUBLISHED = {"resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_with_padding_the_totals_are_the_published_ones(name, published):
    backbone = BACKBONES[name]
    counted = sum_work(count_convolution_work(layer, 1, 4) for layer in list_convolutions(backbone, 224))
    classifier = backbone.features * 1000
    assert (counted.flop_padded / 2 + classifier) / 1e9 == pytest.approx(published, abs=1e-3)


LAYERS = [
    layer
    for name, size in (("resnet18", 32), ("efficientnet_lite0", 47))
    for layer in list_convolutions(BACKBONES[name], size)
    if layer.name in ("conv1", "layer2.0.downsample.0", "layer4.0.conv1", "layer4.1.conv2", "conv_stem")
    or layer.name.startswith(("blocks.2.0", "blocks.5.3"))
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_counting_tap_by_tap_gives_the_same(layer):
    small = replace(layer, in_channels=min(layer.in_channels, 6), out_channels=min(layer.out_channels, 4), groups=1)
    if layer.groups > 1:
        small = replace(small, in_channels=6, out_channels=6, groups=6)
    useful, padded, pixels, weights = count_by_brute_force(small)
    counted = count_convolution_work(small, 3, 2)
    assert counted.flop == 2 * 3 * useful
    assert counted.flop_padded == 2 * 3 * padded
    output = small.out_channels * small.out_side**2
    assert counted.bytes == 2 * (weights + 3 * (pixels + output))
    around = small.side + small.pad_before + small.pad_after
    everything = small.out_channels * (small.in_channels // small.groups) * small.kernel**2
    assert counted.bytes_padded == 2 * (everything + 3 * (small.in_channels * around**2 + output))


def count_by_brute_force(layer: Convolution) -> tuple[int, int, int, int]:
    """Count multiply-adds on pixels, all multiply-adds, used pixels and used weights, of one image."""
    pixels, weights = set(), set()
    useful = padded = 0
    group = layer.in_channels // layer.groups
    for out, row, column in itertools.product(range(layer.out_channels), range(layer.out_side), range(layer.out_side)):
        for into, down, right in itertools.product(range(group), range(layer.kernel), range(layer.kernel)):
            y, x = row * layer.stride - layer.pad_before + down, column * layer.stride - layer.pad_before + right
            padded += 1
            if 0 <= y < layer.side and 0 <= x < layer.side:
                useful += 1
                pixels.add((into if layer.groups == 1 else out, y, x))
                weights.add((out, into, down, right))
    return useful, padded, len(pixels), len(weights)


def test_where_a_map_is_one_pixel_eight_of_nine_taps_are_padding():
    (last,) = [layer for layer in list_convolutions(BACKBONES["resnet18"], 32) if layer.name == "layer4.1.conv2"]
    work = count_convolution_work(last, 1, 4)
    assert last.out_side == 1
    assert work.flop_padded == 9 * work.flop


def test_a_step_grows_with_its_batch_and_its_weights_do_not():
    task = TASKS["cifar10-resnet18"]
    once, twice = (Step(task.model_copy(update={"batch_size": n}), Variant()).compute for n in (4, 8))
    assert twice.flop == pytest.approx(2 * once.flop, rel=1e-3)
    assert once.bytes < twice.bytes < 2 * once.bytes


def test_in_bf16_half_as_many_bytes_are_moved():
    task = TASKS["cifar10-resnet18"]
    full, half = (Step(task, Variant(precision=precision)).parts["convolutions"] for precision in ("fp32", "bf16"))
    assert (half.flop, half.bytes) == (full.flop, full.bytes / 2)


def test_with_cached_features_only_the_head_is_left():
    step = Step(TASKS["cifar10-resnet18"], Variant(features="cached"))
    assert set(step.parts) == {"images", "head", "update"}
    assert (step.calls, step.operations) == ((), 0)


def test_clipping_adds_to_an_update_and_accumulation_divides_it_among_steps():
    task = TASKS["cifar10-resnet18"]
    numbers = 513 * 10
    plain, clipped, accumulated = (
        Step(task.model_copy(update=fields), Variant()).parts["update"]
        for fields in ({}, {"clip_norm": 1.0}, {"clip_norm": 1.0, "accumulate": 4})
    )
    assert (plain.flop, plain.bytes) == (4 * numbers, 5 * numbers * 4)
    assert (clipped.flop, clipped.bytes) == (7 * numbers, 6 * numbers * 4)
    assert (accumulated.flop, accumulated.bytes) == (2.75 * numbers, 4.5 * numbers * 4)


def test_trained_parts_need_gradients_and_nothing_below_them_does():
    head, last, whole = (
        Step(TASKS["cifar10-resnet18"].model_copy(update={"trainable": what}), Variant())
        for what in ("head", "last-stage", "all")
    )
    assert {what for _, what in head.calls} == {"forward"}
    back = [(layer.name, what) for layer, what in last.calls if what != "forward"]
    assert {name for name, _ in back} == {layer.name for layer in last.layers if layer.name.startswith("layer4.")}
    without = {name for name, what in back if what == "weight_gradient"} - {
        name for name, what in back if what == "input_gradient"
    }
    assert without == {"layer4.0.conv1", "layer4.0.downsample.0"}, "their input is frozen"
    assert whole.parts["weights' gradients"].flop == whole.parts["convolutions"].flop
    first = count_convolution_work(whole.layers[0], 4, 4).flop
    assert whole.parts["maps' gradients"].flop == whole.parts["convolutions"].flop - first
    assert head.compute.flop < last.compute.flop < whole.compute.flop


def test_a_product_in_a_convolutions_place_has_no_padding_and_does_the_same_useful_work():
    task = TASKS["cifar10-resnet18"]
    usual, products = (Step(task, Variant(folding=folding)) for folding in ("conv_bn", "product"))
    (last,) = [layer for layer in products.layers if layer.name == "layer4.1.conv2"]
    assert products.get_executed_layer(last).weights == (512, 512, 1, 1)
    assert products.count_work(last).flop_padded == products.count_work(last).flop == usual.count_work(last).flop
    assert products.parts["convolutions"].flop == usual.parts["convolutions"].flop
    assert products.parts["convolutions"].flop_padded < usual.parts["convolutions"].flop_padded
    assert products.operations == usual.operations < Step(task, Variant()).operations
