"""The layers of a graph as a variant executes them: folded, as products, in its precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import ops

from backends import folding
from backends.convolutions import Geometry
from backends.task import Variant

#: Keras' data types, by precision. In tf32 the hardware rounds.
DTYPE_NAMES = {"bf16": "bfloat16", "fp16": "float16"}
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class ProductConvolution(keras.layers.Conv2D):
    """A convolution of a whole map as one product, see `folding.make_product_weights`.

    Inputs are (n, side, side, channels). `add_bias` adds a bias (c,) to values (n, c).
    """

    def __init__(self, geometry: Geometry, filters: int, add_bias: Callable, **options) -> None:
        self.add_bias = add_bias
        self.geometry, self.out_side = geometry, -(-geometry.side // geometry.stride)
        super().__init__(self.out_side**2 * filters, 1, **options)

    def build(self, input_shape):
        """The weights of a 1 x 1 convolution of one pixel."""
        super().build((None, 1, 1, self.geometry.side**2 * input_shape[-1]))
        self.input_spec = None

    def call(self, inputs):
        """The outputs (n, side', side', filters)."""
        flat = ops.reshape(inputs, (-1, self.geometry.side**2 * inputs.shape[-1]))
        outputs = self.add_bias(ops.matmul(flat, ops.squeeze(self.kernel, (0, 1))), self.bias)
        return ops.reshape(outputs, (-1, self.out_side, self.out_side, self.filters // self.out_side**2))

    def compute_output_shape(self, input_shape):
        """As `call`."""
        return (input_shape[0], self.out_side, self.out_side, self.filters // self.out_side**2)


def replace_layer(
    layer: keras.Layer, variant: Variant, products: Mapping[str, Geometry], add_bias: Callable
) -> keras.Layer:
    """A copy of `layer` for `clone_model`, as the variant executes it.

    With folding, convolutions have a bias; those named in `products` become products, to which `add_bias` adds the
    bias. In bf16 and fp16 every layer computes in that type; convolutions also keep their weights in it, so that no
    step converts them.
    """
    config = layer.get_config()
    if isinstance(layer, keras.layers.InputLayer):
        return layer.__class__.from_config(config)
    if folding.folds_batch_norm(variant) and isinstance(layer, CONVOLUTIONS):
        config["use_bias"] = True
    if variant.precision in DTYPE_NAMES:
        config["dtype"] = (
            DTYPE_NAMES[variant.precision] if isinstance(layer, CONVOLUTIONS) else _get_dtype_policy(variant)
        )
    if layer.name in products:
        return ProductConvolution(products[layer.name], layer.filters, add_bias, name=layer.name, dtype=config["dtype"])
    return layer.__class__.from_config(config)


def call_layer(layer: keras.Layer, inputs: keras.KerasTensor, variant: Variant, **options) -> keras.KerasTensor:
    """Call a layer for `clone_model`, or leave it out of the copy: a folded normalisation, and the padding before a
    product. Each layer that is left costs Keras' `__call__` in every step of an engine that executes eagerly.
    """
    if folding.folds_batch_norm(variant) and isinstance(layer, keras.layers.BatchNormalization):
        return inputs
    if isinstance(layer, ProductConvolution):
        before = inputs._keras_history.operation
        return layer(before.input if isinstance(before, keras.layers.ZeroPadding2D) else inputs)
    return layer(inputs, **options)


def _get_dtype_policy(variant: Variant) -> str:
    return f"mixed_{DTYPE_NAMES[variant.precision]}" if variant.precision in DTYPE_NAMES else "float32"
