"""The backbone's tensors as a variant executes them: batch normalisations folded into the convolutions before them,
convolutions of small maps written as products, and rounded. The same for all frameworks.
"""

from __future__ import annotations

import itertools

import numpy as np

from backends.backbones import Backbone, Place
from backends.convolutions import convolutions
from backends.task import Task, Variant
from backends.values import Tensors, UnsupportedVariant


def folds(variant: Variant) -> bool:
    """Whether `variant` computes batch normalisations into the convolutions before them."""
    return variant.folding in ("conv_bn", "product")


def for_extraction(variant: Variant, **knobs: str) -> Variant:
    """What features are extracted with: the precision and device of `variant`, folded, and `knobs` of the backend."""
    kept = {name: getattr(variant, name) for name in ("precision", "threads", "device")}
    return Variant.model_validate({**kept, "name": "extraction", "folding": "product", **knobs})


def pairs(backbone: Backbone) -> dict[str, str]:
    """The prefix of every convolution's tensors, and of the normalisation behind it, which follows it in the order of
    the network.
    """
    prefixes = list(dict.fromkeys(name.rpartition(".")[0] for name in backbone.tensors()))
    return dict(zip(prefixes[::2], prefixes[1::2], strict=True))


def fold(backbone: Backbone, checkpoint: Tensors) -> dict[str, np.ndarray]:
    """`weight`, laid out as in the checkpoint, and `bias` (out,) of every convolution, float32.

    w' = w γ / √(σ² + ε) and b' = β − μ γ / √(σ² + ε), computed in float64 (Jacob et al., "Quantization and Training of
    Neural Networks", CVPR 2018, section 3.2, equation 14).
    """
    folded = {}
    for convolution, norm in pairs(backbone).items():
        gamma, beta, mean, variance = (
            checkpoint[f"{norm}.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + backbone.epsilon)
        weight = checkpoint[f"{convolution}.weight"] * scale[:, None, None, None]
        folded[f"{convolution}.weight"] = weight.astype(np.float32)
        folded[f"{convolution}.bias"] = (beta - mean * scale).astype(np.float32)
    return folded


def small_maps(task: Task, variant: Variant) -> dict[str, Place]:
    """The convolutions that `variant` executes as a product: by prefix, where they are.

    They are those that pad by half their kernel and whose map has no more pixels than it. Such a kernel lies over the
    padding for the most part (of a ResNet-18's last stage at 32 px, eight of nine weights never meet a pixel), and a
    product of all of the map's values with one matrix takes fewer multiplications than the convolution, and is what
    processors do best.
    """
    if variant.folding != "product":
        return {}
    return {
        layer.name: Place(layer.side, layer.stride)
        for layer in convolutions(task.network, task.image_size)
        if layer.before == layer.after == layer.kernel // 2 and layer.groups == 1 and 1 < layer.kernel >= layer.side
    }


def as_product(weight: np.ndarray, place: Place) -> np.ndarray:
    """A convolution of a whole map as a 1 x 1 convolution of one pixel, whose channels are the map's values.

    Args:
        weight: (out, in, k, k), of a convolution that pads by k // 2.
        place: where it is.

    Returns:
        (side' side' out, side side in, 1, 1), both sides of it in the order height, width, channel.
    """
    out, into, kernel, _ = weight.shape
    side, after = place.side, -(-place.side // place.stride)
    product = np.zeros((after, after, out, side, side, into), weight.dtype)
    for (y, x), (v, u) in itertools.product(np.ndindex(after, after), np.ndindex(side, side)):
        row, column = v - y * place.stride + kernel // 2, u - x * place.stride + kernel // 2
        if 0 <= row < kernel and 0 <= column < kernel:
            product[y, x, :, v, u] = weight[:, :, row, column]
    return product.reshape(after * after * out, side * side * into, 1, 1)


def executed(task: Task, checkpoint: Tensors, variant: Variant) -> Tensors:
    """The tensors as `variant` executes them, float32: folded, and those of convolutions rounded to their precision.

    In tf32 they stay as they are: the hardware rounds what it reads.

    Raises:
        UnsupportedVariant: a tensor's numbers are too large for the precision.
    """
    backbone = task.network
    tensors = dict(fold(backbone, checkpoint)) if folds(variant) else dict(checkpoint)
    for prefix, place in small_maps(task, variant).items():
        tensors[f"{prefix}.weight"] = as_product(tensors[f"{prefix}.weight"], place)
        tensors[f"{prefix}.bias"] = np.tile(tensors[f"{prefix}.bias"], (-(-place.side // place.stride)) ** 2)
    if variant.precision not in ROUNDED:
        return tensors
    held = {f"{prefix}.{kind}" for prefix in pairs(backbone) for kind in ("weight", "bias")}
    rounded = {n: ROUNDED[variant.precision](tensor) if n in held else tensor for n, tensor in tensors.items()}
    if lost := next((name for name, tensor in rounded.items() if not np.isfinite(tensor).all()), None):
        raise UnsupportedVariant(f"precision {variant.precision!r} cannot hold the numbers of {lost}: use bf16 or fp32")
    return rounded


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to bfloat16, which is its upper half, to the nearest, ties to even; finite values only."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)


def to_float16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to float16, to the nearest, ties to even; infinite above 65,504."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


#: By precision, how the tensors of convolutions are rounded ahead of time.
ROUNDED = {"bf16": to_bfloat16, "fp16": to_float16}


def read_back(now: Tensors, expected: Tensors, checkpoint: Tensors) -> dict[str, np.ndarray]:
    """The checkpoint's tensors, but for those whose executed form is not what was made of them: these as they are.

    Args:
        now: the tensors as they are executed now.
        expected: as they should be, see `executed`.
        checkpoint: what those were made of. An altered folded bias is told by its convolution's weight.
    """
    found = dict(checkpoint)
    for name, value in now.items():
        if not np.array_equal(value, expected[name]):
            found[name if name in checkpoint else f"{name.rpartition('.')[0]}.weight"] = value
    return found
