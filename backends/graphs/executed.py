"""The layers of a graph as a variant executes them."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf
from keras import ops

from backends import folding
from backends.backbones import Place
from backends.task import Variant

#: Of numbers, by precisions that the layers know of. In tf32 it is the hardware that rounds.
TYPES = {"bf16": "bfloat16", "fp16": "float16"}
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class Nothing(keras.layers.Layer):
    """What is left of a folded normalisation: it is called like one, and gives its inputs back."""

    def call(self, inputs, training=None, mask=None):
        """The inputs."""
        return inputs


class Product(keras.layers.Conv2D):
    """A convolution of a whole map as one product, see `folding.as_product`; inputs (n, side, side, channels)."""

    def __init__(self, place: Place, filters: int, **options) -> None:
        self.place, self.after = place, -(-place.side // place.stride)
        super().__init__(self.after**2 * filters, 1, **options)

    def build(self, input_shape):
        """The weights of a 1 x 1 convolution of one pixel."""
        super().build((None, 1, 1, self.place.side**2 * input_shape[-1]))
        self.input_spec = None

    def call(self, inputs):
        """The outputs (n, side', side', filters). Padding around the map, which a graph may have added, is left out."""
        side = self.place.side
        margin = (inputs.shape[1] - side) // 2
        values = inputs[:, margin : margin + side, margin : margin + side] if margin else inputs
        flat = ops.reshape(values, (-1, side * side * inputs.shape[-1]))
        # Not an addition: this one TensorFlow fuses with the product and with a ReLU behind it.
        outputs = tf.nn.bias_add(ops.matmul(flat, ops.squeeze(self.kernel, (0, 1))), self.bias)
        return ops.reshape(outputs, (-1, self.after, self.after, self.filters // self.after**2))

    def compute_output_shape(self, input_shape):
        """As `call`."""
        return (input_shape[0], self.after, self.after, self.filters // self.after**2)


def in_place_of(layer: keras.Layer, variant: Variant, products: Mapping[str, Place]) -> keras.Layer:
    """A copy of `layer` for `clone_model`.

    Folded, convolutions have a bias, and of a normalisation nothing is left; those in `products`, by their names, are
    a product each. In bf16 and fp16 every layer computes in that type; convolutions also keep their weights in it, so
    that none is converted in a step.
    """
    config = layer.get_config()
    if isinstance(layer, keras.layers.InputLayer):
        return layer.__class__.from_config(config)
    if folding.folds(variant):
        if isinstance(layer, keras.layers.BatchNormalization):
            return Nothing(name=layer.name, dtype=_policy(variant))
        if isinstance(layer, CONVOLUTIONS):
            config["use_bias"] = True
    if variant.precision in TYPES:
        config["dtype"] = TYPES[variant.precision] if isinstance(layer, CONVOLUTIONS) else _policy(variant)
    if layer.name in products:
        return Product(products[layer.name], layer.filters, name=layer.name, dtype=config["dtype"])
    return layer.__class__.from_config(config)


def _policy(variant: Variant) -> str:
    return f"mixed_{TYPES[variant.precision]}" if variant.precision in TYPES else "float32"
