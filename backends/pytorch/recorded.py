"""A module's kernels, recorded once as a CUDA graph and replayed: one launch instead of one for every kernel."""

from __future__ import annotations

from typing import NamedTuple

import torch

#: As many as in PyTorch's notes on CUDA graphs; within a recording cuDNN and cuBLAS must set up nothing any more.
WARM_UP = 3


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
