"""JAX's process settings: threads, device and numeric flags; and its memory counters."""

from __future__ import annotations

import os
from collections.abc import Mapping

import jax
import jaxlib

from backends.knobs import collect_flags
from backends.task import Variant
from backends.values import DeviceMemory, Resolved

VERSIONS = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
#: Data types of convolutions, by precision. In tf32 the hardware rounds.
DTYPES = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16", "fp16": "float16"}
#: JAX's names for how products of float32 are computed, by precision; of other types they change nothing.
#: (docs.jax.dev, "jax.default_matmul_precision")
MATMUL_PRECISIONS = {"tf32": "tensorfloat32"}
#: The variable that XLA reads for the size of its pool of threads when its CPU device is made. The pool has no setting,
#: neither before nor after, and counts the usable cores without it.
#: (github.com/openxla/xla, xla/pjrt/utils.cc, DefaultThreadPoolSize)
THREADS = "NPROC"
#: What the process' pool of threads was made with; empty until JAX's devices exist.
_POOL: list[int] = []


def configure(variant: Variant) -> None:
    """Apply the variant to the process, without making JAX's devices.

    JAX makes its devices, and their threads, when one is first used. What is called later changes only the precision.
    """
    if not _POOL:
        kind, _, index = variant.device.partition(":")
        if variant.threads:
            os.environ[THREADS] = str(variant.threads)
        jax.config.update("jax_platforms", "cpu" if kind == "cpu" else "cuda,cpu")
        if index:
            jax.config.update("jax_cuda_visible_devices", index)
        _POOL.append(int(os.environ.get(THREADS) or len(os.sched_getaffinity(0))))
    # fp32 means fp32: without this line a GPU would compute it in TensorFloat-32.
    jax.config.update("jax_default_matmul_precision", MATMUL_PRECISIONS.get(variant.precision, "float32"))


def set_up(variant: Variant) -> jax.Device:
    """Apply the variant to the process, see `configure`; return the device."""
    configure(variant)
    return jax.local_devices()[0]


def resolve(
    variant: Variant, device: jax.Device, input_pipeline: str, backend: str, in_force: Mapping[str, str]
) -> Resolved:
    """Describe how the variant runs on this machine.

    Args:
        variant: as requested.
        device: that it runs on.
        input_pipeline: in a few words.
        backend: the backend's name.
        in_force: the values of knobs that are in force in what the backend has built; `execution`, `layout` and
            `precision` are among them.
    """
    tf32 = device.platform == "gpu" and jax.config.jax_default_matmul_precision in ("tensorfloat32", "default", None)
    compiles = not jax.config.jax_disable_jit
    preallocates = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "true").lower() not in ("false", "0")
    return Resolved(
        framework="jax",
        versions=VERSIONS,
        device=device.device_kind,
        execution=in_force["execution"] if compiles else "eager",
        jit="xla" if compiles else "none",
        layout=in_force["layout"],
        precision="tf32" if tf32 and in_force["precision"] == "fp32" else in_force["precision"],
        intra_op_threads=_POOL[0],
        inter_op_threads=_POOL[0],  # the same pool
        input_pipeline=input_pipeline,
        flags={
            "tf32": "on" if tf32 else "off",
            "matmul_precision": str(jax.config.jax_default_matmul_precision),
            "preallocation": "on" if preallocates and device.platform == "gpu" else "off",
            **collect_flags(backend, variant),
            **{knob: value for knob, value in in_force.items() if knob not in Resolved.__annotations__},
        },
    )


def list_gpus() -> list[str]:
    """The names of the GPUs that JAX sees; it makes its devices for that."""
    try:
        return [device.device_kind for device in jax.devices("cuda")]
    except RuntimeError:  # no plugin, or no device
        return []


def describe_build() -> dict[str, str]:
    """JAX's own description of its build: versions, the platform (on a GPU with its version of CUDA), XLA's flags."""
    return {
        "build": " ".join(f"{name}={value}" for name, value in sorted(VERSIONS.items())),
        "platform": jax.local_devices()[0].client.platform_version if _POOL else "unknown",
        "flags": os.environ.get("XLA_FLAGS", ""),
    }


def reset_memory(device: jax.Device) -> None:
    """Do nothing: JAX's peak counters cannot be restarted, and count from the start of the process."""


def read_memory(device: jax.Device) -> DeviceMemory | None:
    """Peak bytes since the process began, or None without a GPU.

    `pool_bytes` is what the allocator has taken from the device; with preallocation it would be most of the device's
    memory at once. (docs.jax.dev, "GPU memory allocation")
    """
    statistics = device.memory_stats()
    if device.platform == "cpu" or not statistics:
        return None
    return DeviceMemory(statistics["peak_bytes_in_use"], statistics.get("peak_pool_bytes"))
