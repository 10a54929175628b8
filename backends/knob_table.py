"""The table of knobs: what a variant can set, the values that each backend has, and their sources in its documentation.

A backend's first value is its default. No two knobs have a value in common (except numbers), so that a variant's values
are its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backends import keras_knobs
from backends.lightning_knobs import add_lightning

TORCH = "docs.pytorch.org/docs/stable/"
TUNING = "docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"
TENSORFLOW = "www.tensorflow.org/"
EXPORTED = "docs.pytorch.org/docs/stable/export.html (the network's neutral graph, in the framework's own operations)"
KERAS = "keras.io/"
JAX = "docs.jax.dev/en/latest/"
FLAX = "flax.readthedocs.io/en/latest/"
FLAX_TUTORIAL = f"{FLAX}mnist_tutorial.html"
PRODUCT = "arXiv:1410.0759, section 2 (convolution as one matrix product), of the whole map"
ONEDNN = f"{TENSORFLOW}api_docs/python/tf (release notes of 2.9: TF_ENABLE_ONEDNN_OPTS)"
CUDNN = "github.com/tensorflow/tensorflow, tensorflow/core/util/use_cudnn.cc (TF_CUDNN_USE_AUTOTUNE)"
INTRA_OP = f"{TENSORFLOW}api_docs/python/tf/config/threading/set_intra_op_parallelism_threads"
INTER_OP = f"{TENSORFLOW}api_docs/python/tf/config/threading/set_inter_op_parallelism_threads"


@dataclass(frozen=True)
class Knob:
    """One knob.

    Attributes:
        what: what the knob decides.
        values: the values that each backend has, each with its source.
    """

    what: str
    values: Mapping[str, Mapping[str, str]]


#: The knob `threads`, the threads of one operation, has numbers for values; its source in each backend's documentation.
THREADS_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "pytorch": f"{TORCH}generated/torch.set_num_threads.html",
        "tensorflow": INTRA_OP,
        "keras": INTRA_OP,
        "jax": "github.com/openxla/xla, xla/pjrt/utils.cc (DefaultThreadPoolSize: NPROC, read when the device is made)",
        "lightning": f"{TORCH}generated/torch.set_num_threads.html",
        **keras_knobs.THREADS_SOURCES,
    }
)

_KNOBS: Mapping[str, Knob] = add_lightning(
    {
        "execution": Knob(
            "what runs the step's operations: Python one by one, the framework's graph, or a compiler",
            {
                "pytorch": {
                    "eager": TUNING,
                    "compiled": f"{TORCH}generated/torch.compile.html (the frozen backbone)",
                    "compiled_frozen": "github.com/pytorch/pytorch/pull/100652 (TorchInductor's freezing: the weights "
                    "become constants, laid out for the kernels)",
                    "torchscript": f"{TORCH}generated/torch.jit.optimize_for_inference.html (traced and frozen)",
                    "onednn_graph": f"{TUNING} (oneDNN Graph with TorchScript: traced, frozen, fused by oneDNN)",
                    "reduce_overhead": f"{TORCH}generated/torch.compile.html (mode, with CUDA graphs)",
                    "max_autotune": f"{TORCH}generated/torch.compile.html (mode, with CUDA graphs; on a CPU it tunes "
                    "only matrix products, of which the frozen backbones have none)",
                    "cuda_graphs": f"{TORCH}notes/cuda.html (CUDA graphs: the eager kernels recorded once, replayed)",
                },
                "tensorflow": {
                    "compiled": f"{TENSORFLOW}guide/function",
                    "compiled_frozen": f"{TENSORFLOW}guide/graph_optimization (constant folding: the weights become "
                    "constants, by convert_variables_to_constants_v2)",
                    "eager": f"{TENSORFLOW}guide/eager",
                    "xla": f"{TENSORFLOW}xla (jit_compile)",
                },
                "keras": {
                    "compiled": f"{KERAS}api/models/model_training_apis (compile)",
                    "eager": f"{KERAS}api/models/model_training_apis (run_eagerly)",
                    "xla": f"{KERAS}api/models/model_training_apis (jit_compile)",
                },
                "jax": {
                    "compiled": f"{FLAX_TUTORIAL} (nnx.jit)",
                    "functional": f"{FLAX}guides/performance.html (functional training loop: jax.jit over nnx.split, "
                    "the state's memory donated)",
                    "compiled_frozen": f"{JAX}faq.html (the same; arrays that a compiled function closes over are "
                    "constants)",
                },
            },
        ),
        "steps_per_execution": Knob(
            "training steps that one call of a compiled function makes; in Keras only in `fit`, not in `compute`",
            {
                "pytorch": {"1": "the classic tutorial"},
                "tensorflow": dict.fromkeys(
                    ("1", "4", "8"), f"{TENSORFLOW}guide/function (steps unrolled in one graph)"
                ),
                "keras": dict.fromkeys(("1", "8", "32"), f"{KERAS}api/models/model_training_apis (compile)"),
                "jax": dict.fromkeys(("1", "4", "8", "32"), f"{JAX}_autosummary/jax.lax.scan.html"),
            },
        ),
        "precision": Knob(
            "of the frozen forward; the head is trained in fp32, except that tf32 applies to the whole process",
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
                "jax": {
                    "fp32": "the guide's default",
                    "tf32": f"{JAX}_autosummary/jax.default_matmul_precision.html",
                    "bf16": f"{FLAX}api_reference/flax.nnx/nn/linear.html (Conv: dtype, param_dtype; on a CPU XLA "
                    "computes with float32 between roundings)",
                    "fp16": f"{FLAX}api_reference/flax.nnx/nn/linear.html (Conv: dtype, param_dtype)",
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
                "jax": {"nhwc": f"{FLAX}api_reference/flax.nnx/nn/linear.html (Conv: channels last)"},
            },
        ),
        "folding": Knob(
            "whether fixed batch normalisations are folded into the convolutions ahead of time; product: and "
            "convolutions whose map has no more pixels than their kernel become matrix products",
            {
                "pytorch": {
                    "none": "the classic tutorial",
                    "conv_bn": f"{TORCH}generated/torch.nn.utils.fuse_conv_bn_eval.html",
                    "product": PRODUCT,
                },
                **{
                    backend: {
                        "none": "the guide's default",
                        "conv_bn": "arXiv:1712.05877, section 3.2",
                        "product": PRODUCT,
                    }
                    for backend in ("tensorflow", "keras", "jax")
                },
            },
        ),
        "gradients": Knob(
            "how the frozen forward is kept out of the graph of gradients; closed_form: there is no graph, the head's "
            "gradient and update are computed by their formulas",
            {
                "pytorch": {
                    "no_grad": f"{TORCH}generated/torch.no_grad.html",
                    "inference_mode": f"{TORCH}generated/torch.autograd.grad_mode.inference_mode.html",
                    "closed_form": "Bishop, Pattern Recognition and Machine Learning (2006), equation 4.109",
                },
                "tensorflow": {"outside_tape": f"{TENSORFLOW}guide/autodiff"},
                "keras": {"not_trainable": f"{KERAS}guides/transfer_learning"},
                "jax": {"outside_grad": f"{JAX}automatic-differentiation.html (what is computed outside of `grad`)"},
            },
        ),
        "optimizer": Knob(
            "how an update is computed: operation by operation, or in one kernel",
            {
                "pytorch": {
                    "unfused": f"{TORCH}generated/torch.optim.SGD.html (a loop on a CPU, foreach on a GPU)",
                    "fused": f"{TORCH}generated/torch.optim.SGD.html (fused)",
                },
                "tensorflow": {"keras_sgd": f"{KERAS}api/optimizers/sgd"},
                "keras": {"keras_sgd": f"{KERAS}api/optimizers/sgd"},
                "jax": {"optax_sgd": "optax.readthedocs.io/en/latest/api/optimizers.html (sgd)"},
            },
        ),
        "autotune": Knob(
            "how cuDNN's algorithm for a convolution is chosen: by its heuristic, or by trying all",
            {
                "pytorch": {
                    "heuristic": "the classic tutorial",
                    "autotuned": f"{TUNING} (cudnn.benchmark)",
                },
                "tensorflow": {
                    "autotuned": f"{CUDNN} (its default)",
                    "heuristic": CUDNN,
                },
                "keras": {
                    "autotuned": f"{CUDNN} (its default)",
                    "heuristic": CUDNN,
                },
                "jax": {"by_xla": "openxla.org/xla/flags_guidance (xla_gpu_autotune_level: its default)"},
            },
        ),
        "features": Knob(
            "recomputed: by the frozen backbone in every step; cached: computed once, and the head is trained on them",
            {
                name: {"recomputed": "the classic tutorial", "cached": source}
                for name, source in (
                    (
                        "pytorch",
                        "docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html",
                    ),
                    ("tensorflow", f"{TENSORFLOW}tutorials/images/transfer_learning (feature extraction)"),
                    ("keras", f"{KERAS}guides/transfer_learning (an alternative, more lightweight workflow)"),
                    ("jax", "flax-linen.readthedocs.io/en/latest/guides/training_techniques/transfer_learning.html"),
                )
            },
        ),
        "images": Knob(
            "streamed: through the framework's input pipeline as network inputs; uint8: through it as raw images, and "
            "normalised on the device; resident: all raw images on the device, each batch taken and normalised there; "
            "normalised: all on the device as network inputs, in four times the memory, each batch taken there; "
            "encoded: image files, decoded in the framework's input pipeline",
            {
                "pytorch": {
                    "streamed": "the classic tutorial (DataLoader, one image at a time)",
                    "uint8": f"{TORCH}data.html (__getitems__ takes a batch at once; a quarter of the bytes is moved)",
                    "resident": f"{TUNING} (create tensors directly on the target device)",
                    "normalised": f"{TUNING} (the same, and nothing left to do in a step)",
                    "encoded": "docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html "
                    "(Pillow, in the DataLoader's processes)",
                },
                "tensorflow": {
                    "streamed": f"{TENSORFLOW}guide/data_performance",
                    "resident": f"{TENSORFLOW}api_docs/python/tf/gather (in the compiled step)",
                    "normalised": f"{TENSORFLOW}guide/data_performance (caching, here of the preprocessed images)",
                    "encoded": f"{TENSORFLOW}tutorials/load_data/images (tf.io.decode_image in a map)",
                },
                "keras": {
                    "streamed": f"{KERAS}guides/transfer_learning (the first layer normalises, on the device; `fit` "
                    "feeds batches to the model, so that resident images would need another model)",
                    "normalised": f"{KERAS}guides/preprocessing_layers (preprocessing before the model; done once)",
                    "encoded": f"{KERAS}api/data_loading/image (image_dataset_from_directory: tf.io.decode_image in a "
                    "map)",
                },
                "jax": {
                    "streamed": f"{FLAX}guides/data_loaders.html (get_batches: a generator, scaled in JAX)",
                    "uint8": f"{FLAX}guides/data_loaders.html (the same, scaled in the compiled step)",
                    "resident": f"{JAX}gpu_performance_tips.html, {JAX}_autosummary/jax.numpy.take.html (in the "
                    "compiled step)",
                    "normalised": f"{JAX}_autosummary/jax.numpy.take.html (of the preprocessed images)",
                    "encoded": "google-grain.readthedocs.io (MapDataset and to_iter_dataset: threads that decode)",
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
                "jax": {"main_thread": f"{FLAX}guides/data_loaders.html (get_batches)"},
            },
        ),
        "prefetch": Knob(
            "batches that each of these processes prepares ahead of the step",
            {
                "pytorch": dict.fromkeys(("2", "4", "8"), f"{TORCH}data.html (prefetch_factor)"),
                "tensorflow": {"autotuned_buffer": f"{TENSORFLOW}guide/data_performance (prefetch)"},
                "keras": {"autotuned_buffer": f"{TENSORFLOW}guide/data_performance (prefetch)"},
                "jax": {"asynchronous": f"{FLAX}guides/performance.html (asynchronous dispatch absorbs loading)"},
            },
        ),
        "transfer": Knob(
            "the host memory that batches are copied from; pinned memory is copied to a GPU in parallel to other work",
            {
                "pytorch": {
                    "pageable": "the classic tutorial",
                    "pinned": f"{TUNING} (pin_memory, non_blocking)",
                },
                "tensorflow": {"by_itself": "what the framework does by default"},
                "keras": {"by_itself": "what the framework does by default"},
                "jax": {"by_itself": "what the framework does by default"},
            },
        ),
        "graph": Knob(
            "what the frozen backbone is written in",
            {
                "pytorch": {"torch_modules": "the classic tutorial"},
                "tensorflow": {
                    "keras_layers": f"{TENSORFLOW}tutorials/images/transfer_learning",
                    "tf_ops": f"{TENSORFLOW}api_docs/python/tf/nn (its kernels, without a layer above them)",
                    "exported": EXPORTED,
                },
                "keras": {"keras_layers": f"{KERAS}guides/transfer_learning", "exported": EXPORTED},
                "jax": {"nnx_modules": FLAX_TUTORIAL, "exported": EXPORTED},
            },
        ),
        "kernels": Knob(
            "the library whose kernels compute on a CPU",
            {
                "pytorch": {"onednn": "what the framework does by default (oneDNN convolutions)"},
                "tensorflow": {"onednn": ONEDNN, "eigen": ONEDNN},
                "keras": {"onednn": ONEDNN, "eigen": ONEDNN},
                "jax": {"ynnpack": "what the framework does by default (YNNPACK, and Eigen where it has no kernel)"},
            },
        ),
        "inter_op": Knob(
            "whether independent operations run in parallel, in as many threads as one of them has",
            {
                "pytorch": {"one_by_one": f"{TORCH}notes/cpu_threading_torchscript_inference.html (eager operations)"},
                "tensorflow": {"parallel": INTER_OP, "sequential": INTER_OP},
                "keras": {"parallel": INTER_OP, "sequential": INTER_OP},
                "jax": {"one_pool": "github.com/openxla/xla, xla/backends/cpu/runtime/thunk_executor.h"},
            },
        ),
        "affinity": Knob(
            "whether each thread of an operation stays on one core",
            {
                "pytorch": {
                    "free": "the system decides",
                    "bound": f"{TUNING} (OMP_PROC_BIND, OMP_PLACES; the DataLoader's processes stay free)",
                },
                "tensorflow": {"free": "the system decides: it has no setting that binds the threads of its pool"},
                "keras": {"free": "the system decides: it has no setting that binds the threads of its pool"},
                "jax": {"free": "the system decides: it has no setting that binds the threads of its pool"},
            },
        ),
        "allocator": Knob(
            "what allocates the host's memory; hugepages: the system's allocator, which asks the kernel for huge pages",
            {
                backend: {
                    "system": "the C library's",
                    "jemalloc": f"{TUNING} (jemalloc, preloaded)",
                    "tcmalloc": f"{TUNING} (TCMalloc, preloaded)",
                    "hugepages": "gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html (hugetlb)",
                }
                for backend in ("pytorch", "tensorflow", "keras", "jax")
            },
        ),
    }
)

KNOBS: Mapping[str, Knob] = keras_knobs.add_keras_engines(_KNOBS)
