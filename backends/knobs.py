"""The knobs: what a variant can turn, which values each backend has, and where its documentation says so.

This table is all that the harness knows of them. The first value of a backend is what it does by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backends.base import Resolved, UnsupportedVariant
from backends.task import Task, Variant

TORCH = "docs.pytorch.org/docs/stable/"
TUNING = "docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"
TENSORFLOW = "www.tensorflow.org/"
KERAS = "keras.io/"
PRODUCT = "arXiv:1410.0759, section 2 (convolution as one matrix product), of the whole map"
ONEDNN = f"{TENSORFLOW}api_docs/python/tf (release notes of 2.9: TF_ENABLE_ONEDNN_OPTS)"
INTER_OP = f"{TENSORFLOW}api_docs/python/tf/config/threading/set_inter_op_parallelism_threads"


@dataclass(frozen=True)
class Knob:
    """One knob.

    Attributes:
        what: it decides.
        values: by backend, the values that it has there, each with its source.
    """

    what: str
    values: Mapping[str, Mapping[str, str]]


KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        "execution": Knob(
            "who runs the step's operations: Python one by one, the framework's graph, or a compiler",
            {
                "pytorch": {
                    "eager": TUNING,
                    "compiled": f"{TORCH}generated/torch.compile.html (the frozen backbone)",
                    "compiled_frozen": "github.com/pytorch/pytorch/pull/100652 (TorchInductor's freezing: the weights "
                    "become constants, laid out for the kernels)",
                    "torchscript": f"{TORCH}generated/torch.jit.optimize_for_inference.html (traced and frozen)",
                    "reduce_overhead": f"{TORCH}generated/torch.compile.html (mode, with CUDA graphs)",
                    "max_autotune": f"{TORCH}generated/torch.compile.html (mode, with CUDA graphs; on a CPU it tunes "
                    "matrix products alone, of which the frozen backbones have none)",
                    "cuda_graphs": f"{TORCH}notes/cuda.html (CUDA graphs: the eager kernels recorded once, replayed)",
                },
                "tensorflow": {
                    "compiled": f"{TENSORFLOW}guide/function",
                    "eager": f"{TENSORFLOW}guide/eager",
                    "xla": f"{TENSORFLOW}xla (jit_compile)",
                },
                "keras": {
                    "compiled": f"{KERAS}api/models/model_training_apis (compile)",
                    "eager": f"{KERAS}api/models/model_training_apis (run_eagerly)",
                    "xla": f"{KERAS}api/models/model_training_apis (jit_compile)",
                },
            },
        ),
        "steps_per_execution": Knob(
            "training steps that one call of a compiled function makes; of `fit` alone, so not in `compute` rounds",
            {
                "pytorch": {"1": "the classic tutorial"},
                "tensorflow": {"1": f"{TENSORFLOW}guide/function"},
                "keras": dict.fromkeys(("1", "8", "32"), f"{KERAS}api/models/model_training_apis (compile)"),
            },
        ),
        "precision": Knob(
            "of the frozen forward; the head is trained in fp32, but that tf32 is a switch of the whole process",
            {
                "pytorch": {
                    "fp32": "the classic tutorial",
                    "tf32": f"{TORCH}notes/cuda.html (allow_tf32, of cuBLAS and cuDNN)",
                    "bf16": f"{TORCH}amp.html (convolutions in bfloat16, their weights converted once)",
                    "fp16": f"{TORCH}amp.html (convolutions in float16, their weights converted once)",
                },
                "tensorflow": {
                    "fp32": "the guide's default",
                    "tf32": f"{TENSORFLOW}api_docs/python/tf/config/experimental/enable_tensor_float_32_execution",
                    "bf16": f"{TENSORFLOW}guide/mixed_precision",
                    "fp16": f"{TENSORFLOW}guide/mixed_precision",
                },
                "keras": {
                    "fp32": "the guide's default",
                    "tf32": f"{TENSORFLOW}api_docs/python/tf/config/experimental/enable_tensor_float_32_execution",
                    "bf16": f"{KERAS}api/mixed_precision/policy",
                    "fp16": f"{KERAS}api/mixed_precision/policy",
                },
            },
        ),
        "layout": Knob(
            "memory order of images and feature maps",
            {
                "pytorch": {
                    "nchw": "the classic tutorial",
                    "nhwc": f"{TUNING} (channels_last)",
                },
                "tensorflow": {"nhwc": f"{TENSORFLOW}api_docs/python/tf/nn/conv2d"},
                "keras": {"nhwc": f"{KERAS}api/utils/config_utils (image_data_format)"},
            },
        ),
        "folding": Knob(
            "whether fixed batch normalisations are computed into the convolutions ahead of time; product: and those "
            "convolutions whose map has no more pixels than their kernel become matrix products",
            {
                "pytorch": {
                    "none": "the classic tutorial",
                    "conv_bn": f"{TORCH}generated/torch.nn.utils.fuse_conv_bn_eval.html",
                    "product": PRODUCT,
                },
                **{
                    name: {
                        "none": "the guide's default",
                        "conv_bn": "arXiv:1712.05877, section 3.2",
                        "product": PRODUCT,
                    }
                    for name in ("tensorflow", "keras")
                },
            },
        ),
        "gradients": Knob(
            "how the frozen forward is kept out of the graph of gradients",
            {
                "pytorch": {
                    "no_grad": f"{TORCH}generated/torch.no_grad.html",
                    "inference_mode": f"{TORCH}generated/torch.autograd.grad_mode.inference_mode.html",
                },
                "tensorflow": {"outside_tape": f"{TENSORFLOW}guide/autodiff"},
                "keras": {"not_trainable": f"{KERAS}guides/transfer_learning"},
            },
        ),
        "optimizer": Knob(
            "how SGD's update is computed: operation by operation, or in one kernel",
            {
                "pytorch": {
                    "unfused": f"{TORCH}generated/torch.optim.SGD.html (a loop on a CPU, foreach on a GPU)",
                    "fused": f"{TORCH}generated/torch.optim.SGD.html (fused)",
                },
                "tensorflow": {"keras_sgd": f"{KERAS}api/optimizers/sgd"},
                "keras": {"keras_sgd": f"{KERAS}api/optimizers/sgd"},
            },
        ),
        "autotune": Knob(
            "how cuDNN's algorithm for a convolution is chosen: by its own guess, or by trying them all",
            {
                "pytorch": {
                    "heuristic": "the classic tutorial",
                    "autotuned": f"{TUNING} (cudnn.benchmark)",
                },
                "tensorflow": {
                    "autotuned": "what the framework does by itself",
                    "heuristic": "the framework's variable TF_CUDNN_USE_AUTOTUNE",
                },
                "keras": {
                    "autotuned": "what the framework does by itself",
                    "heuristic": "the framework's variable TF_CUDNN_USE_AUTOTUNE",
                },
            },
        ),
        "features": Knob(
            "recomputed: by the frozen backbone in every step; cached: computed once, the head is trained on them",
            {
                name: {"recomputed": "the classic tutorial", "cached": source}
                for name, source in (
                    (
                        "pytorch",
                        "docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
                    ),
                    ("tensorflow", f"{TENSORFLOW}tutorials/images/transfer_learning (feature extraction)"),
                    ("keras", f"{KERAS}guides/transfer_learning (an alternative, more lightweight workflow)"),
                )
            },
        ),
        "images": Knob(
            "streamed: through the framework's input pipeline as network inputs; uint8: through it as they are, and "
            "normalised on the device; resident: all on the device as they are, each batch taken and normalised there",
            {
                "pytorch": {
                    "streamed": "the classic tutorial (DataLoader, one image at a time)",
                    "uint8": f"{TORCH}data.html (__getitems__ takes a batch at once; a quarter of the bytes travels)",
                    "resident": f"{TUNING} (create tensors directly on the target device)",
                },
                "tensorflow": {
                    "streamed": f"{TENSORFLOW}guide/data_performance",
                    "resident": f"{TENSORFLOW}api_docs/python/tf/gather (in the compiled step)",
                },
                "keras": {
                    "streamed": f"{KERAS}guides/transfer_learning (the first layer normalises, on the device; `fit` "
                    "feeds the model its batches, so that resident images would make another model)",
                },
            },
        ),
        "workers": Knob(
            "processes that prepare batches",
            {
                "pytorch": {
                    "2": "the classic tutorial (num_workers)",
                    **dict.fromkeys(("0", "1", "4"), f"{TORCH}data.html (num_workers)"),
                },
                "tensorflow": {"autotuned_threads": f"{TENSORFLOW}guide/data_performance (AUTOTUNE)"},
                "keras": {"autotuned_threads": f"{TENSORFLOW}guide/data_performance (AUTOTUNE)"},
            },
        ),
        "prefetch": Knob(
            "batches that each of these processes is ahead of the step",
            {
                "pytorch": dict.fromkeys(("2", "4", "8"), f"{TORCH}data.html (prefetch_factor)"),
                "tensorflow": {"autotuned_buffer": f"{TENSORFLOW}guide/data_performance (prefetch)"},
                "keras": {"autotuned_buffer": f"{TENSORFLOW}guide/data_performance (prefetch)"},
            },
        ),
        "transfer": Knob(
            "the host's memory that batches leave from: pinned memory is copied to a GPU beside other work",
            {
                "pytorch": {
                    "pageable": "the classic tutorial",
                    "pinned": f"{TUNING} (pin_memory, non_blocking)",
                },
                "tensorflow": {"by_itself": "what the framework does by itself"},
                "keras": {"by_itself": "what the framework does by itself"},
            },
        ),
        "graph": Knob(
            "what the frozen backbone is written in",
            {
                "pytorch": {"torch_modules": "the classic tutorial"},
                "tensorflow": {
                    "keras_layers": f"{TENSORFLOW}tutorials/images/transfer_learning",
                    "tf_ops": f"{TENSORFLOW}api_docs/python/tf/nn (its kernels, without a layer above them)",
                },
                "keras": {"keras_layers": f"{KERAS}guides/transfer_learning"},
            },
        ),
        "kernels": Knob(
            "whose kernels compute on a CPU",
            {
                "pytorch": {"onednn": "what the framework does by itself (oneDNN convolutions)"},
                "tensorflow": {"onednn": ONEDNN, "eigen": ONEDNN},
                "keras": {"onednn": ONEDNN, "eigen": ONEDNN},
            },
        ),
        "inter_op": Knob(
            "whether operations that do not wait for one another run beside each other, in as many threads as one has",
            {
                "pytorch": {"one_by_one": f"{TORCH}notes/cpu_threading_torchscript_inference.html (eager operations)"},
                "tensorflow": {"parallel": INTER_OP, "sequential": INTER_OP},
                "keras": {"parallel": INTER_OP, "sequential": INTER_OP},
            },
        ),
        "affinity": Knob(
            "whether each thread of an operation stays on a core of its own",
            {
                "pytorch": {
                    "free": "the system decides",
                    "bound": f"{TUNING} (OMP_PROC_BIND, OMP_PLACES; the DataLoader's processes stay free)",
                },
                "tensorflow": {"free": "the system decides: its pool of threads is not OpenMP's, and cannot be bound"},
                "keras": {"free": "the system decides: its pool of threads is not OpenMP's, and cannot be bound"},
            },
        ),
        "allocator": Knob(
            "who gives out the host's memory; hugepages: the system's, which asks the kernel for huge pages",
            {
                backend: {
                    "system": "the C library's",
                    "jemalloc": f"{TUNING} (jemalloc, preloaded)",
                    "tcmalloc": f"{TUNING} (TCMalloc, preloaded)",
                    "hugepages": "gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html (hugetlb)",
                }
                for backend in ("pytorch", "tensorflow", "keras")
            },
        ),
    }
)


#: The environment that a process must be started with for a value, by backend, knob and value.
ENVIRONMENT: Mapping[tuple[str, str, str], Mapping[str, str]] = MappingProxyType(
    {
        ("pytorch", "affinity", "bound"): {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"},
        **{(backend, "kernels", "onednn"): {"TF_ENABLE_ONEDNN_OPTS": "1"} for backend in ("tensorflow", "keras")},
        **{(backend, "kernels", "eigen"): {"TF_ENABLE_ONEDNN_OPTS": "0"} for backend in ("tensorflow", "keras")},
        **{(backend, "autotune", "autotuned"): {"TF_CUDNN_USE_AUTOTUNE": "1"} for backend in ("tensorflow", "keras")},
        **{(backend, "autotune", "heuristic"): {"TF_CUDNN_USE_AUTOTUNE": "0"} for backend in ("tensorflow", "keras")},
        **{
            (backend, "allocator", value): {variable: content}
            for backend in KNOBS["allocator"].values
            for value, variable, content in (
                ("jemalloc", "LD_PRELOAD", "libjemalloc.so.2"),
                ("tcmalloc", "LD_PRELOAD", "libtcmalloc_minimal.so.4"),
                ("hugepages", "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
            )
        },
    }
)


#: What a machine must have for a value, by backend, knob and value, where that is more than the framework itself; the
#: harness knows how to look for each. Every backend's bf16 needs instructions: others emulate them, many times slower.
NEEDS: Mapping[tuple[str, str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("pytorch", "execution", "compiled"): ("compiler",),
        ("pytorch", "execution", "compiled_frozen"): ("compiler",),
        ("pytorch", "execution", "reduce_overhead"): ("gpu", "compiler"),
        ("pytorch", "execution", "max_autotune"): ("gpu", "compiler"),
        ("pytorch", "execution", "cuda_graphs"): ("gpu",),
        ("pytorch", "autotune", "autotuned"): ("gpu",),
        ("tensorflow", "autotune", "heuristic"): ("gpu",),
        ("keras", "autotune", "heuristic"): ("gpu",),
        ("pytorch", "transfer", "pinned"): ("gpu",),
        **{(backend, "precision", "bf16"): ("bf16",) for backend in KNOBS["precision"].values},
        **{(backend, "precision", "tf32"): ("gpu", "tf32") for backend in KNOBS["precision"].values},
        **{(backend, "precision", "fp16"): ("gpu",) for backend in KNOBS["precision"].values},
        **{
            (backend, "allocator", value): (value,)
            for backend in KNOBS["allocator"].values
            for value in ("jemalloc", "tcmalloc", "hugepages")
        },
    }
)


#: What cannot be where something below the head is trained: its tensors are constants then, or their gradients lost.
BELOW_THE_HEAD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "execution": ("compiled_frozen", "torchscript", "cuda_graphs"),
        "precision": ("bf16", "fp16"),
        "folding": ("conv_bn", "product"),
        "gradients": ("inference_mode",),
        "features": ("cached",),
        "graph": ("tf_ops",),
    }
)

#: A knob's value that leaves others without a meaning, and why.
CONTRADICTIONS = (
    (
        ("features", "cached"),
        ("optimizer", "steps_per_execution", "images", "workers", "prefetch", "transfer"),
        "train the head on features alone",
    ),
    (("execution", "eager"), ("steps_per_execution",), "compiles no function"),
    (("images", "resident"), ("workers", "prefetch", "transfer"), "need no input pipeline"),
    (("graph", "tf_ops"), ("folding",), "are written with their normalisations"),
    (("workers", "0"), ("prefetch",), "prepare nothing ahead"),
)


def default_of(backend: str, knob: str) -> str:
    """What a backend does where a variant leaves the knob alone."""
    return next(iter(_values(backend, knob)))


def value_of(backend: str, variant: Variant, knob: str) -> str:
    """What a variant means for a backend."""
    return getattr(variant, knob) or default_of(backend, knob)


def needs(backend: str, variant: Variant) -> tuple[str, ...]:
    """What a variant of a backend needs of the machine, each once."""
    found = (NEEDS.get((backend, knob, value_of(backend, variant, knob)), ()) for knob in KNOBS)
    return tuple(dict.fromkeys(need for several in found for need in several))


def environment(backend: str, variant: Variant) -> dict[str, str]:
    """The variables that a process of a variant has to be started with."""
    turned = ((backend, knob, getattr(variant, knob) or "") for knob in KNOBS)
    return {name: value for one in turned for name, value in ENVIRONMENT.get(one, {}).items()}


def told(backend: str, variant: Variant) -> dict[str, str]:
    """What every knob is turned to that has no field of its own in `Resolved`."""
    return {knob: value_of(backend, variant, knob) for knob in KNOBS if knob not in Resolved.__annotations__}


def check(backend: str, variant: Variant, task: Task) -> None:
    """Refuse what the backend does not have, and knobs that contradict the task.

    Raises:
        UnsupportedVariant: one line that says which knob, and what to use.
    """
    for knob in KNOBS:
        value = value_of(backend, variant, knob)
        if value not in _values(backend, knob):
            raise UnsupportedVariant(f"{backend} has no {knob} {value!r}: use {', '.join(_values(backend, knob))}")
        if variant.device == "cpu" and "gpu" in NEEDS.get((backend, knob, value), ()):
            raise UnsupportedVariant(f"{backend}'s {knob} {value!r} needs a GPU: use --device cuda")
    if variant.features == "cached" and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"features 'cached' need a backbone that computes the same each time, and batch norm is "
            f"{task.batch_norm!r}: use features recomputed"
        )
    for knob, fixed in BELOW_THE_HEAD.items() if task.trained else ():
        if (meant := value_of(backend, variant, knob)) in fixed:
            raise UnsupportedVariant(
                f"{knob} {meant!r} is for a frozen backbone, and of this one {task.trainable!r} is trained: use "
                f"{knob} {default_of(backend, knob)}"
            )
    if variant.folding not in (None, "none") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"folding {variant.folding!r} needs fixed statistics, and batch norm is {task.batch_norm!r}: "
            "use folding none"
        )
    if variant.graph == "tf_ops" and (task.batch_norm != "frozen" or variant.precision not in ("fp32", "tf32")):
        raise UnsupportedVariant(
            "graph 'tf_ops' is a frozen network in fp32 or tf32: use such a task and precision, or graph keras_layers"
        )
    for (knob, value), others, reason in CONTRADICTIONS:
        if getattr(variant, knob) == value:
            for other in others:
                if value_of(backend, variant, other) != default_of(backend, other):
                    raise UnsupportedVariant(f"{knob} {value!r} {reason}: leave {other} alone, or use another {knob}")


def _values(backend: str, knob: str) -> Mapping[str, str]:
    """A backend that the table does not know leaves all knobs alone."""
    return KNOBS[knob].values.get(backend, {Variant.model_fields[knob].default or "its own": "unknown"})
