"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torchvision

from backends import folding
from backends.backbones import Place
from backends.extraction import FEWEST_EXTRACTED
from backends.knobs import value_of
from backends.task import Task, Variant
from backends.values import Tensors

#: Of convolutions. In tf32 it is the hardware that rounds.
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Images from which on a form that takes time to make is worth it.
SCRIPTED = 20_000
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
    """The backbone up to its pooled features (n, d), with every parameter frozen that the task does not train."""
    if task.network.family == "resnet":
        backbone = torchvision.models.get_model(task.backbone, weights=None)
        backbone.fc = torch.nn.Identity()
    else:
        import timm  # takes a second to import

        backbone = timm.create_model(task.network.architecture, pretrained=False, num_classes=0)
    if folding.folds(variant):
        _fold(backbone, task, folding.small_maps(task, variant))
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(DTYPES[variant.precision])
    backbone.to(memory_format=FORMATS[value_of("pytorch", variant, "layout")])
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in task.trained)
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
    if execution in ("torchscript", "onednn_graph"):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it still is the fastest in fp32 on some CPUs
            # A switch of the process, read when a graph first runs; with it on, `optimize_for_inference` fails.
            torch.jit.enable_onednn_fusion(execution == "onednn_graph")
            traced = torch.jit.trace(backbone, inputs)
            return torch.jit.freeze(traced) if execution == "onednn_graph" else torch.jit.optimize_for_inference(traced)
    if execution == "cuda_graphs":
        return Recorded(backbone)
    from torch._inductor import config as inductor  # so does this

    inductor.freezing = execution == "compiled_frozen"
    return torch.compile(backbone, mode=MODES[execution])


def for_extraction(
    task: Task, variant: Variant, tensors: Tensors, images: int, device: torch.device
) -> tuple[Variant, Callable]:
    """The form in which features of so many images are extracted, and the loaded backbone in it.

    TorchScript's fusions make fp32 a quarter quicker and bf16 hardly, and take a second or two.
    """
    scripted = variant.precision == "fp32" and images >= SCRIPTED and device.type == "cpu"
    form = folding.for_extraction(variant, layout="nhwc", execution="torchscript" if scripted else "eager")
    backbone = build(task, form)
    load(backbone, folding.executed(task, tensors, form))
    backbone.to(device)
    inputs = torch.zeros(FEWEST_EXTRACTED, 3, task.image_size, task.image_size, dtype=DTYPES[form.precision])
    return form, executed(backbone, task, form, inputs.to(memory_format=torch.channels_last))


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


def _fold(backbone: torch.nn.Module, task: Task, products: Mapping[str, Place]) -> None:
    """Give every convolution a bias, and leave of its normalisation just the activation that timm makes part of it;
    make products of some.
    """
    for convolution, norm in folding.pairs(task.network).items():
        module = backbone.get_submodule(convolution)
        module.bias = torch.nn.Parameter(torch.zeros(module.out_channels))
        if convolution in products:
            backbone.set_submodule(convolution, Product(module, products[convolution]))
        backbone.set_submodule(norm, getattr(backbone.get_submodule(norm), "act", torch.nn.Identity()))


class Product(torch.nn.Conv2d):
    """A convolution of a whole map as one product, see `folding.as_product`.

    In fp32 it is a 1 x 1 convolution of an image whose pixels are the batch: oneDNN's convolutions use AVX-512 on any
    processor, PyTorch's matrix products on some (150 against 100 GFLOP/s on a core of an AMD EPYC).
    """

    def __init__(self, convolution: torch.nn.Conv2d, place: Place) -> None:
        side, channels = -(-place.side // place.stride), convolution.out_channels
        super().__init__(place.side**2 * convolution.in_channels, side**2 * channels, 1)
        self.side, self.channels = side, channels

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Outputs (n, channels, side', side')."""
        values = maps.permute(0, 2, 3, 1).flatten(1)
        if self.weight.dtype == torch.float32:
            outputs = super().forward(values.t()[None, :, :, None])[0, :, :, 0].t()
        else:
            outputs = torch.nn.functional.linear(values, self.weight[:, :, 0, 0], self.bias)
        return outputs.reshape(-1, self.side, self.side, self.channels).permute(0, 3, 1, 2)


def _is_counter(name: str) -> bool:
    """PyTorch counts the batches a normalisation has seen; nothing reads it at a constant momentum."""
    return name.endswith("num_batches_tracked")
