"""The rules of the knobs: what a value needs from machine and process, and which values contradict others or a task.

The harness knows the knobs only from here and from the table of their values, `backends.knob_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import backends
from backends import augmentation, recipe
from backends.exported.exported_backbone import is_exported
from backends.knob_table import KNOBS
from backends.task import DATASETS, Task, Variant
from backends.values import Resolved, UnsupportedVariant

#: The environment variables that a process must be started with, by backend, knob and value.
ENVIRONMENT: Mapping[tuple[str, str, str], Mapping[str, str]] = MappingProxyType(
    {
        **{
            (backend, "affinity", "bound"): {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}
            for backend in ("pytorch", "lightning", "keras-torch")
        },
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


#: What a machine must have in addition to the framework, by backend, knob and value; the harness knows how to check
#: each. bf16 needs a CPU's own instructions: without them it is emulated, many times slower.
NEEDS: Mapping[tuple[str, str, str], tuple[str, ...]] = MappingProxyType(
    {
        **{
            (backend, knob, value): needs
            for backend in ("pytorch", "lightning")
            for knob, value, needs in (
                ("execution", "compiled", ("compiler",)),
                ("execution", "compiled_frozen", ("compiler",)),
                ("execution", "cuda_graphs", ("gpu",)),
                ("autotune", "autotuned", ("gpu",)),
                ("transfer", "pinned", ("gpu",)),
            )
        },
        ("pytorch", "execution", "reduce_overhead"): ("gpu", "compiler"),
        ("pytorch", "execution", "max_autotune"): ("gpu", "compiler"),
        ("jax", "images", "encoded"): ("grain",),
        ("tensorflow", "autotune", "heuristic"): ("gpu",),
        ("keras", "autotune", "heuristic"): ("gpu",),
        ("keras-torch", "autotune", "autotuned"): ("gpu",),
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


#: The values that do not allow training below the head: they make its tensors constants, or lose their gradients.
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

#: A knob's value, the knobs that have no meaning with it, and the reason.
CONTRADICTIONS = (
    (
        ("features", "cached"),
        ("optimizer", "gradients", "steps_per_execution", "images", "workers", "prefetch", "transfer"),
        "train only the head, on features",
    ),
    (("execution", "eager"), ("steps_per_execution",), "compiles no function"),
    (("images", "resident"), ("workers", "prefetch", "transfer"), "need no input pipeline"),
    (("images", "normalised"), ("workers", "prefetch", "transfer"), "need no input pipeline"),
    (("graph", "tf_ops"), ("folding",), "contains its normalisations"),
    (("workers", "0"), ("prefetch",), "prepare nothing ahead"),
    (("gradients", "closed_form"), ("optimizer",), "have their own update"),
)


def get_default(backend: str, knob: str) -> str:
    """The value of a knob in a backend where a variant does not set it."""
    return next(iter(_get_values(backend, knob)))


def get_value(backend: str, variant: Variant, knob: str) -> str:
    """The value of a knob that a backend uses for a variant: the variant's own, or the backend's default."""
    return getattr(variant, knob) or get_default(backend, knob)


def has_values(backend: str, variant: Variant) -> bool:
    """Whether a backend has the values of all knobs that a variant sets."""
    return all(get_value(backend, variant, knob) in _get_values(backend, knob) for knob in KNOBS)


def reads_files(variant: Variant) -> bool:
    """Whether the input pipeline of a variant decodes image files."""
    return variant.images == "encoded"


def list_needs(backend: str, variant: Variant) -> tuple[str, ...]:
    """List what a backend needs from the machine for a variant (see `NEEDS`), each once."""
    needs = (NEEDS.get((backend, knob, get_value(backend, variant, knob)), ()) for knob in KNOBS)
    return tuple(dict.fromkeys(need for several in needs for need in several))


def make_environment(backend: str, variant: Variant) -> dict[str, str]:
    """The environment variables that a process of a variant must be started with."""
    settings = ((backend, knob, getattr(variant, knob) or "") for knob in KNOBS)
    entry = backends.REGISTRY.get(backend)
    own = {name: value for setting in settings for name, value in ENVIRONMENT.get(setting, {}).items()}
    return {**(entry.environment if entry else {}), **own}


def collect_flags(backend: str, variant: Variant) -> dict[str, str]:
    """The values of all knobs that have no field of their own in `Resolved`, for its `flags`."""
    return {knob: get_value(backend, variant, knob) for knob in KNOBS if knob not in Resolved.__annotations__}


def check_variant(backend: str, variant: Variant, task: Task) -> None:
    """Refuse values that the backend does not have, and knobs that contradict one another or the task.

    Raises:
        UnsupportedVariant: one line that names the knob, and what to use.
    """
    for knob in KNOBS:
        value = get_value(backend, variant, knob)
        if value not in _get_values(backend, knob):
            raise UnsupportedVariant(f"{backend} has no {knob} {value!r}: use {', '.join(_get_values(backend, knob))}")
        if variant.device == "cpu" and "gpu" in NEEDS.get((backend, knob, value), ()):
            raise UnsupportedVariant(f"{backend}'s {knob} {value!r} needs a GPU: use --device cuda")
    _check_training(backend, task)
    if variant.features == "cached" and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"features 'cached' need a backbone whose statistics do not move, and batch norm is "
            f"{task.batch_norm!r}: use features recomputed"
        )
    if variant.features == "cached" and augmentation.augments(task):
        raise UnsupportedVariant(
            f"features 'cached' are computed once, and this task's images change in each epoch by "
            f"{', '.join(augmentation.describe(task))}: use features recomputed"
        )
    if variant.images == "normalised" and augmentation.augments(task):
        raise UnsupportedVariant(
            f"images 'normalised' are prepared once, and this task's change in each epoch by "
            f"{', '.join(augmentation.describe(task))}: use images streamed"
        )
    for knob, fixed in BELOW_THE_HEAD.items() if task.trained else ():
        if (value := get_value(backend, variant, knob)) in fixed:
            raise UnsupportedVariant(
                f"{knob} {value!r} is for a frozen backbone, and this task trains {task.trainable!r}: use "
                f"{knob} {get_default(backend, knob)}"
            )
    if variant.execution == "onednn_graph" and variant.device != "cpu":
        raise UnsupportedVariant("execution 'onednn_graph' is for CPUs: use execution torchscript")
    if variant.execution in ("compiled_frozen", "onednn_graph") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"execution {variant.execution!r} turns statistics into constants, and batch norm {task.batch_norm!r} "
            "moves them: use execution compiled"
        )
    if variant.folding not in (None, "none") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"folding {variant.folding!r} needs fixed statistics, and batch norm is {task.batch_norm!r}: "
            "use folding none"
        )
    alone = (("gradients", "closed_form"), ("affinity", "bound"), ("images", "encoded"))
    for knob, value in alone if variant.devices else ():
        if getattr(variant, knob) == value:
            raise UnsupportedVariant(f"{knob} {value!r} is for one device: use --devices 1, or do not set {knob}")
    if variant.devices and task.accumulate > 1:
        raise UnsupportedVariant(
            f"accumulate {task.accumulate} is for one device: use --devices 1, or --accumulate 1 with a larger batch "
            "size"
        )
    if variant.gradients == "closed_form" and task.update_rule != "sgd":
        raise UnsupportedVariant(
            f"gradients 'closed_form' have SGD's update, and this task's update rule is {task.update_rule!r}: use "
            "gradients no_grad"
        )
    own_side = DATASETS[task.dataset][0]
    if variant.images == "normalised" and task.image_size != own_side:
        raise UnsupportedVariant(
            f"images 'normalised' are kept in memory as network inputs, which at {task.image_size} px are "
            f"{(task.image_size / own_side) ** 2:.0f} times as many pixels: use images streamed"
        )
    if variant.graph not in (None, "exported") and is_exported(task.backbone):
        raise UnsupportedVariant(
            f"graph {variant.graph!r} is for backbones of the table, and {task.backbone} is built from its neutral "
            "graph: do not set graph"
        )
    if variant.graph == "exported" and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"graph 'exported' has fixed statistics, and batch norm is {task.batch_norm!r}: use batch norm frozen"
        )
    if variant.graph == "tf_ops" and (task.batch_norm != "frozen" or variant.precision not in ("fp32", "tf32")):
        raise UnsupportedVariant(
            "graph 'tf_ops' needs batch norm 'frozen' and precision fp32 or tf32: use these, or graph keras_layers"
        )
    for (knob, value), others, reason in CONTRADICTIONS:
        if getattr(variant, knob) == value:
            for other in others:
                if get_value(backend, variant, other) != get_default(backend, other):
                    raise UnsupportedVariant(f"{knob} {value!r} {reason}: do not set {other}, or use another {knob}")


def _check_training(backend: str, task: Task) -> None:
    """Refuse a recipe, or a task that does more than train a head on a frozen backbone, if the backend cannot."""
    entry = backends.REGISTRY.get(backend)
    if entry and not entry.augmentations and augmentation.augments(task):
        raise UnsupportedVariant(
            f"{backend} augments no images, and this task has {', '.join(augmentation.describe(task))}: use a task "
            "without them, or another backend"
        )
    if entry and not entry.recipes and recipe.is_named(task):
        raise UnsupportedVariant(
            f"{backend} trains by SGD with momentum at a constant rate, and this task's recipe is "
            f"{recipe.describe(task)}: use another recipe, or another backend"
        )
    if entry is None or entry.trains_backbones:
        return
    for field, value, usable in (("trainable", task.trainable, "head"), ("batch norm", task.batch_norm, "frozen")):
        if value != usable:
            raise UnsupportedVariant(
                f"{backend} needs a frozen backbone, and this task has {field} {value!r}: use {field} {usable}, or "
                "another backend"
            )


def _get_values(backend: str, knob: str) -> Mapping[str, str]:
    """The values of a knob in a backend: those of the table, or of its entry. Otherwise it has one value: its own."""
    if backend in KNOBS[knob].values:
        return KNOBS[knob].values[backend]
    entry = backends.REGISTRY.get(backend)
    own = entry.knobs.get(knob) if entry else None
    return own or {Variant.model_fields[knob].default or "its own": "unknown"}
