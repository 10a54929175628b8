"""Random weights: a checkpoint for want of a trained one, and for tests. Accuracy then means nothing."""

from __future__ import annotations

import math

import numpy as np

from backends.backbones import Backbone, Shape

#: Second word of the seed (1 is the subset's, 2 the order's, 4 the head's).
STREAM = 3


def draw(backbone: Backbone, seed: int) -> dict[str, np.ndarray]:
    """Tensors as `Backbone.tensors`, float32, the same for a seed on every machine.

    Convolutions are normal with variance 2 / fan-out (He et al., "Delving Deep into Rectifiers", ICCV 2015,
    as in torchvision's ResNet); batch normalisations are the identity: scale 1, shift 0, mean 0, variance 1.

    With frozen statistics nothing renormalises what the residual blocks add up, and activations grow with
    depth. The last scale of each of the L blocks of a ResNet is therefore 1 / sqrt(L) instead of 1: where a
    branch keeps its input's variance, L branches then add at most a factor (1 + 1/L)^L < e to it.
    """
    stream = np.random.default_rng([seed, STREAM])
    last_norm = {"basic": ".bn2.weight", "bottleneck": ".bn3.weight"}[backbone.block]
    tensors = {}
    for name, shape in backbone.tensors().items():
        if len(shape) == 4:
            tensors[name] = (stream.standard_normal(shape) * _deviation(shape)).astype(np.float32)
        elif name.endswith(("weight", "running_var")):
            tamed = backbone.family == "resnet" and name.startswith("layer") and name.endswith(last_norm)
            scale = 1 / math.sqrt(sum(backbone.blocks)) if tamed else 1.0
            tensors[name] = np.full(shape, scale, np.float32)
        else:
            tensors[name] = np.zeros(shape, np.float32)
    return tensors


def _deviation(shape: Shape) -> float:
    """Standard deviation of a convolution (out, in, height, width); a depthwise output has one input."""
    out, into, height, width = shape
    return math.sqrt(2 / (height * width * (1 if into == 1 else out)))
