"""The layers of a graph as a variant executes them."""

from __future__ import annotations

import keras

from backends.task import Variant

#: Of numbers, by precisions that the layers know of. In tf32 it is the hardware that rounds.
TYPES = {"bf16": "bfloat16", "fp16": "float16"}
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class Nothing(keras.layers.Layer):
    """What is left of a folded normalisation: it is called like one, and gives its inputs back."""

    def call(self, inputs, training=None, mask=None):
        """The inputs."""
        return inputs


def in_place_of(layer: keras.Layer, variant: Variant) -> keras.Layer:
    """A copy of `layer` for `clone_model`.

    Folded, convolutions have a bias, and of a normalisation nothing is left. In bf16 and fp16 every layer computes in
    that type; convolutions also keep their weights in it, so that none is converted in a step.
    """
    config = layer.get_config()
    if isinstance(layer, keras.layers.InputLayer):
        return layer.__class__.from_config(config)
    if variant.folding == "conv_bn":
        if isinstance(layer, keras.layers.BatchNormalization):
            return Nothing(name=layer.name, dtype=_policy(variant))
        if isinstance(layer, CONVOLUTIONS):
            config["use_bias"] = True
    if variant.precision in TYPES:
        config["dtype"] = TYPES[variant.precision] if isinstance(layer, CONVOLUTIONS) else _policy(variant)
    return layer.__class__.from_config(config)


def _policy(variant: Variant) -> str:
    return f"mixed_{TYPES[variant.precision]}" if variant.precision in TYPES else "float32"
