"""Random weights of a network of timm, with which its features are of use in a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

#: By so much coarser than the images is the noise that they are drawn from.
COARSENESS = (1, 8, 64)
#: How many images are drawn of each coarseness; the second number of those that have more than so many pixels. With
#: four of 456 px the statistics of an EfficientNet-B5 took 14 s, half of its export.
IMAGES_OF_EACH, OF_LARGE_ONES, LARGE = 4, 1, 300**2


@torch.no_grad()
def draw_weights(model: torch.nn.Module, image: Sequence[int]) -> None:
    """Draw weights with which every tensor matters, and that amplify roundings little.

    Kernels are normal with a variance of 1 / inputs, scales near one, biases near zero; running statistics are those of
    images of `draw_images`. Scales that timm starts at zero, at the end of residual branches, are near a quarter: a
    deep network whose branches are as large as what they are added to is chaotic.
    """
    for name, tensor in model.named_parameters():
        if tensor.ndim > 1:
            tensor.normal_(std=(tensor.shape[0] / tensor.numel()) ** 0.5 if tensor.shape[0] > 1 else 0.5)
        elif name.endswith("bias"):
            tensor.normal_(std=0.1)
        elif "norm" in name or "bn" in name:
            near = 1.0 if tensor.any() else 0.25
            tensor.normal_(mean=near, std=0.1 * near)
        else:
            tensor.normal_(mean=0.5, std=0.1)
    norms = [one for one in model.modules() if isinstance(one, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the average of all batches, here one
        norm.reset_running_stats()
    if norms:
        model(draw_images(image))
    for norm in norms:
        norm.eval()


def draw_images(image: Sequence[int]) -> torch.Tensor:
    """Draw images (n, channels, height, width) of mean 0 and variance 1: noise of less and less resolution.

    With statistics of sharp noise alone, the scales of a network are wrong for photographs, which are smooth: among 64,
    the largest feature of an EfficientNet-B0 was 160 times as large as that of the median photograph, and PyTorch lost
    6e-3 of it in single precision. With those of all resolutions it loses 4e-6.
    """
    drawn = []
    number = OF_LARGE_ONES if math.prod(image[1:]) > LARGE else IMAGES_OF_EACH
    for coarse in COARSENESS:
        size = [max(2, side // coarse) for side in image[1:]]
        noise = torch.randn(number, image[0], *size)
        whole = torch.nn.functional.interpolate(noise, tuple(image[1:]), mode="bilinear")
        drawn.append(whole / whole.std() if coarse > 1 else noise)
    return torch.cat(drawn)
