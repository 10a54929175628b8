"""PyTorch's process settings: threads, device and numeric flags; and its memory counters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torchvision

from backends.knobs import collect_flags, get_value
from backends.task import Variant
from backends.values import DeviceMemory, Resolved

VERSIONS = {"torch": torch.__version__, "torchvision": torchvision.__version__}
#: Data types of convolutions, by precision. In tf32 the hardware rounds.
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEMORY_FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
#: The compiler, by execution.
JITS = {
    "compiled": "inductor",
    "compiled_frozen": "inductor, freezing",
    "torchscript": "torchscript",
    "onednn_graph": "torchscript, oneDNN graph",
    "reduce_overhead": "inductor, CUDA graphs",
    "max_autotune": "inductor, CUDA graphs, autotuned",
    "cuda_graphs": "CUDA graphs",
}


def set_up(variant: Variant, backend: str) -> torch.device:
    """Apply the variant of a backend to the process; return the device."""
    if variant.threads:
        torch.set_num_threads(variant.threads)
    # fp32 means fp32: without these lines a GPU would compute it in TensorFloat-32.
    tf32 = variant.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.fp32_precision = "tf32" if tf32 else "ieee"  # read by TorchInductor's convolutions
    torch.backends.cudnn.benchmark = get_value(backend, variant, "autotune") == "autotuned"
    device = torch.device(variant.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # CUDA graphs are recorded on the current one
    return device


def resolve(
    variant: Variant, device: torch.device, input_pipeline: str, backend: str, in_force: Mapping[str, str]
) -> Resolved:
    """Describe how the variant runs on this machine.

    Args:
        variant: as requested.
        device: that it runs on.
        input_pipeline: in a few words.
        backend: the backend's name.
        in_force: the values of knobs that are in force in what the backend has built; `execution` is among them.
    """
    tf32 = torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
    precision = in_force.get("precision", variant.precision)
    onednn = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    return Resolved(
        framework="torch",
        versions=VERSIONS,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        execution=in_force["execution"],
        jit=JITS.get(in_force["execution"], "none"),
        layout=in_force.get("layout", get_value(backend, variant, "layout")),
        precision="tf32" if tf32 and precision == "fp32" else precision,
        intra_op_threads=torch.get_num_threads(),
        inter_op_threads=torch.get_num_interop_threads(),
        input_pipeline=input_pipeline,
        flags={
            "tf32": "on" if torch.backends.cudnn.allow_tf32 else "off",
            "onednn": "on" if onednn else "off",
            "cudnn_autotune": "on" if torch.backends.cudnn.benchmark else "off",
            **collect_flags(backend, variant),
            "kernels": "onednn" if onednn or device.type != "cpu" else "aten",
            "autotune": "autotuned" if torch.backends.cudnn.benchmark else "heuristic",
            **{knob: value for knob, value in in_force.items() if knob not in Resolved.__annotations__},
        },
    )


def list_gpus() -> list[str]:
    """The names of the GPUs that PyTorch sees."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def describe_build() -> dict[str, str]:
    """PyTorch's own description of its build (compiler, BLAS, oneDNN, CUDA and cuDNN) and of its threads."""
    cudnn = torch.backends.cudnn.version()
    return {
        "build": torch.__config__.show().strip(),
        "parallel": torch.__config__.parallel_info().strip(),
        "cuda": torch.version.cuda or "none",
        "cudnn": str(cudnn) if cudnn else "none",
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_memory(device: torch.device) -> None:
    """Restart the peak counters."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def read_memory(device: torch.device) -> DeviceMemory | None:
    """Peak bytes since `reset_memory`, or None without a GPU."""
    if device.type != "cuda":
        return None
    return DeviceMemory(torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device))
