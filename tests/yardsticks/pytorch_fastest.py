"""The fastest loop that could be written by hand in PyTorch: a frozen ResNet-18 and a trained last layer.

Normalised images lie in memory as one tensor; batch norms are folded into convolutions; convolutions of maps that are
no larger than their kernel are matrix products; the last layer's gradient is written down. Eager, TorchScript, oneDNN
Graph and TorchInductor, in fp32 and bf16, are tried at the start, and the quickest one here is kept.

A yardstick: it shares no code with `backends`.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torchvision
from torch._inductor import config as inductor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIDE, FEATURES, CLASSES = 32, 512, 10
LEARNING_RATE, MOMENTUM = 0.001, 0.9
#: Batches that a form is tried with.
TRIED = 6


class Product(torch.nn.Module):
    """A convolution of a whole map of `side` pixels as one matrix product."""

    def __init__(self, convolution: torch.nn.Conv2d, side: int) -> None:
        super().__init__()
        eye = torch.eye(convolution.in_channels * side**2)
        maps = eye.view(-1, side, side, convolution.in_channels).permute(0, 3, 1, 2)
        bias = convolution.bias
        columns = functional.conv2d(maps, convolution.weight, None, convolution.stride, convolution.padding)
        self.after, self.channels = columns.shape[2], columns.shape[1]
        self.weight = torch.nn.Parameter(columns.permute(2, 3, 1, 0).flatten(0, 2).contiguous(), requires_grad=False)
        self.bias = torch.nn.Parameter(bias.repeat(self.after**2), requires_grad=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        values = maps.permute(0, 2, 3, 1).flatten(1)
        if self.weight.dtype == torch.float32:  # oneDNN's convolutions use AVX-512 where its matrix products do not
            pixels = values.t()[None, :, :, None]
            outputs = functional.conv2d(pixels, self.weight[:, :, None, None], self.bias)[0, :, :, 0].t()
        else:
            outputs = functional.linear(values, self.weight, self.bias)
        return outputs.view(-1, self.after, self.after, self.channels).permute(0, 3, 1, 2)


def build() -> torch.nn.Module:
    """The backbone, folded, with products."""
    net = torchvision.models.resnet18(weights=None).eval().requires_grad_(False)
    net.fc = torch.nn.Identity()
    net.conv1, net.bn1 = fuse_conv_bn_eval(net.conv1, net.bn1), torch.nn.Identity()
    side = SIDE // 4
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in stage:
            for number in (1, 2):
                name = f"conv{number}"
                convolution = fuse_conv_bn_eval(getattr(block, name), getattr(block, f"bn{number}"))
                after = side // convolution.stride[0]
                setattr(block, name, Product(convolution, side) if side <= 3 else convolution)
                setattr(block, f"bn{number}", torch.nn.Identity())
                if number == 1 and block.downsample:
                    block.downsample = fuse_conv_bn_eval(*block.downsample)
                side = after
    return net


def forms(net: torch.nn.Module, batch: torch.Tensor) -> Iterator[tuple[str, torch.dtype, Callable]]:
    """The backbone in each form, by name."""
    dtypes = [torch.float32, *([torch.bfloat16] if torch.cpu._is_avx512_bf16_supported() else [])]
    for dtype in dtypes:
        cast = copy.deepcopy(net).to(dtype=dtype, memory_format=torch.channels_last)
        inputs = batch.to(dtype=dtype, memory_format=torch.channels_last)
        yield f"eager {dtype}", dtype, cast
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.enable_onednn_fusion(False)  # a switch of the process, which ours may have turned
            yield f"TorchScript {dtype}", dtype, torch.jit.optimize_for_inference(torch.jit.trace(cast, inputs))
            torch.jit.enable_onednn_fusion(True)
            yield f"oneDNN Graph {dtype}", dtype, torch.jit.freeze(torch.jit.trace(cast, inputs))
            torch.jit.enable_onednn_fusion(False)
        inductor.freezing = True
        yield f"TorchInductor {dtype}", dtype, torch.compile(cast)


@torch.inference_mode()
def quickest(net: torch.nn.Module, batch: torch.Tensor) -> tuple[torch.dtype, Callable]:
    """The form that takes the least time for a batch."""
    found: list[tuple[float, str, torch.dtype, Callable]] = []
    for name, dtype, form in forms(net, batch):
        inputs = batch.to(dtype=dtype, memory_format=torch.channels_last)
        seconds = []
        for _ in range(2 + TRIED):
            began = time.perf_counter()
            form(inputs)
            seconds.append(time.perf_counter() - began)
        found.append((min(seconds), name, dtype, form))
    best, name, dtype, form = min(found, key=lambda one: one[0])
    print(", ".join(f"{other}: {len(batch) / seconds:,.0f} images/s" for seconds, other, *_ in found))
    print(f"kept: {name}, {len(batch) / best:,.0f} images/s", flush=True)
    return dtype, form


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 128,
    epochs: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> float:
    """Train; the mean loss of the last epoch."""
    resident = torch.from_numpy(images).float().div_(127.5).sub_(1)  # (n, h, w, 3), which is channels_last
    dtype, backbone = quickest(build(), resident[:batch_size].permute(0, 3, 1, 2))
    resident = resident.to(dtype)
    targets, one_hot = torch.from_numpy(labels), torch.eye(CLASSES)
    bound = FEATURES**-0.5
    weight, bias = torch.empty(CLASSES, FEATURES).uniform_(-bound, bound), torch.empty(CLASSES).uniform_(-bound, bound)
    moved, moved_bias = torch.zeros_like(weight), torch.zeros_like(bias)

    @torch.inference_mode()
    def step(rows: torch.Tensor) -> torch.Tensor:
        features = backbone(resident[rows].permute(0, 3, 1, 2)).float()
        expected = targets[rows]
        scores = torch.log_softmax(torch.addmm(bias, features, weight.t()), 1)
        loss = functional.nll_loss(scores, expected)
        wrong = scores.exp_().sub_(one_hot[expected]).div_(len(rows))
        weight.sub_(moved.mul_(MOMENTUM).add_(wrong.t() @ features), alpha=LEARNING_RATE)
        bias.sub_(moved_bias.mul_(MOMENTUM).add_(wrong.sum(0)), alpha=LEARNING_RATE)
        return loss

    losses = []
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(images)).split(batch_size)[: len(images) // batch_size]:
            losses.append(step(rows))
            tick()
    return torch.stack(losses).mean().item()
