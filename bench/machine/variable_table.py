"""The table of environment variables that change speed or results: what a worker gets of each, and why.

A variable that is not in the table is passed on and not recorded. Of several entries that fit a variable, the one with
the longest name counts, so that an exception stands beside its prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.machine.variable import THREADS, Treatment, Variable

PYTHON = "docs.python.org/3/using/cmdline.html#environment-variables"
OPENMP = "openmp.org/specifications (environment variables)"
GOMP = "gcc.gnu.org/onlinedocs/libgomp/Environment-Variables.html"
TORCH = "docs.pytorch.org/docs/stable/torch_environment_variables.html"
DYNAMO = "github.com/pytorch/pytorch, torch/_dynamo/config.py, torch/_inductor/config.py"
JAX = "docs.jax.dev (configuration options)"
TENSORFLOW = "github.com/tensorflow/tensorflow, tensorflow/core"
XLA = "github.com/openxla/xla"
KERAS = "github.com/keras-team/keras, keras/src/backend/config.py"
CUDA = "docs.nvidia.com/cuda/cuda-c-programming-guide (CUDA environment variables)"
ONEDNN = "uxlfoundation.github.io/oneDNN (run-time controls)"
MKL = "Intel, oneMKL developer guide (environment variables)"
GLIBC = "gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html, mallopt(3)"
LOADER = "man7.org, ld.so(8)"
PYTEST = "docs.pytest.org/en/stable/reference/reference.html#environment-variables"

TABLE: tuple[Variable, ...] = (
    Variable(
        (
            "OMP_NUM_THREADS",
            "MKL_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "BLIS_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "NPROC",
        ),
        Treatment.SET,
        "all libraries use as many threads, XLA's CPU device those of `NPROC`; without `--threads`, `OMP_NUM_THREADS` "
        "is taken",
        f"{OPENMP}; {MKL}; {TENSORFLOW}/common_runtime/local_device.cc; {XLA}, xla/pjrt/utils.cc",
        THREADS,
    ),
    Variable(
        ("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "MKL_DOMAIN_NUM_THREADS", "TF_NUM_INTEROP_THREADS"),
        Treatment.CLEARED,
        "they change the number of threads behind `--threads` and the knob `inter_op`",
        f"{OPENMP}; {MKL}; {TENSORFLOW}/common_runtime/process_util.cc",
    ),
    Variable(
        ("OMP_*", "GOMP_*", "KMP_*"),
        Treatment.OBEYED,
        "how threads wait, and the cores they run on; the knob `affinity` sets `OMP_PROC_BIND` and `OMP_PLACES`",
        f"{OPENMP}; {GOMP}",
    ),
    Variable(
        ("OMP_DISPLAY_ENV", "OMP_DISPLAY_AFFINITY", "KMP_SETTINGS", "KMP_VERSION", "KMP_WARNINGS"),
        Treatment.PASSED,
        "print something when a process starts",
        OPENMP,
    ),
    Variable(("MKL_*", "OPENBLAS_*"), Treatment.OBEYED, "the instructions and kernels of a BLAS", MKL),
    Variable(("DNNL_*", "ONEDNN_*"), Treatment.OBEYED, "the instructions that oneDNN uses", ONEDNN),
    Variable(("ATEN_*", "NPY_*"), Treatment.OBEYED, "the instructions that PyTorch and NumPy use", TORCH),
    Variable(("LRU_CACHE_CAPACITY",), Treatment.OBEYED, "how many of oneDNN's kernels PyTorch keeps", TORCH),
    Variable(
        ("DNNL_VERBOSE*", "ONEDNN_VERBOSE*", "MKL_VERBOSE*", "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE"),
        Treatment.CLEARED,
        "print lines in every step, which takes time; `bench profile` shows the operations",
        f"{ONEDNN}; {MKL}; {TENSORFLOW}",
    ),
    Variable(
        (
            "NVIDIA_TF32_OVERRIDE",
            "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
            "DNNL_DEFAULT_FPMATH_MODE",
            "ONEDNN_DEFAULT_FPMATH_MODE",
            "TF_SET_ONEDNN_FPMATH_MODE",
            "TF_ENABLE_AUTO_MIXED_PRECISION*",
        ),
        Treatment.CLEARED,
        "the knob `precision` decides",
        f"docs.nvidia.com/cuda/cublas; {TORCH}; {ONEDNN}; {TENSORFLOW}",
    ),
    Variable(
        (
            "TORCH_COMPILE_DISABLE",
            "TORCH_COMPILE_OVERRIDE_BACKENDS",
            "TORCHDYNAMO_DISABLE",
            "TORCHINDUCTOR_FREEZING",
            "TORCHINDUCTOR_CUDAGRAPHS",
            "TORCHINDUCTOR_MAX_AUTOTUNE*",
            "PYTORCH_JIT",
            "TF_XLA_FLAGS",
            "TF_FUNCTION_JIT_COMPILE_DEFAULT",
        ),
        Treatment.CLEARED,
        "the knob `execution` decides what is compiled",
        f"{DYNAMO}; docs.pytorch.org/docs/stable/jit.html; www.tensorflow.org/xla",
    ),
    Variable(
        (
            "TORCH_COMPILE_DEBUG*",
            "TORCH_COMPILE_CPROFILE",
            "TORCHINDUCTOR_PROFILE*",
            "TORCHINDUCTOR_NAN_ASSERTS",
            "TORCH_DISTRIBUTED_DEBUG",
        ),
        Treatment.CLEARED,
        "debug modes, which slow steps down",
        DYNAMO,
    ),
    Variable(
        ("TORCH_*", "TORCHDYNAMO_*", "TORCHINDUCTOR_*", "PYTORCH_*", "TRITON_*", "TIMM_*"),
        Treatment.OBEYED,
        "settings of PyTorch, its compilers and its allocator of device memory",
        f"{TORCH}; {DYNAMO}",
    ),
    Variable(
        (
            "TORCH_HOME",
            "TORCH_EXTENSIONS_DIR",
            "TORCH_LOGS*",
            "TORCH_TRACE",
            "TORCH_CPP_LOG_LEVEL",
            "TORCH_SHOW_CPP_STACKTRACES",
            "TORCHINDUCTOR_CACHE_DIR",
            "TRITON_CACHE_DIR",
            "PYTORCH_JIT_LOG_LEVEL",
        ),
        Treatment.PASSED,
        "where files are, and what is logged; `bench explain` gives each variant a folder of its own for compiled code",
        TORCH,
    ),
    Variable(
        ("TF_ENABLE_ONEDNN_OPTS",),
        Treatment.OBEYED,
        "the knob `kernels` sets it, where a variant has one",
        "www.tensorflow.org (release notes of 2.9)",
        "1",
    ),
    Variable(
        ("TF_*", "XLA_*"),
        Treatment.OBEYED,
        "settings of TensorFlow and XLA; the knob `autotune` sets `TF_CUDNN_USE_AUTOTUNE`",
        f"{TENSORFLOW}; openxla.org/xla/flags_guidance",
    ),
    Variable(("TF_USE_LEGACY_KERAS",), Treatment.CLEARED, "the backends use Keras 3", "www.tensorflow.org (2.16)"),
    Variable(
        ("TF_FORCE_GPU_ALLOW_GROWTH",),
        Treatment.CLEARED,
        "each worker takes only the device memory that it needs, so that several fit",
        "www.tensorflow.org/guide/gpu#limiting_gpu_memory_growth",
    ),
    Variable(
        ("TF_CPP_MIN_LOG_LEVEL",),
        Treatment.PASSED,
        "a log level",
        f"{TENSORFLOW}/platform/default/logging.cc",
        "2",
    ),
    Variable(("AUTOGRAPH_VERBOSITY",), Treatment.PASSED, "a log level", "www.tensorflow.org/guide/function"),
    Variable(
        ("KERAS_BACKEND",),
        Treatment.SET,
        "Keras' engine; the workers of `keras-torch` and `keras-jax` have `torch` and `jax`",
        KERAS,
        "tensorflow",
    ),
    Variable(
        ("KERAS_HOME",),
        Treatment.SET,
        "a folder of the worker with our `keras.json`: the user's `image_data_format`, `floatx` and `epsilon` do not "
        "decide what is trained",
        KERAS,
        warns=False,
    ),
    Variable(
        ("KERAS_*",),
        Treatment.CLEARED,
        "limits on epochs and steps (`KERAS_MAX_EPOCHS`, `KERAS_MAX_STEPS_PER_EPOCH`) and other settings: the task and "
        "the knobs decide",
        KERAS,
    ),
    Variable(
        ("CUDA_DEVICE_ORDER",),
        Treatment.SET,
        "NVML, which reads a GPU's name and memory, numbers GPUs in this order",
        CUDA,
        "PCI_BUS_ID",
    ),
    Variable(("CUDA_LAUNCH_BLOCKING",), Treatment.CLEARED, "a debug mode, which waits for every kernel", CUDA),
    Variable(
        ("CUDA_*", "CUDNN_*", "CUBLAS_*", "CUBLASLT_*", "NVIDIA_*"),
        Treatment.OBEYED,
        "which GPUs are visible, and settings of CUDA's libraries such as `CUBLAS_WORKSPACE_CONFIG` for determinism",
        f"{CUDA}; docs.nvidia.com/cuda/cublas",
    ),
    Variable(
        ("CUDA_CACHE_PATH", "CUDA_HOME", "CUDA_PATH", "CUDNN_LOG*", "CUBLAS_LOG*", "CUBLASLT_LOG*"),
        Treatment.PASSED,
        "where files are, and what is logged",
        CUDA,
    ),
    Variable(
        ("HIP_*", "ROCR_*", "HSA_*", "MIOPEN_*"),
        Treatment.OBEYED,
        "which AMD GPUs are visible, and settings of ROCm's libraries",
        "rocm.docs.amd.com (environment variables)",
    ),
    Variable(
        ("XLA_PYTHON_CLIENT_PREALLOCATE",),
        Treatment.SET,
        "JAX would take three quarters of a GPU's memory at its first operation: NVML's figure would be that, and no "
        "second worker would fit",
        "docs.jax.dev (GPU memory allocation)",
        "false",
    ),
    Variable(
        (
            *("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_CUDA_VISIBLE_DEVICES", "JAX_ROCM_VISIBLE_DEVICES"),
            *("JAX_DEFAULT_DEVICE", "JAX_NUM_CPU_DEVICES"),
        ),
        Treatment.CLEARED,
        "the option `--device` decides where JAX runs; with `JAX_PLATFORMS=cuda` and no GPU it would not start",
        JAX,
    ),
    Variable(
        ("JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_NUMPY_DTYPE_PROMOTION"),
        Treatment.CLEARED,
        "the knob `precision` decides",
        f"{JAX}; docs.jax.dev (jax.default_matmul_precision)",
    ),
    Variable(
        ("JAX_DISABLE_JIT", "JAX_DISABLE_MOST_OPTIMIZATIONS", "JAX_OPTIMIZATION_LEVEL", "JAX_EXEC_TIME_OPTIMIZATION_*"),
        Treatment.CLEARED,
        "the knob `execution` decides what is compiled",
        JAX,
    ),
    Variable(
        (
            *("JAX_DEBUG_*", "JAX_CHECK_TRACER_LEAKS", "JAX_ENABLE_CHECKS", "JAX_TRANSFER_GUARD*", "JAX_LOG_COMPILES"),
            *("JAX_EXPLAIN_CACHE_MISSES", "JAX_DUMP_IR_TO", "JAX_NO_EXECUTION", "JAX_NO_TRACING", "FLAX_PROFILE"),
        ),
        Treatment.CLEARED,
        "debug modes, which run functions again, slow steps down, or end them",
        "docs.jax.dev (debugging flags, configuration options)",
    ),
    Variable(
        ("JAX_COMPILATION_CACHE_*", "JAX_ENABLE_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE_*", "JAX_ENABLE_PGLE"),
        Treatment.CLEARED,
        "a launch would load what an earlier one has compiled, and its first step would be shorter",
        "docs.jax.dev (persistent compilation cache)",
    ),
    Variable(("JAX_*", "FLAX_*", "NNX_*"), Treatment.OBEYED, "settings of JAX and Flax", JAX),
    Variable(
        ("PL_*", "LT_*"),
        Treatment.CLEARED,
        "Lightning's `Trainer` takes arguments from them (`PL_TRAINER_PRECISION`): the knobs and the task decide",
        "github.com/Lightning-AI/pytorch-lightning, src/lightning/pytorch/utilities/argparse.py",
    ),
    Variable(
        (
            *("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
            *("NODE_RANK", "TORCHELASTIC_*", "TF_CONFIG", "JAX_COORDINATOR_*", "JAX_LOCAL_DEVICE_IDS"),
            *("JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "KERAS_DISTRIBUTION_*"),
        ),
        Treatment.CLEARED,
        "a framework would take itself for one of several processes and wait for the others; the options `--devices` "
        "and `--rendezvous` decide",
        f"docs.pytorch.org/docs/stable/distributed.html; {TENSORFLOW}; docs.jax.dev (jax.distributed); "
        "keras.io/api/distribution",
    ),
    Variable(
        ("SLURM_*", "OMPI_*", "PMI_*", "PMIX_*", "LSB_*", "JSM_*"),
        Treatment.CLEARED,
        "the same, in a job of a cluster: Lightning, JAX and TensorFlow recognise it by these",
        "github.com/Lightning-AI/pytorch-lightning, src/lightning/fabric/plugins/environments",
        warns=False,
    ),
    Variable(
        ("NCCL_*", "GLOO_*", "UCX_*"),
        Treatment.OBEYED,
        "how several devices communicate",
        "docs.nvidia.com/deeplearning/nccl (environment variables)",
    ),
    Variable(
        ("LD_*", "GLIBC_TUNABLES", "MALLOC_*", "TCMALLOC_*"),
        Treatment.OBEYED,
        "which libraries are loaded, and settings of the allocator; the knob `allocator` adds to `LD_PRELOAD` or "
        "`GLIBC_TUNABLES`",
        f"{LOADER}; {GLIBC}",
    ),
    Variable(
        ("MALLOC_ARENA_MAX",),
        Treatment.OBEYED,
        "the same, but 1 in `keras-jax` and `keras-torch`, whatever yours is: their `fit` has a thread of its own, and "
        "with it the main thread's memory (docs/lessons.md of this project)",
        GLIBC,
    ),
    Variable(
        ("MALLOC_CHECK_", "MALLOC_PERTURB_", "MALLOC_TRACE", "LD_DEBUG*", "LD_PROFILE*"),
        Treatment.CLEARED,
        "debug modes, which slow a process down",
        f"{GLIBC}; {LOADER}",
    ),
    Variable(
        ("PYTHON*",),
        Treatment.CLEARED,
        "debug modes, optimisation, warnings and allocators of Python (`PYTHONMALLOC`, `PYTHONDEVMODE`, "
        "`PYTHONOPTIMIZE`, `PYTHONTRACEMALLOC`, `PYTHONWARNINGS`, `PYTHONINSPECT`) change its speed or the worker's "
        "end, and with `PYTHONHASHSEED` all launches would share one order of sets",
        PYTHON,
    ),
    Variable(
        ("PYTHONPATH",), Treatment.SET, "the folder of the harness, and then the user's folders", PYTHON, warns=False
    ),
    Variable(("PYTHONUNBUFFERED",), Treatment.SET, "a dead worker's last lines are read", PYTHON, "1", warns=False),
    Variable(
        ("PYTHONIOENCODING",),
        Treatment.SET,
        "a character that a locale lacks does not end a worker",
        PYTHON,
        "utf-8:replace",
        warns=False,
    ),
    Variable(
        ("PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHON_GIL", "PYTHON_JIT", "PYTHON_CPU_COUNT"),
        Treatment.OBEYED,
        "whether imports compile again, which packages are found, and modes of the interpreter",
        PYTHON,
    ),
    Variable(
        (
            "PYTHONHOME",
            "PYTHONPLATLIBDIR",
            "PYTHONUSERBASE",
            "PYTHONEXECUTABLE",
            "PYTHONPYCACHEPREFIX",
            "PYTHONSAFEPATH",
            "PYTHONFAULTHANDLER",
            "PYTHONUTF8",
            "PYTHONCOERCECLOCALE",
            "PYTHON_COLORS",
        ),
        Treatment.PASSED,
        "where files are, and how text is encoded",
        PYTHON,
    ),
    Variable(
        ("COVERAGE_PROCESS_*", "COV_CORE_*"),
        Treatment.CLEARED,
        "measuring coverage slows every line of Python down",
        "coverage.readthedocs.io/en/latest/subprocess.html",
    ),
    Variable(
        ("PYTEST_*",),
        Treatment.CLEARED,
        "a worker runs pytest without the options and the plugins of a surrounding project",
        PYTEST,
        warns=False,
    ),
    Variable(
        ("LANG", "LANGUAGE", "LC_*"),
        Treatment.PASSED,
        "Python takes only the encoding of text from the locale, no format of numbers",
        "docs.python.org/3/library/locale.html",
    ),
    Variable(
        ("HEADTOHEAD_*",),
        Treatment.PASSED,
        "where the harness finds its files",
        "docs/tasks-and-data.md of this project",
    ),
    Variable(
        ("HEADTOHEAD_TOKEN",),
        Treatment.CLEARED,
        "a secret: only a worker of a case on several machines gets it, which lets the processes of the others in",
        "docs/several-devices.md of this project",
        warns=False,
    ),
    Variable(
        ("HEADTOHEAD_PADDING",),
        Treatment.SET,
        "a random number of characters, because the size of the environment moves the stack and so changes speed",
        "Mytkowicz et al., ASPLOS 2009",
        warns=False,
    ),
)


def _index_by_name() -> Mapping[str, Variable]:
    return {name: variable for variable in TABLE for name in variable.names}


_BY_NAME = _index_by_name()
#: The longest prefix first.
_PREFIXES = sorted((name[:-1] for name in _BY_NAME if name.endswith("*")), key=len, reverse=True)


def find_variable(name: str) -> Variable | None:
    """Find the entry of a variable; None if it is not in the table."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
    return None if prefix is None else _BY_NAME[f"{prefix}*"]


def list_values(*treatments: Treatment) -> Iterator[tuple[str, str]]:
    """List the variables that have a value in the table, with this value."""
    for variable in TABLE:
        if variable.treatment in treatments and variable.value is not None:
            for name in variable.names:
                yield name, variable.value
