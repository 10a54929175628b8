"""The convolutions of a backbone are the ones that its table has tensors for."""

from __future__ import annotations

import json

import pytest

from backends.backbones import BACKBONES
from backends.convolutions import IMAGES, compute_same_padding, list_convolutions
from bench.worker.step_work import count_convolution_work

#: The operations of two images as PyTorch's own counter sees them, by network and size; it counts padding, too.
COUNTED = """
import json, timm, torch, torchvision
from torch.utils.flop_counter import FlopCounterMode
found = {}
with torch.device("meta"), torch.no_grad():
    for name, size, model in (
        ("resnet18", 32, torchvision.models.resnet18()),
        ("resnet50", 64, torchvision.models.resnet50()),
        ("efficientnet_lite0", 97, timm.create_model("tf_efficientnet_lite0")),
        ("efficientnet_lite0", 224, timm.create_model("tf_efficientnet_lite0")),
    ):
        with FlopCounterMode(display=False) as counter:
            model.eval()(torch.zeros(2, 3, size, size))
        found[f"{name} {size}"] = counter.get_total_flops()
print(json.dumps(found))
"""


@pytest.mark.parametrize("size", [32, 64, 97, 224])
@pytest.mark.parametrize("name", BACKBONES)
def test_they_have_the_tables_weights_and_fit_together(name, size):
    backbone = BACKBONES[name]
    layers = list_convolutions(backbone, size)
    kernels = {tensor: shape for tensor, shape in backbone.tensors().items() if len(shape) == 4}
    assert [(f"{layer.name}.weight", layer.weights) for layer in layers] == list(kernels.items())
    assert layers[0].source == IMAGES
    assert layers[0].side == size
    assert layers[-1].out_side == -(-size // backbone.stride)
    produced = {layer.name: (layer.out_channels, layer.out_side) for layer in layers}
    for layer in layers[1:]:
        if layer.source in produced and layer.source != "conv1":  # behind which ResNet pools
            assert produced[layer.source] == (layer.in_channels, layer.side), layer.name


def test_same_padding_is_tensorflows():
    """Its rule, by hand: an even map and stride 2 have one more pixel after than before."""
    assert [
        compute_same_padding(side, kernel, stride)
        for side, kernel, stride in ((96, 3, 2), (95, 3, 2), (8, 5, 1), (7, 1, 1))
    ] == [
        (0, 1),
        (1, 1),
        (2, 2),
        (0, 0),
    ]


@pytest.mark.slow
def test_their_operations_are_the_ones_that_pytorch_counts_in_the_real_networks(in_fresh_interpreter):
    for case, counted in json.loads(in_fresh_interpreter(COUNTED)).items():
        name, size = case.split()
        classifier = 2 * 2 * BACKBONES[name].features * 1000
        ours = sum(
            count_convolution_work(layer, 2, 4).flop_padded for layer in list_convolutions(BACKBONES[name], int(size))
        )
        assert ours + classifier == counted, case
