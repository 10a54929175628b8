"""A small network with one or more of almost every operation of the neutral graph, and the files of its export."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from bench.networks.export import draw_weights, write_network

IMAGE = (3, 24, 20)


class Mixed(nn.Module):
    """Convolutions of several kinds, pools, norms, attention over pixels and activations; features (b, 24)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16, eps=1e-3)
        self.depthwise = nn.Conv2d(16, 32, 5, padding=2, groups=16)
        self.grouped = nn.Conv2d(32, 24, (3, 1), padding=(1, 0), groups=4)
        self.strided = nn.Conv2d(24, 24, 3, stride=2, padding="valid", dilation=1)
        self.norm2 = nn.GroupNorm(4, 24)
        self.gate1, self.gate2 = nn.Conv1d(1, 1, 3, padding=1), nn.Linear(24, 24)
        self.position = nn.Parameter(torch.zeros(1, 1, 24))
        self.token = nn.Parameter(torch.zeros(1, 1, 24))
        self.table = nn.Parameter(torch.zeros(9, 2))
        self.norm3, self.norm4 = nn.LayerNorm(24), nn.LayerNorm(24)
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.scale = nn.Parameter(torch.ones(24, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(self.norm1(self.stem(images))) + functional.relu(self.stem(images))
        x = functional.max_pool2d(x, 3, 2, ceil_mode=True) + functional.avg_pool2d(x, 3, 2, 1)
        x = functional.hardswish(self.depthwise(x))
        x = torch.cat([functional.hardsigmoid(self.grouped(x)), functional.leaky_relu(self.grouped(x), 0.1)], 1)
        a, b = x.chunk(2, dim=1)
        x = torch.roll(functional.silu(a) - b * self.scale, (1, -1), (2, 3))
        x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = functional.interpolate(x, size=(18, 14), mode="bilinear")
        x = self.norm2(self.strided(functional.pad(x, (0, 1, 0, 1))))
        x = functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        gate = torch.sigmoid(self.gate1(x.mean((2, 3)).unsqueeze(1))).view(-1, 24, 1, 1)
        x = x * gate.expand_as(x)
        x = x * functional.softplus(x.amax((2, 3), keepdim=True)).clamp(0.1, 6)
        tokens = x.flatten(2).transpose(1, 2) + self.position
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = tokens + self._attend(self.norm3(tokens))
        tokens = tokens + self.out(functional.gelu(self.norm4(tokens), approximate="tanh"))
        picked = functional.normalize(tokens[:, 0], dim=-1) + functional.elu(tokens[:, 1::2].mean(1))
        return torch.tanh(self.gate2(picked)) / torch.sqrt(torch.exp(picked) + 1) + functional.mish(picked) ** 2

    def _attend(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, number, _ = tokens.shape
        q, k, v = self.qkv(tokens).reshape(batch, number, 3, 2, 12).permute(2, 0, 3, 1, 4).unbind(0)
        near = (torch.arange(number)[:, None] - torch.arange(number)).clamp(-4, 4) + 4
        bias = self.table[near.view(-1)].view(number, number, 2).permute(2, 0, 1).repeat(2, 1, 1)[1:3]
        whole = functional.scaled_dot_product_attention(q, k, v)
        biased = torch.softmax(q @ k.transpose(-2, -1) * 0.3 + bias, -1) @ v
        return (whole + biased).transpose(1, 2).reshape(batch, number, 24)


def write(folder: Path) -> None:
    """Write the files of the network with random weights."""
    torch.manual_seed(0)
    model = Mixed().eval()
    draw_weights(model, IMAGE)
    write_network(folder, model, IMAGE, {"network": "mixed"})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
