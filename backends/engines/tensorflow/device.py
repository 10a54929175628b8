"""TensorFlow's process settings: threads, device and numeric flags; and its memory counters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import keras
import keras_hub
import tensorflow as tf

from backends.knobs import collect_flags, get_value
from backends.task import Variant
from backends.values import DeviceMemory, Resolved

VERSIONS = {"tensorflow": tf.__version__, "keras": keras.__version__, "keras-hub": keras_hub.__version__}


def set_up(variant: Variant) -> None:
    """Apply the variant to the process. It must run before TensorFlow first uses a device."""
    if variant.threads:
        tf.config.threading.set_intra_op_parallelism_threads(variant.threads)
        inter_op = 1 if variant.inter_op == "sequential" else variant.threads
        tf.config.threading.set_inter_op_parallelism_threads(inter_op)
    gpus = tf.config.list_physical_devices("GPU")
    kind, _, index = variant.device.partition(":")
    visible = gpus[int(index or 0) : int(index or 0) + 1] if kind == "cuda" else []
    tf.config.set_visible_devices(visible, "GPU")
    for gpu in visible:  # otherwise TensorFlow takes all of the GPU's memory at once
        tf.config.experimental.set_memory_growth(gpu, True)
    # fp32 means fp32: without this line a GPU would compute it in TensorFloat-32.
    tf.config.experimental.enable_tensor_float_32_execution(variant.precision == "tf32")


def compile_function(variant: Variant, function: Callable) -> Callable:
    """A function of tensors as the variant executes it. It is not traced again for every size of batch."""
    execution = get_value("tensorflow", variant, "execution")
    if execution == "eager":
        return function
    return tf.function(function, reduce_retracing=True, jit_compile=execution == "xla")


def resolve(variant: Variant, input_pipeline: str, backend: str, jit: str, in_force: Mapping[str, str]) -> Resolved:
    """Describe how the variant runs on this machine.

    Args:
        variant: as requested.
        input_pipeline: in a few words.
        backend: the backend's name.
        jit: the compiler.
        in_force: the values of knobs that are in force in what the backend has built; `execution`, `layout` and
            `precision` are among them.
    """
    gpus = tf.config.get_visible_devices("GPU")
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    threads, inter_op_threads = (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
    autotune = os.environ.get("TF_CUDNN_USE_AUTOTUNE") != "0"
    flags = {
        **collect_flags(backend, variant),
        "kernels": "onednn" if onednn or gpus else "eigen",
        "autotune": "autotuned" if autotune else "heuristic",
        **{knob: value for knob, value in in_force.items() if knob not in Resolved.__annotations__},
    }
    if variant.threads and variant.threads > 1:  # with one thread there is no difference
        flags["inter_op"] = "sequential" if inter_op_threads == 1 else "parallel"
    return Resolved(
        framework="tensorflow",
        versions=VERSIONS,
        device=tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu",
        execution=in_force["execution"],
        jit=jit,
        layout=in_force["layout"],
        precision="tf32" if tf32 and in_force["precision"] == "fp32" else in_force["precision"],
        intra_op_threads=threads,
        inter_op_threads=inter_op_threads,
        input_pipeline=input_pipeline,
        flags={
            "tf32": "on" if tf32 else "off",
            "onednn": "on" if onednn else "off",
            "cudnn_autotune": "on" if autotune else "off",
            **flags,
        },
    )


def list_gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees."""
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def describe_build() -> dict[str, str]:
    """TensorFlow's own description of its build: compiler and its flags, CUDA and cuDNN."""
    build = {name: str(value) for name, value in tf.sysconfig.get_build_info().items()}
    return {
        "build": " ".join(f"{name}={value}" for name, value in sorted(build.items())),
        "compiler": tf.version.COMPILER_VERSION,
        "flags": " ".join(flag for flag in tf.sysconfig.get_compile_flags() if not flag.startswith("-I")),
        "cuda": build.get("cuda_version", "none"),
        "cudnn": build.get("cudnn_version", "none"),
    }


def reset_memory() -> None:
    """Restart the peak counters."""
    if tf.config.get_visible_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def read_memory() -> DeviceMemory | None:
    """Peak bytes since `reset_memory`, or None without a GPU; TensorFlow does not count reserved bytes."""
    if not tf.config.get_visible_devices("GPU"):
        return None
    return DeviceMemory(tf.config.experimental.get_memory_info("GPU:0")["peak"], None)
