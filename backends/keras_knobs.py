"""The knobs of Keras on PyTorch and on JAX: the backends `keras-torch` and `keras-jax`.

Keras' own documentation is the source of what Keras decides, and the engine's of what the engine does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.knob_table import Knob

KERAS = "keras.io/"
COMPILE = f"{KERAS}api/models/model_training_apis (compile)"
PRODUCT = "arXiv:1410.0759, section 2 (convolution as one matrix product), of the whole map"
DATASET = f"{KERAS}api/utils/python_utils (PyDataset)"
TORCH = "docs.pytorch.org/docs/stable/"
TUNING = "docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"
JAX = "docs.jax.dev/en/latest/"
EXPORTED = "docs.pytorch.org/docs/stable/export.html (the network's neutral graph, in keras.ops)"

Values = Mapping[str, Mapping[str, str]]

#: What is the same on both engines.
_BOTH: Values = {
    "folding": {"none": "the guide's default", "conv_bn": "arXiv:1712.05877, section 3.2", "product": PRODUCT},
    "gradients": {"not_trainable": f"{KERAS}guides/transfer_learning"},
    "optimizer": {"keras_sgd": f"{KERAS}api/optimizers/sgd"},
    "features": {
        "recomputed": "the classic tutorial",
        "cached": f"{KERAS}guides/transfer_learning (an alternative, more lightweight workflow)",
    },
    "images": {
        "streamed": f"{DATASET}; the first layers resize and normalise, on the device "
        f"({KERAS}guides/preprocessing_layers, option 1)",
        "normalised": f"{KERAS}guides/preprocessing_layers (preprocessing before the model; done once)",
        "encoded": f"{KERAS}api/data_loading/image (load_img), in threads of a PyDataset",
    },
    "transfer": {"by_itself": "what the framework does by default"},
    "graph": {"keras_layers": f"{KERAS}guides/transfer_learning", "exported": EXPORTED},
}

VALUES: Mapping[str, Values] = MappingProxyType(
    {
        "keras-torch": {
            **_BOTH,
            "execution": {
                "eager": f"{COMPILE}: jit_compile 'auto' is no compiler on PyTorch",
            },
            "steps_per_execution": {"1": f"{COMPILE}: on PyTorch only 1"},
            "precision": {
                "fp32": "the guide's default",
                "tf32": f"{TORCH}notes/cuda.html (allow_tf32, of cuBLAS and cuDNN)",
                "bf16": f"{KERAS}api/mixed_precision/policy",
                "fp16": f"{KERAS}api/mixed_precision/policy",
            },
            "layout": {"nhwc": f"{KERAS}api/utils/config_utils (image_data_format)"},
            "autotune": {
                "heuristic": f"{TORCH}backends.html (torch.backends.cudnn.benchmark, its default)",
                "autotuned": f"{TUNING} (cudnn.benchmark)",
            },
            "workers": {"1": f"{DATASET}: workers, its default"},
            "prefetch": {"unbuffered": f"{DATASET}: max_queue_size, which one worker does not use"},
            "kernels": {"onednn": "what PyTorch does by default (oneDNN convolutions)"},
            "inter_op": {"one_by_one": f"{TORCH}notes/cpu_threading_torchscript_inference.html (eager operations)"},
            "affinity": {
                "free": "the system decides",
                "bound": f"{TUNING} (OMP_PROC_BIND, OMP_PLACES)",
            },
        },
        "keras-jax": {
            **_BOTH,
            "execution": {
                "xla": f"{COMPILE}: jit_compile 'auto' is XLA on JAX",
                "eager": f"{COMPILE} (run_eagerly)",
            },
            "steps_per_execution": {"1": f"{COMPILE}: on JAX each step is a call of its own in any case"},
            "precision": {
                "fp32": "the guide's default",
                "tf32": f"{JAX}_autosummary/jax.default_matmul_precision.html",
                "bf16": f"{KERAS}api/mixed_precision/policy",
                "fp16": f"{KERAS}api/mixed_precision/policy",
            },
            "layout": {"nhwc": f"{KERAS}api/utils/config_utils (image_data_format)"},
            "autotune": {"by_xla": "openxla.org/xla/flags_guidance (xla_gpu_autotune_level, its default)"},
            "workers": {"1": f"{DATASET}: workers, its default"},
            "prefetch": {"2": "github.com/keras-team/keras, keras/src/backend/jax/trainer.py (JAXEpochIterator)"},
            "kernels": {"ynnpack": "what JAX does by default (YNNPACK, and Eigen where it has no kernel)"},
            "inter_op": {"one_pool": "github.com/openxla/xla, xla/pjrt/utils.cc (one pool for operations and parts)"},
            "affinity": {"free": "the system decides: XLA has no setting that binds the threads of its pool"},
        },
    }
)

#: The knob `threads`, as in `backends.knob_table`.
THREADS_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "keras-torch": f"{TORCH}generated/torch.set_num_threads.html",
        "keras-jax": "github.com/openxla/xla, xla/pjrt/utils.cc (NPROC)",
    }
)


def add_keras_engines(knobs: Mapping[str, Knob]) -> Mapping[str, Knob]:
    """The table of knobs, with the values of these backends added; the allocators are those of every backend."""
    return MappingProxyType({name: _add_values(name, knob) for name, knob in knobs.items()})


def _add_values(name: str, knob: Knob) -> Knob:
    own = {backend: values.get(name) or knob.values["keras"] for backend, values in VALUES.items()}
    return dataclasses.replace(knob, values=MappingProxyType({**knob.values, **own}))
