"""The backbone's tensors as a variant executes them: batch normalisations folded into the convolutions before them, and
rounded. The same for all frameworks.
"""

from __future__ import annotations

import numpy as np

from backends.backbones import Backbone
from backends.base import Tensors, UnsupportedVariant
from backends.task import Variant


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


def executed(backbone: Backbone, checkpoint: Tensors, variant: Variant) -> Tensors:
    """The tensors as `variant` executes them, float32: folded, and those of convolutions rounded to their precision.

    In tf32 they stay as they are: the hardware rounds what it reads.

    Raises:
        UnsupportedVariant: a tensor's numbers are too large for the precision.
    """
    tensors = fold(backbone, checkpoint) if variant.folding == "conv_bn" else checkpoint
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
