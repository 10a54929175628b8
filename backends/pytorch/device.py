"""Where the work runs: threads, device, numeric flags, and the framework's own memory counters."""

from __future__ import annotations

import torch
import torchvision

from backends.knobs import told, value_of
from backends.task import Variant
from backends.values import DeviceMemory, Resolved

#: What compiles, by execution.
JITS = {
    "compiled": "inductor",
    "compiled_frozen": "inductor, freezing",
    "torchscript": "torchscript",
    "onednn_graph": "torchscript, oneDNN graph",
    "reduce_overhead": "inductor, CUDA graphs",
    "max_autotune": "inductor, CUDA graphs, autotuned",
    "cuda_graphs": "CUDA graphs",
}


def set_up(variant: Variant) -> torch.device:
    """Apply the variant to the process; return the device."""
    if variant.threads:
        torch.set_num_threads(variant.threads)
    # fp32 means fp32: on a GPU TensorFloat-32 would be another precision than the one asked for.
    tf32 = variant.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.fp32_precision = "tf32" if tf32 else "ieee"  # what TorchInductor's convolutions ask
    torch.backends.cudnn.benchmark = value_of("pytorch", variant, "autotune") == "autotuned"
    device = torch.device(variant.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # CUDA graphs are recorded on the current one
    return device


def resolve(variant: Variant, device: torch.device, input_pipeline: str) -> Resolved:
    """What the variant became."""
    return Resolved(
        framework="torch",
        versions={"torch": torch.__version__, "torchvision": torchvision.__version__},
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        execution=value_of("pytorch", variant, "execution"),
        jit=JITS.get(value_of("pytorch", variant, "execution"), "none"),
        layout=value_of("pytorch", variant, "layout"),
        precision=variant.precision,
        intra_op_threads=torch.get_num_threads(),
        inter_op_threads=torch.get_num_interop_threads(),
        input_pipeline=input_pipeline,
        flags={
            "tf32": "on" if torch.backends.cudnn.allow_tf32 else "off",
            "onednn": "on" if torch.backends.mkldnn.is_available() else "off",
            "cudnn_autotune": "on" if torch.backends.cudnn.benchmark else "off",
            **told("pytorch", variant),
        },
    )


def about() -> dict[str, str]:
    """PyTorch's own account of its build: compiler, BLAS, oneDNN, CUDA and cuDNN, and of its threads."""
    cudnn = torch.backends.cudnn.version()
    return {
        "build": torch.__config__.show().strip(),
        "parallel": torch.__config__.parallel_info().strip(),
        "cuda": torch.version.cuda or "none",
        "cudnn": str(cudnn) if cudnn else "none",
    }


def wait(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_memory(device: torch.device) -> None:
    """Restart the peak counters."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> DeviceMemory | None:
    """Peak bytes since `reset_memory`, or None without a GPU."""
    if device.type != "cuda":
        return None
    return DeviceMemory(torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device))
