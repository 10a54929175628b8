"""The backbone: how it is built, loaded from the checkpoint, executed and read back."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torchvision

from backends import folding
from backends.convolutions import Geometry
from backends.engines.torch import saved_program, timm_network
from backends.engines.torch.device import DTYPES, MEMORY_FORMATS
from backends.exported.exported_backbone import ExportedBackbone
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.knobs import get_value
from backends.pytorch.preprocess import make_batch_transform
from backends.task import Task, Variant
from backends.values import Tensors

BLOCKS = {"basic": torchvision.models.resnet.BasicBlock, "bottleneck": torchvision.models.resnet.Bottleneck}
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
#: The forms of extraction: execution, and about how many seconds they take to make. The layout is NHWC: NCHW has four
#: fifths of its rate, or less (ResNet-18 at 32 px and Lite0 at 96 px on an AMD EPYC).
EXTRACTION_FORMS = (("eager", 0.5), ("onednn_graph", 1.2), ("torchscript", 1.2), ("compiled_frozen", 30.0))
#: Modes of `torch.compile`, by execution.
COMPILE_MODES = {
    "compiled": None,
    "compiled_frozen": None,
    "reduce_overhead": "reduce-overhead",
    "max_autotune": "max-autotune",
}
#: Executions that replay a recorded graph: the next replay overwrites the results.
REPLAYED = frozenset({"reduce_overhead", "max_autotune", "cuda_graphs"})
#: Calls before a recording, so that nothing is initialised during it: as many as in PyTorch's notes on CUDA graphs.
WARM_UP = 3


def build(task: Task, variant: Variant) -> torch.nn.Module:
    """The backbone up to its pooled features (n, d); all parameters that the task does not train are frozen."""
    if isinstance(task.network, ExportedBackbone) and task.network.program:
        backbone = saved_program.load_module(task.network.program)
    elif task.network.family == "exported":
        backbone = timm_network.make_network(task.network.architecture, task.image_size)
    elif task.network.family == "resnet":
        backbone = torchvision.models.ResNet(BLOCKS[task.network.block], list(task.network.blocks))
        backbone.fc = torch.nn.Identity()
    else:
        import timm  # slow to import

        backbone = timm.create_model(task.network.architecture, pretrained=False, num_classes=0)
    if folding.folds_batch_norm(variant):
        _fold(backbone, task, folding.find_product_convolutions(task, variant))
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(DTYPES[variant.precision])
    if task.network.family == "exported":
        _round_tensors(backbone, task, variant)
    backbone.to(memory_format=MEMORY_FORMATS[get_value("pytorch", variant, "layout")])
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in task.trained)
    if isinstance(backbone, torch.fx.GraphModule):  # a saved program has no modes
        return backbone
    # In train mode a frozen batch normalisation still normalises by the batch and moves its statistics.
    return backbone.train(task.batch_norm == "batch_stats")


def _round_tensors(backbone: torch.nn.Module, task: Task, variant: Variant) -> None:
    """Keep all tensors of an exported network in the variant's precision, but for those of batch normalisations, which
    compute in single precision.
    """
    tensors = dict(itertools.chain(backbone.named_parameters(), backbone.named_buffers()))
    for name in task.network.find_rounded(tensors):
        if tensors[name].is_floating_point():
            tensors[name].data = tensors[name].data.to(DTYPES[variant.precision])


def make_forward(backbone: torch.nn.Module, task: Task, variant: Variant, inputs: torch.Tensor) -> Callable:
    """The loaded backbone as a function that executes it as the variant says.

    Args:
        inputs: one batch of the usual size; later batches may be smaller or larger.
    """
    execution = get_value("pytorch", variant, "execution")
    if execution == "eager":
        return backbone
    if execution in ("torchscript", "onednn_graph"):
        with torch.no_grad(), warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):  # on some CPUs it is still the fastest in fp32
                warnings.simplefilter("ignore", category)
            # A setting of the process, read when a graph first runs; `optimize_for_inference` fails if it is on.
            torch.jit.enable_onednn_fusion(execution == "onednn_graph")
            traced = torch.jit.trace(backbone, inputs)
            return torch.jit.freeze(traced) if execution == "onednn_graph" else torch.jit.optimize_for_inference(traced)
    if execution == "cuda_graphs":
        return GraphReplay(backbone)
    from torch._inductor import config as inductor  # slow to import

    inductor.freezing = execution == "compiled_frozen"
    return torch.compile(backbone, mode=COMPILE_MODES[execution])


def find_knobs_in_force(backbone: torch.nn.Module, task: Task, forward: Callable, variant: Variant) -> dict[str, str]:
    """Find the values of the variant's knobs that are in force in the built backbone and in what executes it.

    A value that cannot be seen is left out.
    """
    modules = list(backbone.modules())
    weights = [module.weight for module in modules if isinstance(module, torch.nn.Conv2d)]
    layouts = {
        name
        for weight in weights
        # Of a 1 x 1 kernel the two layouts are the same.
        if not all(weight.is_contiguous(memory_format=layout) for layout in MEMORY_FORMATS.values())
        for name, layout in MEMORY_FORMATS.items()
        if weight.is_contiguous(memory_format=layout)
    }
    folding_in_force = "conv_bn"
    if any(isinstance(module, ProductConvolution) for module in modules):
        folding_in_force = "product"
    elif not task.network.pair_convolutions_with_norms() or any(
        isinstance(module, torch.nn.BatchNorm2d) for module in modules
    ):
        folding_in_force = "none"
    found = {"execution": _find_execution(forward, variant), "folding": folding_in_force}
    found |= {"layout": "+".join(sorted(layouts))} if layouts else {}
    if len(types := {weight.dtype for weight in weights}) == 1:
        found["precision"] = _PRECISIONS[types.pop()]
    return found


def _find_execution(forward: Callable, variant: Variant) -> str:
    """What executes the backbone. Dynamo and TorchScript leave a function as it is where something disables them."""
    if isinstance(forward, GraphReplay):
        return "cuda_graphs"
    if isinstance(forward, torch.jit.ScriptModule):
        return "onednn_graph" if torch.jit.onednn_fusion_enabled() else "torchscript"
    asked = get_value("pytorch", variant, "execution")
    # `torch.compile` wraps a module; which mode it has is known to the compiler alone.
    return asked if hasattr(forward, "_orig_mod") and asked in COMPILE_MODES else "eager"


def list_extraction_forms(task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
    """The forms of extraction, see `Trainer.list_extraction_forms`. On a GPU there is only the first one."""
    return tuple(
        ExtractionForm(
            name=execution,
            variant=folding.make_extraction_variant(variant, layout="nhwc", execution=execution),
            batch_size=choose_batch_size(task, variant),
            making_s=making_s,
        )
        for execution, making_s in (EXTRACTION_FORMS if variant.device == "cpu" else EXTRACTION_FORMS[:1])
    )


def make_extractor(task: Task, form: ExtractionForm, tensors: Tensors, device: torch.device) -> Extractor:
    """Make a form of extraction from the checkpoint's tensors."""
    variant = form.variant
    layout = get_value("pytorch", variant, "layout")
    input_format = {"dtype": DTYPES[variant.precision], "memory_format": MEMORY_FORMATS[layout]}
    backbone = build(task, variant)
    load(backbone, task, folding.prepare_tensors(task, tensors, variant))
    transform = make_batch_transform(task, layout)
    inputs = torch.zeros(form.batch_size, 3, task.image_size, task.image_size, device=device).to(**input_format)
    with _keep_compilers_settings(variant):
        forward = make_forward(backbone.to(device), task, variant, inputs)

    @torch.inference_mode()
    def extract(images: np.ndarray) -> np.ndarray:
        with _keep_compilers_settings(variant):  # the first calls compile
            inputs = transform(torch.from_numpy(images).to(device)).to(**input_format)
            return forward(inputs).float().cpu().numpy()

    return extract


@contextlib.contextmanager
def _keep_compilers_settings(variant: Variant) -> Iterator[None]:
    """Set the compilers' settings of a variant, which are the process's, during a block."""
    fuses = torch.jit.onednn_fusion_enabled()
    torch.jit.enable_onednn_fusion(variant.execution == "onednn_graph")
    try:
        if variant.execution in COMPILE_MODES:
            from torch._inductor import config as inductor  # slow to import

            # One thread: TorchInductor's processes would stay, and share the memory and the cores of what is measured.
            with inductor.patch(freezing=variant.execution == "compiled_frozen", compile_threads=1):
                yield
        else:
            yield
    finally:
        torch.jit.enable_onednn_fusion(fuses)


class RecordedGraph(NamedTuple):
    """A recorded CUDA graph, with the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: torch.Tensor
    outputs: torch.Tensor


class GraphReplay:
    """Calls a module of one tensor by CUDA graphs; a graph is recorded for each new shape of the inputs.

    The next call with the same shape overwrites the outputs. (PyTorch's notes on CUDA semantics, "CUDA Graphs".)
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.recordings: dict[torch.Size, RecordedGraph] = {}

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The module's outputs; without gradients."""
        recording = self.recordings.get(inputs.shape)
        if recording is None:
            recording = self.recordings[inputs.shape] = self._record(inputs)
        recording.inputs.copy_(inputs)
        recording.graph.replay()
        return recording.outputs

    def _record(self, inputs: torch.Tensor) -> RecordedGraph:
        """Warm up in another stream, restore the buffers that this changed (running statistics), and record."""
        static_inputs, buffers = inputs.clone(), list(self.module.buffers())
        before = [buffer.clone() for buffer in buffers]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.module(static_inputs)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.module(static_inputs)
        return RecordedGraph(graph, static_inputs, outputs)


def load(backbone: torch.nn.Module, task: Task, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone. What an exported network's features do not depend on stays as it is."""
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    counters = {name: torch.zeros_like(t) for name, t in backbone.state_dict().items() if _is_counter(name)}
    backbone.load_state_dict(state | counters, strict=task.network.family != "exported")


def read(backbone: torch.nn.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, named as in the checkpoint."""
    state = backbone.state_dict()
    return {name: state[name].detach().cpu().float().numpy().copy() for name in names}


def _fold(backbone: torch.nn.Module, task: Task, products: Mapping[str, Geometry]) -> None:
    """Prepare a backbone for folded tensors: every convolution gets a bias, and those in `products` become products. A
    normalisation is removed; the activation that timm makes a part of it stays.
    """
    for convolution, norm in task.network.pair_convolutions_with_norms().items():
        module = backbone.get_submodule(convolution)
        module.bias = torch.nn.Parameter(torch.zeros(module.out_channels))
        if convolution in products:
            backbone.set_submodule(convolution, ProductConvolution(module, products[convolution]))
        backbone.set_submodule(norm, getattr(backbone.get_submodule(norm), "act", torch.nn.Identity()))


class ProductConvolution(torch.nn.Conv2d):
    """A convolution of a whole map as one product, see `folding.make_product_weights`.

    In fp32 it is computed as a 1 x 1 convolution of an image whose pixels are the batch: oneDNN's convolutions use
    AVX-512 on all processors, PyTorch's matrix products on some (150 against 100 GFLOP/s on a core of an AMD EPYC).
    """

    def __init__(self, convolution: torch.nn.Conv2d, geometry: Geometry) -> None:
        side, channels = -(-geometry.side // geometry.stride), convolution.out_channels
        super().__init__(geometry.side**2 * convolution.in_channels, side**2 * channels, 1)
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
    """Whether a tensor counts a normalisation's batches, as PyTorch does; at a constant momentum nothing reads it."""
    return name.endswith("num_batches_tracked")
