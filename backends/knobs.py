"""The knobs: what a variant can turn, which values each backend has, and where its documentation says so.

This table is all that the harness knows of them. The first value of a backend is what it does by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backends.base import UnsupportedVariant
from backends.task import Task, Variant

TORCH = "docs.pytorch.org/docs/stable/"
TUNING = "docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"
TENSORFLOW = "www.tensorflow.org/"
KERAS = "keras.io/"
PRODUCT = "arXiv:1410.0759, section 2 (convolution as one matrix product), of the whole map"


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
        "precision": Knob(
            "of the frozen forward; the head is always trained in fp32",
            {
                "pytorch": {
                    "fp32": "the classic tutorial",
                    "bf16": f"{TORCH}amp.html (convolutions in bfloat16, their weights converted once)",
                },
                "tensorflow": {"fp32": "the guide's default", "bf16": f"{TENSORFLOW}guide/mixed_precision"},
                "keras": {"fp32": "the guide's default", "bf16": f"{KERAS}api/mixed_precision/policy"},
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
            "streamed: through the framework's input pipeline; resident: all of them on the device as they are, each "
            "batch taken and normalised there",
            {
                "pytorch": {
                    "streamed": "the classic tutorial (DataLoader, 2 workers)",
                    "resident": f"{TUNING} (create tensors directly on the target device)",
                },
                "tensorflow": {"streamed": f"{TENSORFLOW}guide/data_performance"},
                "keras": {"streamed": f"{KERAS}guides/transfer_learning"},
            },
        ),
    }
)


#: What a machine must have for a value, by backend, knob and value, where that is more than the framework itself. Every
#: backend's bf16 on a CPU needs its instructions: others emulate them, many times slower.
NEEDS: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        **{("pytorch", "execution", value): "compiler" for value in ("compiled", "compiled_frozen")},
        **{(backend, "precision", "bf16"): "bf16" for backend in KNOBS["precision"].values},
    }
)


def default_of(backend: str, knob: str) -> str:
    """What a backend does where a variant leaves the knob alone."""
    return next(iter(_values(backend, knob)))


def value_of(backend: str, variant: Variant, knob: str) -> str:
    """What a variant means for a backend."""
    return getattr(variant, knob) or default_of(backend, knob)


def check(backend: str, variant: Variant, task: Task) -> None:
    """Refuse what the backend does not have, and knobs that contradict the task.

    Raises:
        UnsupportedVariant: one line that says which knob, and what to use.
    """
    for knob in KNOBS:
        value = value_of(backend, variant, knob)
        if value not in _values(backend, knob):
            raise UnsupportedVariant(f"{backend} has no {knob} {value!r}: use {', '.join(_values(backend, knob))}")
    if variant.features == "cached" and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"features 'cached' need a backbone that computes the same each time, and batch norm is "
            f"{task.batch_norm!r}: use features recomputed"
        )
    if variant.folding not in (None, "none") and task.batch_norm != "frozen":
        raise UnsupportedVariant(
            f"folding {variant.folding!r} needs fixed statistics, and batch norm is {task.batch_norm!r}: "
            "use folding none"
        )


def _values(backend: str, knob: str) -> Mapping[str, str]:
    """A backend that the table does not know leaves all knobs alone."""
    return KNOBS[knob].values.get(backend, {Variant.model_fields[knob].default or "its own": "unknown"})
