"""An exported network as a backbone: what is trained, folded and rounded, and how engines lay out its weights."""

from __future__ import annotations

import json

import pytest

from backends import folding
from backends.convolutions import list_convolutions
from backends.exported.executed_network import fold_norms, make_executed_network
from backends.exported.exported_backbone import (
    ExportedNetwork,
    add_network,
    find_backbone,
    find_foldable_norms,
)
from backends.exported.network_graph import InvalidGraph, NetworkGraph, Operation, read_graph, write_graph
from backends.exported.weight_layouts import lay_out_for_engines
from backends.task import Task, Variant

NAME, SIDE = "timm/small", 8
#: The tensors of a network: a stem, a last stage of a wide kernel without a normalisation, and an index.
TENSORS = {
    "stem.conv.weight": (4, 3, 3, 3),
    "stem.bn.weight": (4,),
    "stem.bn.bias": (4,),
    "stem.bn.running_mean": (4,),
    "stem.bn.running_var": (4,),
    "stages.0.conv.weight": (6, 4, 5, 5),
    "stages.0.bn.weight": (6,),
    "stages.0.bn.bias": (6,),
    "stages.0.bn.running_mean": (6,),
    "stages.0.bn.running_var": (6,),
    "stages.1.fc.weight": (5, 6),
    "stages.1.fc.bias": (5,),
    "constant_0": (2,),
}
PARAMETERS = tuple(name for name in TENSORS if not name.endswith(("running_mean", "running_var", "constant_0")))


def convolution(name: str, source: str, pad: int, stride: int, shape: tuple) -> Operation:
    attributes = {"strides": (stride,) * 2, "padding": ((pad, pad),) * 2, "dilations": (1, 1), "groups": 1}
    return Operation(f"{name}_conv", "convolution", (source, f"{name}.conv.weight"), attributes, shape)


def norm(name: str, epsilon: float, shape: tuple) -> Operation:
    kinds = ("weight", "bias", "running_mean", "running_var")
    inputs = (f"{name}_conv", *(f"{name}.bn.{kind}" for kind in kinds))
    return Operation(f"{name}_norm", "batch_norm", inputs, {"epsilon": epsilon}, shape)


OPERATIONS = (
    convolution("stem", "images", 1, 2, ("b", 4, 4, 4)),
    norm("stem", 1e-3, ("b", 4, 4, 4)),
    Operation("stem_relu", "relu", ("stem_norm",), {}, ("b", 4, 4, 4)),
    convolution("stages.0", "stem_relu", 2, 1, ("b", 6, 4, 4)),
    norm("stages.0", 1e-5, ("b", 6, 4, 4)),
    Operation("mean", "mean", ("stages.0_norm",), {"axes": (2, 3), "keeps_axes": False}, ("b", 6)),
    Operation("fc", "linear", ("mean", "stages.1.fc.weight", "stages.1.fc.bias"), {}, ("b", 5)),
    Operation("taken", "take", ("fc", "constant_0"), {"axis": 1}, ("b", 2)),
)
GRAPH = NetworkGraph({"network": NAME}, (3, SIDE, SIDE), TENSORS, OPERATIONS, PARAMETERS, ("constant_0",))


@pytest.fixture(autouse=True)
def known():
    add_network(NAME, SIDE, ExportedNetwork(GRAPH, {}))


def make_task(**fields) -> Task:
    usual = {"backbone": NAME, "weights": "random", "dataset": "digits", "image_size": SIDE}
    return Task(name="small", **{**usual, **fields})


def test_the_checkpoint_has_all_tensors_but_constants():
    backbone = find_backbone(NAME, SIDE)
    assert set(backbone.tensors()) == set(TENSORS) - {"constant_0"}
    assert backbone.features == 2


def test_parameters_of_the_task_are_trained_and_statistics_are_not():
    assert make_task().trained == ()
    assert make_task(trainable="all").trained == PARAMETERS
    assert make_task(trainable="last-stage").trained == ("stages.1.fc.weight", "stages.1.fc.bias")


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        (("conv1.weight", "layer4.0.conv1.weight", "layer4.1.conv1.weight", "fc_norm.weight"), "layer4."),
        (("patch_embed.proj.weight", "blocks.0.mlp.weight", "blocks.11.mlp.weight", "norm.weight"), "blocks.11."),
        (("conv.weight", "head.weight"), ""),
    ],
)
def test_the_last_stage_is_the_last_numbered_part(names, stage):
    graph = NetworkGraph({}, (3, SIDE, SIDE), dict.fromkeys(names, (2, 2)), OPERATIONS, names, ())
    add_network("timm/named", SIDE, ExportedNetwork(graph, {}))
    assert find_backbone("timm/named", SIDE).last_stage == stage


def test_norms_behind_convolutions_are_folded_each_with_its_own_epsilon():
    backbone = find_backbone(NAME, SIDE)
    assert backbone.pair_convolutions_with_norms() == {"stem.conv": "stem.bn", "stages.0.conv": "stages.0.bn"}
    assert (backbone.get_epsilon("stem.bn"), backbone.get_epsilon("stages.0.bn")) == (1e-3, 1e-5)
    folded = fold_norms(GRAPH)
    assert [one.kind for one in folded.operations] == ["convolution", "relu", "convolution", "mean", "linear", "take"]
    assert folded.operations[0].inputs == ("images", "stem.conv.weight", "stem.conv.bias")
    assert folded.operations[1].inputs == ("stem_conv",)
    assert folded.tensors["stages.0.conv.bias"] == (6,)
    assert not any(".bn." in name for name in folded.tensors)


def test_a_norm_whose_convolution_is_read_elsewhere_is_not_folded():
    twice = Operation("twice", "add", ("stem_conv", "stem_norm"), {"constants": (None, None)}, ("b", 4, 4, 4))
    graph = NetworkGraph({}, GRAPH.image, TENSORS, (*OPERATIONS[:2], twice), PARAMETERS, ())
    assert list(find_foldable_norms(graph)) == []


def test_below_single_precision_all_is_rounded_but_batch_norms():
    backbone = find_backbone(NAME, SIDE)
    kept = set(backbone.tensors()) - backbone.find_rounded(backbone.tensors())
    assert kept == {name for name in TENSORS if ".bn." in name}


def test_weights_are_laid_out_once_for_the_engine():
    laid_out = lay_out_for_engines(GRAPH)
    assert laid_out.layouts == {
        "stem.conv.weight": (2, 3, 1, 0),
        "stages.0.conv.weight": (2, 3, 1, 0),
        "stages.1.fc.weight": (1, 0),
    }
    assert laid_out.graph.tensors["stem.conv.weight"] == (3, 3, 3, 4)
    assert not any(one.name.endswith("_weight") for one in laid_out.graph.operations)


def test_a_weight_that_is_read_elsewhere_is_transposed_where_it_is_read():
    scaled = Operation("scaled", "multiply", ("stages.1.fc.weight",), {"constants": (None, 2.0)}, (5, 6))
    operations = (*OPERATIONS[:6], scaled, Operation("fc", "linear", ("mean", "scaled"), {}, ("b", 5)))
    laid_out = lay_out_for_engines(NetworkGraph({}, GRAPH.image, TENSORS, operations, PARAMETERS, ()))
    assert "stages.1.fc.weight" not in laid_out.layouts
    (transposed,) = [one for one in laid_out.graph.operations if one.name == "fc_weight"]
    assert (transposed.kind, transposed.inputs, transposed.attributes["axes"]) == ("transpose", ("scaled",), (1, 0))


def test_a_convolution_of_a_whole_map_becomes_a_product():
    network = make_executed_network(make_task(), Variant(folding="product"))
    assert [one.kind for one in network.graph.operations if one.name.startswith("stages.0_conv")] == [
        "reshape",
        "reshape",
        "linear",
        "reshape",
    ]
    assert network.shapes["stages.0.conv.weight"] == (1, 1, 4 * 4 * 4, 4 * 4 * 6)
    assert network.in_force["folding"] == "product"
    assert make_executed_network(make_task(), Variant(folding="conv_bn")).in_force["folding"] == "conv_bn"
    assert make_executed_network(make_task(), Variant()).in_force["folding"] == "none"
    assert folding.find_product_convolutions(make_task(), Variant(folding="product")).keys() == {"stages.0.conv"}


def test_its_convolutions_have_the_geometry_of_the_graph():
    stem, stage = list_convolutions(find_backbone(NAME, SIDE), SIDE)
    assert (stem.name, stem.kernel, stem.stride, stem.pad_before, stem.side) == ("stem.conv", 3, 2, 1, 8)
    assert (stage.in_channels, stage.out_channels, stage.side, stage.out_side) == (4, 6, 4, 4)


def test_a_network_that_was_not_added_is_not_known():
    with pytest.raises(LookupError, match="the graph of timm/other at 8 px is not known: export it first"):
        find_backbone("timm/other", 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"weights": "IMAGENET1K_V1"},
            "weights 'IMAGENET1K_V1' do not exist for timm/small: use one of pretrained, ran",
        ),
        ({"batch_norm": "batch_stats"}, "is exported with fixed statistics: use batch norm frozen"),
    ],
)
def test_a_task_that_it_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_task(**fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["parameters"].append("later"), "later is none of its tensors"),
        (lambda content: content["constants"].append("stem.bn.bias"), "stem.bn.bias is a parameter and a constant"),
    ],
)
def test_a_graph_with_other_tensors_is_refused(change, message):
    content = json.loads(json.dumps(write_graph(GRAPH)))
    change(content)
    with pytest.raises(InvalidGraph, match=message):
        read_graph(content)
