"""The names of tensors in the package of EfficientNet-Lite0's weights, and timm's names for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from backends.backbones import BACKBONES, Backbone
from bench.weights.checkpoint_folder import CLASSIFIER

#: The package's names outside of blocks, by timm's.
OUTER = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
#: The package's names in a block with an expansion, and in one without, by timm's.
INNER = {
    True: {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
    | {"bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"},
    False: {"conv_dw": "_depthwise_conv", "conv_pw": "_project_conv", "bn1": "_bn1", "bn2": "_bn2"},
}


def rename_to_timm(name: str) -> str:
    """Rename a tensor of the package, as `_blocks.5._bn1.weight`, also under a prefix; other names stay."""
    names = _map_names()
    for start in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
        if name[start:] in names:
            return name[:start] + names[name[start:]]
    return name


@cache
def _map_names() -> Mapping[str, str]:
    """timm's names by the package's."""
    lite = [backbone for backbone in BACKBONES.values() if backbone.family == "efficientnet_lite"]
    return {old: new for backbone in lite for old, new in _iterate_names(backbone)}


def _iterate_names(backbone: Backbone) -> Iterator[tuple[str, str]]:
    """The package counts its blocks through all stages, where timm counts those of each stage."""
    names = list(backbone.tensors())
    blocks = list(
        dict.fromkeys(name.rpartition(".")[0].rpartition(".")[0] for name in names if name.startswith("blocks"))
    )
    for name in names:
        layer, _, part = name.rpartition(".")
        block, _, inner = layer.rpartition(".")
        if block:
            expanded = f"{block}.conv_pwl.weight" in names
            yield f"_blocks.{blocks.index(block)}.{INNER[expanded][inner]}.{part}", name
        else:
            yield f"{OUTER[inner]}.{part}", name
    for part in ("weight", "bias"):
        yield f"_fc.{part}", f"{CLASSIFIER[backbone.family]}.{part}"
