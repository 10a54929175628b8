"""The backbone's tensors as a variant executes them, the same for all frameworks.

Batch normalisations are folded into the convolutions before them, convolutions of small maps are written as matrix
products, and weights are rounded to the precision.
"""

from __future__ import annotations

import itertools

import numpy as np

from backends.backbones import Backbone
from backends.convolutions import Geometry, list_convolutions
from backends.task import Task, Variant
from backends.values import Tensors, UnsupportedVariant


def folds_batch_norm(variant: Variant) -> bool:
    """Whether `variant` folds batch normalisations into the convolutions before them."""
    return variant.folding in ("conv_bn", "product")


def make_extraction_variant(variant: Variant, **knobs: str) -> Variant:
    """The variant that features are extracted with: precision and device of `variant`, folded, with a backend's own
    `knobs`.
    """
    kept = {name: getattr(variant, name) for name in ("precision", "threads", "device")}
    return Variant.model_validate({**kept, "name": "extraction", "folding": "product", **knobs})


def fold_batch_norm(backbone: Backbone, checkpoint: Tensors) -> dict[str, np.ndarray]:
    """Fold normalisations into their convolutions: `weight`, as in the checkpoint, and `bias` (out,), float32. Other
    tensors stay as they are.

    w' = w γ / √(σ² + ε) and b' = β + (b − μ) γ / √(σ² + ε), computed in float64 (Jacob et al., "Quantization and
    Training of Neural Networks", CVPR 2018, section 3.2, equation 14); b is 0 in a convolution without a bias.
    """
    folded = dict(checkpoint)
    for convolution, norm in backbone.pair_convolutions_with_norms().items():
        gamma, beta, mean, variance = (
            folded.pop(f"{norm}.{name}").astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + backbone.get_epsilon(norm))
        weight, bias = checkpoint[f"{convolution}.weight"], checkpoint.get(f"{convolution}.bias", 0.0)
        folded[f"{convolution}.weight"] = (weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
        folded[f"{convolution}.bias"] = (beta + (bias - mean) * scale).astype(np.float32)
    return folded


def find_product_convolutions(task: Task, variant: Variant) -> dict[str, Geometry]:
    """The convolutions that `variant` executes as a matrix product: their geometry, by the prefix of their tensors.

    These pad by half their kernel, and their map has no more pixels than the kernel. Most of the kernel then lies on
    padding (in a ResNet-18's last stage at 32 px, eight of nine weights never meet a pixel). A product of all the map's
    values with one matrix takes fewer multiplications than the convolution, and processors are fastest at it.
    """
    if variant.folding != "product":
        return {}
    folded = task.network.pair_convolutions_with_norms()
    return {
        layer.name: Geometry(layer.side, layer.stride)
        for layer in list_convolutions(task.network, task.image_size)
        if layer.pad_before == layer.pad_after == layer.kernel // 2
        and layer.groups == 1
        and 1 < layer.kernel >= layer.side
        and layer.name in folded
    }


def make_product_weights(weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The weights of a 1 x 1 convolution of one pixel that computes a convolution of a whole map: its channels are the
    map's values.

    Args:
        weight: (out, in, k, k), of a convolution that pads by k // 2.
        geometry: of that convolution.

    Returns:
        (side' side' out, side side in, 1, 1); inputs and outputs are in the order height, width, channel.
    """
    out, into, kernel, _ = weight.shape
    side, after = geometry.side, -(-geometry.side // geometry.stride)
    product = np.zeros((after, after, out, side, side, into), weight.dtype)
    for (y, x), (v, u) in itertools.product(np.ndindex(after, after), np.ndindex(side, side)):
        row, column = v - y * geometry.stride + kernel // 2, u - x * geometry.stride + kernel // 2
        if 0 <= row < kernel and 0 <= column < kernel:
            product[y, x, :, v, u] = weight[:, :, row, column]
    return product.reshape(after * after * out, side * side * into, 1, 1)


def prepare_tensors(task: Task, checkpoint: Tensors, variant: Variant) -> Tensors:
    """The tensors as `variant` executes them, float32: folded, and those of convolutions rounded to the precision.

    In tf32 nothing is rounded here: the hardware rounds what it reads.

    Raises:
        UnsupportedVariant: a tensor has numbers that are too large for the precision.
    """
    backbone = task.network
    tensors = dict(fold_batch_norm(backbone, checkpoint)) if folds_batch_norm(variant) else dict(checkpoint)
    for prefix, geometry in find_product_convolutions(task, variant).items():
        tensors[f"{prefix}.weight"] = make_product_weights(tensors[f"{prefix}.weight"], geometry)
        tensors[f"{prefix}.bias"] = np.tile(tensors[f"{prefix}.bias"], (-(-geometry.side // geometry.stride)) ** 2)
    if variant.precision not in ROUNDINGS:
        return tensors
    rounding = ROUNDINGS[variant.precision]
    held = backbone.find_rounded(tensors)
    rounded = {name: rounding(one) if name in held else one for name, one in tensors.items()}
    if lost := next((name for name, tensor in rounded.items() if not np.isfinite(tensor).all()), None):
        raise UnsupportedVariant(
            f"precision {variant.precision!r} cannot represent the values of {lost}: use bf16 or fp32"
        )
    return rounded


def round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16, its upper 16 bits, to the nearest, ties to even; only for finite values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)


def round_to_float16(values: np.ndarray) -> np.ndarray:
    """Round float32 to float16, to the nearest, ties to even; infinite above 65,504."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


#: How the tensors of convolutions are rounded ahead of time, by precision.
ROUNDINGS = {"bf16": round_to_bfloat16, "fp16": round_to_float16}


def recover_checkpoint(now: Tensors, expected: Tensors, checkpoint: Tensors) -> dict[str, np.ndarray]:
    """The checkpoint's tensors, with those replaced whose executed form has changed.

    Args:
        now: the executed tensors' current values.
        expected: their values before training, see `prepare_tensors`.
        checkpoint: what those were made of. It has no folded biases: a changed one replaces its convolution's weight.
    """
    recovered = dict(checkpoint)
    for name, value in now.items():
        if not np.array_equal(value, expected[name]):
            recovered[name if name in checkpoint else f"{name.rpartition('.')[0]}.weight"] = value
    return recovered
