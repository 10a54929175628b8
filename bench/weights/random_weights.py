"""Random weights, in place of a trained checkpoint, and for tests. The accuracy then has no meaning."""

from __future__ import annotations

import math

import numpy as np

from backends.backbones import Backbone, Shape

#: Second word of the seed; other modules use 1 and 5 for subsets, 2 for the order and 4 for the head.
STREAM = 3


def draw_weights(backbone: Backbone, seed: int) -> dict[str, np.ndarray]:
    """Draw the tensors of `Backbone.tensors`, float32; a seed gives the same ones on every machine.

    Convolutions are normal with variance 2 / fan-out (He et al., "Delving Deep into Rectifiers", ICCV 2015,
    as in torchvision's ResNet); batch normalisations are the identity: scale 1, shift 0, mean 0, variance 1.

    With frozen statistics nothing normalises the sums of the residual blocks, and activations grow with depth. The last
    scale of each of a ResNet's L blocks is therefore 1 / sqrt(L) instead of 1: if a branch keeps the variance of its
    input, L branches increase it by a factor of at most (1 + 1/L)^L < e.
    """
    stream = np.random.default_rng([seed, STREAM])
    last_norm = {"basic": ".bn2.weight", "bottleneck": ".bn3.weight"}[backbone.block]
    tensors = {}
    for name, shape in backbone.tensors().items():
        if len(shape) == 4:
            tensors[name] = (stream.standard_normal(shape) * _compute_deviation(shape)).astype(np.float32)
        elif name.endswith(("weight", "running_var")):
            is_last = backbone.family == "resnet" and name.startswith("layer") and name.endswith(last_norm)
            scale = 1 / math.sqrt(sum(backbone.blocks)) if is_last else 1.0
            tensors[name] = np.full(shape, scale, np.float32)
        else:
            tensors[name] = np.zeros(shape, np.float32)
    return tensors


def _compute_deviation(shape: Shape) -> float:
    """Standard deviation of a convolution (out, in, height, width); a depthwise output has one input."""
    out, into, height, width = shape
    return math.sqrt(2 / (height * width * (1 if into == 1 else out)))
