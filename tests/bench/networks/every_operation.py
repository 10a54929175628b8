"""Small networks with every operation of the neutral graph, or with what is made of several, and their exports."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from bench.networks.drawn_weights import draw_weights
from bench.networks.export import write_evidence, write_network

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
        self.both = nn.LSTM(24, 7, 2, batch_first=True, bidirectional=True)
        self.one = nn.LSTM(14, 24, bias=False)
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
        x = functional.interpolate(functional.pad(x, (1, 0, 0, 2), value=0.5), size=(18, 14), mode="bilinear")
        x = self.norm2(self.strided(functional.pad(x, (0, 1, 0, 1))))
        x = functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        gate = torch.sigmoid(self.gate1(x.mean((2, 3)).unsqueeze(1))).view(-1, 24, 1, 1)
        x = x * gate.expand_as(x)
        x = x * functional.softplus(x.amax((2, 3), keepdim=True)).clamp(0.1, 6)
        tokens = x.flatten(2).transpose(1, 2) + self.position
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = tokens + self._attend(self.norm3(tokens))
        tokens = tokens + self.one(self.both(tokens)[0].transpose(0, 1))[0].transpose(0, 1)
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


class Composed(nn.Module):
    """What PyTorch has one operation for, and the graph several; features (b, 24)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1, output_padding=(1, 0), groups=4)
        self.wide = nn.ConvTranspose2d(12, 24, (2, 4), stride=(2, 1), dilation=(1, 2), padding=(0, 1))
        self.sparse = nn.Conv2d(24, 24, 3, stride=(1, 2), padding=2, dilation=2)
        self.roots = nn.ModuleList([nn.RMSNorm(24), nn.RMSNorm((2, 24), eps=0.1, elementwise_affine=False)])
        self.position = nn.Parameter(torch.zeros(1, 24, 5, 7))
        self.weights = nn.Parameter(torch.zeros(24, 24))
        self.table = nn.Parameter(torch.zeros(3, 5, 8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.wide(torch.tanh(self.up(self.stem(images)))))
        sides = x.shape[-2:]
        for options in ({"antialias": True}, {"align_corners": True}, {}):
            x = x + functional.interpolate(self.position, sides, mode="bicubic", **options)
        x = x + functional.interpolate(self.position, sides, mode="bilinear", align_corners=True)
        x = x + functional.interpolate(self.position, sides, mode="nearest")
        x = functional.interpolate(torch.tanh(self.sparse(x)), size=(16, 18), mode="bilinear", antialias=True)
        x = x / torch.sqrt(x.var(1, keepdim=True) + 1e-3) - x.var((2, 3), unbiased=False)[:, :, None, None]
        columns = functional.unfold(x, (3, 2), dilation=(1, 2), padding=1, stride=(2, 3))
        x = functional.fold(columns.sigmoid(), (16, 18), (3, 2), dilation=(1, 2), padding=1, stride=(2, 3))
        x = torch.exp(x.unfold(2, 6, 5).unfold(3, 4, 2)[..., 1, 3] * functional.adaptive_avg_pool2d(x, (3, 8)))
        grown = torch.einsum("bchw,hkw->bhkc", x, self.table).permute(0, 3, 1, 2)
        x[:, 2:-1, 1:] = x[:, 2:-1, 1:] + grown[:, 2:-1, 1:].mean(3, keepdim=True)
        x = torch.tanh(self._convolve_each(x))
        x = (
            x
            + functional.conv3d(x[:, None], self.table[None, :1, :3, :3, None].transpose(2, 4), padding=(0, 1, 1))[:, 0]
        )
        x = x * self.table[torch.tensor([0, 2])[:, None], torch.tensor([-2, 1, 1]), 1].sum()
        x = (1 - x).repeat_interleave(2, 0).view(-1, 2, *x.shape[1:]).mean(1)
        x = torch.matmul(self.weights, x.flatten(2).transpose(1, 2).tile(2, 1).transpose(1, 2))
        x = self.roots[0](functional.avg_pool1d(x, 3, 2, 1).transpose(1, 2))
        return self.roots[1](x[:, 2:4]).mean(1) + x.mean(1)

    def _convolve_each(self, x: torch.Tensor) -> torch.Tensor:
        """With a kernel and a bias for each image, in two groups, as CondConv."""
        batch, channels, height, width = x.shape
        each = x.mean((2, 3)).sigmoid() @ self.weights  # (b, 24)
        kernels = torch.einsum("bo,ij->boij", each, self.weights[:12, :6]).reshape(-1, 12, 3, 2)
        options = {"bias": each.view(-1), "padding": (1, 2), "dilation": (1, 2), "stride": (1, 2), "groups": 2 * batch}
        convolved = functional.conv2d(x.reshape(1, -1, height, width), kernels, **options)
        return convolved.view(batch, channels, *convolved.shape[-2:])


def write(folder: Path) -> None:
    """Write the files of both networks with random weights."""
    for name, kind in (("mixed", Mixed), ("composed", Composed)):
        torch.manual_seed(0)
        model = kind().eval()
        draw_weights(model, IMAGE)
        write_network(folder / name, model, IMAGE, {"network": name, "weights": "random 0"})
        write_evidence(folder / name, model, IMAGE)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
