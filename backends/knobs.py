"""The knobs: what their values need of a machine and of a process, and which contradict one another or a task.

With the table of their values this is all that the harness knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.knob_table import KNOBS
from backends.task import DATASETS, Task, Variant
from backends.values import Resolved, UnsupportedVariant

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
        "execution": ("compiled_frozen", "torchscript", "onednn_graph", "cuda_graphs"),
        "precision": ("bf16", "fp16"),
        "folding": ("conv_bn", "product"),
        "gradients": ("inference_mode", "closed_form"),
        "features": ("cached",),
        "graph": ("tf_ops",),
    }
)

#: A knob's value that leaves others without a meaning, and why.
CONTRADICTIONS = (
    (
        ("features", "cached"),
        ("optimizer", "gradients", "steps_per_execution", "images", "workers", "prefetch", "transfer"),
        "train the head on features alone",
    ),
    (("execution", "eager"), ("steps_per_execution",), "compiles no function"),
    (("images", "resident"), ("workers", "prefetch", "transfer"), "need no input pipeline"),
    (("images", "normalised"), ("workers", "prefetch", "transfer"), "need no input pipeline"),
    (("graph", "tf_ops"), ("folding",), "are written with their normalisations"),
    (("workers", "0"), ("prefetch",), "prepare nothing ahead"),
    (("gradients", "closed_form"), ("optimizer",), "have their own update"),
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
    if variant.execution == "onednn_graph" and variant.device != "cpu":
        raise UnsupportedVariant("execution 'onednn_graph' is of CPUs: use execution torchscript")
    if variant.execution in ("compiled_frozen", "onednn_graph") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"execution {variant.execution!r} makes constants of statistics that batch norm {task.batch_norm!r} moves: "
            "use execution compiled"
        )
    if variant.folding not in (None, "none") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"folding {variant.folding!r} needs fixed statistics, and batch norm is {task.batch_norm!r}: "
            "use folding none"
        )
    own_side = DATASETS[task.dataset][0]
    if variant.images == "normalised" and task.image_size != own_side:
        raise UnsupportedVariant(
            f"images 'normalised' lie in memory as network inputs, which at {task.image_size} px are "
            f"{(task.image_size / own_side) ** 2:.0f} times as many pixels: use images streamed"
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
