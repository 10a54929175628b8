"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import timm
import torch
import torchvision
from torch._inductor import config as inductor

from backends import folding
from backends.base import Tensors
from backends.knobs import value_of
from backends.task import Task, Variant

#: Of convolutions. In tf32 it is the hardware that rounds.
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
#: Modes of `torch.compile`, by execution.
MODES = {
    "compiled": None,
    "compiled_frozen": None,
    "reduce_overhead": "reduce-overhead",
    "max_autotune": "max-autotune",
}
#: Executions that replay a recording, whose results the next replay overwrites.
REPLAYED = frozenset({"reduce_overhead", "max_autotune", "cuda_graphs"})
#: Calls before a recording, in which nothing may be set up any more: as many as in PyTorch's notes on CUDA graphs.
WARM_UP = 3


def build(task: Task, variant: Variant) -> torch.nn.Module:
    """The backbone up to its pooled features (n, d), with every parameter frozen."""
    if task.network.family == "resnet":
        backbone = torchvision.models.get_model(task.backbone, weights=None)
        backbone.fc = torch.nn.Identity()
    else:
        backbone = timm.create_model(task.network.architecture, pretrained=False, num_classes=0)
    if variant.folding == "conv_bn":
        _fold(backbone, task)
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(DTYPES[variant.precision])
    backbone.to(memory_format=FORMATS[value_of("pytorch", variant, "layout")])
    backbone.requires_grad_(False)
    # In train mode a frozen batch normalisation still normalises by the batch and moves its statistics.
    return backbone.train(task.batch_norm == "batch_stats")


def executed(backbone: torch.nn.Module, task: Task, variant: Variant, inputs: torch.Tensor) -> Callable:
    """The loaded backbone as the variant executes it.

    Args:
        inputs: one batch, as it will be called with; others may be smaller or larger.
    """
    execution = value_of("pytorch", variant, "execution")
    if execution == "eager":
        return backbone
    if execution == "torchscript":
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it still is the fastest in fp32 on some CPUs
            return torch.jit.optimize_for_inference(torch.jit.trace(backbone, inputs))
    if execution == "cuda_graphs":
        return Recorded(backbone)
    inductor.freezing = execution == "compiled_frozen"
    return torch.compile(backbone, mode=MODES[execution])


class Recording(NamedTuple):
    """A graph, and the memory that it reads from and writes to."""

    graph: torch.cuda.CUDAGraph
    inputs: torch.Tensor
    outputs: torch.Tensor


class Recorded:
    """A module as a function of one tensor; each shape of inputs is recorded when it is first seen.

    The outputs are overwritten by the next call with that shape. (PyTorch's notes on CUDA semantics, "CUDA Graphs".)
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.recordings: dict[torch.Size, Recording] = {}

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The module's outputs; without gradients."""
        recording = self.recordings.get(inputs.shape)
        if recording is None:
            recording = self.recordings[inputs.shape] = self._record(inputs)
        recording.inputs.copy_(inputs)
        recording.graph.replay()
        return recording.outputs

    def _record(self, inputs: torch.Tensor) -> Recording:
        """Warm up beside the current stream, undo what that did to buffers (running statistics), and record."""
        held, buffers = inputs.clone(), list(self.module.buffers())
        before = [buffer.clone() for buffer in buffers]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self.module(held)
        torch.cuda.current_stream().wait_stream(beside)
        for buffer, was in zip(buffers, before, strict=True):
            buffer.copy_(was)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.module(held)
        return Recording(graph, held, outputs)


def load(backbone: torch.nn.Module, tensors: Tensors) -> None:
    """Copy tensors, as they are executed, into the backbone."""
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    counters = {name: torch.zeros_like(t) for name, t in backbone.state_dict().items() if _is_counter(name)}
    backbone.load_state_dict(state | counters)


def read(backbone: torch.nn.Module) -> dict[str, np.ndarray]:
    """The backbone's tensors as they are executed, named as in the checkpoint."""
    state = backbone.state_dict()
    return {name: t.detach().cpu().float().numpy().copy() for name, t in state.items() if not _is_counter(name)}


def _fold(backbone: torch.nn.Module, task: Task) -> None:
    """Give every convolution a bias, and leave of its normalisation just the activation that timm makes part of it."""
    for convolution, norm in folding.pairs(task.network).items():
        module = backbone.get_submodule(convolution)
        module.bias = torch.nn.Parameter(torch.zeros(module.out_channels))
        backbone.set_submodule(norm, getattr(backbone.get_submodule(norm), "act", torch.nn.Identity()))


def _is_counter(name: str) -> bool:
    """PyTorch counts the batches a normalisation has seen; nothing reads it at a constant momentum."""
    return name.endswith("num_batches_tracked")
