"""The table of environment variables: each entry does what it says, and what figures depend on is compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backends.task import Variant
from bench.machine.environment import list_variables
from bench.machine.variable_table import TABLE, THREADS, Treatment, Variable, find_variable
from bench.machine.variables import (
    align_conditions,
    find_conditions,
    find_disobeyed,
    is_recorded,
    make_worker_variables,
)
from bench.measure import resume
from bench.measure.worker_environment import build_environment, write_keras_configuration
from bench.worker.job import Job, TargetJob

#: Each entry with an example of each of its names.
EXAMPLES = [(name.replace("*", "EXAMPLE"), variable) for variable in TABLE for name in variable.names]
PAGE = Path(__file__).parents[3] / "docs/variables.md"


def make_job(**knobs: str) -> Job:
    return Job.model_construct(backend="keras", variant=Variant(threads=3, **knobs), folder=Path("folder"))


@pytest.mark.parametrize(("name", "variable"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_a_worker_gets_what_the_table_says(name, variable):
    assert find_variable(name) is variable
    worker = build_environment(make_job(), {name: "the user's"})
    own = {THREADS: "3"}.get(variable.value, variable.value)
    if variable.treatment is Treatment.CLEARED:
        assert worker.get(name) != "the user's"
    elif variable.treatment is Treatment.SET:
        assert worker[name] == own if own is not None else worker[name] != "the user's"
    else:
        assert worker[name] == "the user's"
        assert build_environment(make_job(), {}).get(name) == own
    disobeyed = variable.treatment in (Treatment.SET, Treatment.CLEARED) and variable.warns
    assert list(find_disobeyed({name: "the user's"}, worker)) == [name] * disobeyed
    assert bool(find_conditions({name: "the user's"})) == (variable.treatment is Treatment.OBEYED)
    assert is_recorded(name) or variable.treatment is not Treatment.OBEYED


@pytest.mark.parametrize(
    ("treatment", "names"),
    [
        (Treatment.SET, "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS VECLIB_MAXIMUM_THREADS"),
        (Treatment.SET, "NUMEXPR_NUM_THREADS TF_NUM_INTRAOP_THREADS KERAS_HOME KERAS_BACKEND CUDA_DEVICE_ORDER"),
        (Treatment.CLEARED, "OMP_DYNAMIC TF_NUM_INTEROP_THREADS NVIDIA_TF32_OVERRIDE TF_XLA_FLAGS ONEDNN_VERBOSE"),
        (Treatment.CLEARED, "TORCH_COMPILE_DISABLE TORCHDYNAMO_DISABLE PYTORCH_JIT CUDA_LAUNCH_BLOCKING"),
        (Treatment.CLEARED, "PYTHONMALLOC PYTHONDEVMODE PYTHONOPTIMIZE PYTHONHASHSEED PYTHONTRACEMALLOC"),
        (Treatment.CLEARED, "PYTHONWARNINGS PYTHONPROFILEIMPORTTIME PYTHONINSPECT PYTHONSTARTUP PYTEST_ADDOPTS"),
        (Treatment.CLEARED, "KERAS_MAX_EPOCHS KERAS_MAX_STEPS_PER_EPOCH MALLOC_CHECK_ COVERAGE_PROCESS_START"),
        (Treatment.SET, "NPROC XLA_PYTHON_CLIENT_PREALLOCATE"),
        (Treatment.CLEARED, "JAX_PLATFORMS JAX_ENABLE_X64 JAX_DEFAULT_MATMUL_PRECISION JAX_DISABLE_JIT JAX_DEBUG_NANS"),
        (Treatment.CLEARED, "JAX_COMPILATION_CACHE_DIR JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES JAX_LOG_COMPILES"),
        (Treatment.CLEARED, "PL_TRAINER_PRECISION PL_GLOBAL_SEED LT_DEVICES MASTER_ADDR RANK WORLD_SIZE TF_CONFIG"),
        (Treatment.CLEARED, "SLURM_NTASKS TORCHELASTIC_RUN_ID JAX_COORDINATOR_ADDRESS OMPI_COMM_WORLD_RANK"),
        (
            Treatment.OBEYED,
            "JAX_CPU_COLLECTIVES_IMPLEMENTATION FLAX_FILTER_FRAMES XLA_CLIENT_MEM_FRACTION NCCL_P2P_DISABLE",
        ),
        (Treatment.OBEYED, "OMP_PROC_BIND OMP_PLACES OMP_WAIT_POLICY KMP_AFFINITY GOMP_SPINCOUNT XLA_FLAGS"),
        (Treatment.OBEYED, "CUBLAS_WORKSPACE_CONFIG TF_DETERMINISTIC_OPS CUDA_VISIBLE_DEVICES DNNL_MAX_CPU_ISA"),
        (Treatment.OBEYED, "LD_PRELOAD LD_LIBRARY_PATH TORCHINDUCTOR_CPP_MARCH TF_ENABLE_ONEDNN_OPTS"),
        (Treatment.PASSED, "TF_CPP_MIN_LOG_LEVEL TORCH_LOGS LC_ALL LANG TORCH_HOME"),
    ],
)
def test_known_variables_have_their_treatment(treatment, names):
    for name in names.split():
        assert find_variable(name).treatment is treatment, name
    assert find_variable("HOME") is find_variable("PATH") is None, "others are passed on"


def test_a_variable_that_a_knob_sets_is_disobeyed_and_a_list_that_it_adds_to_is_not():
    outside = {"TF_ENABLE_ONEDNN_OPTS": "1", "LD_PRELOAD": "libmine.so", "OMP_NUM_THREADS": "3"}
    worker = build_environment(make_job(kernels="eigen", allocator="jemalloc"), outside)
    assert list(find_disobeyed(outside, worker)) == ["TF_ENABLE_ONEDNN_OPTS"]
    assert list(find_disobeyed({"OMP_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "12"})) == ["OMP_NUM_THREADS"]


@pytest.mark.parametrize(
    ("flags", "worker"),
    [
        ("--xla_force_host_platform_device_count=8", None),
        ("--xla_dump_to=a --xla_force_host_platform_device_count=8  --xla_x=1", "--xla_dump_to=a --xla_x=1"),
        ("--xla_gpu_deterministic_ops=true  --xla_x=1", "--xla_gpu_deterministic_ops=true  --xla_x=1"),
    ],
)
def test_a_cpu_is_one_device_of_jax_and_other_flags_are_obeyed(flags, worker):
    outside = {"XLA_FLAGS": flags}
    environment = build_environment(make_job(), outside)
    assert environment.get("XLA_FLAGS") == worker
    assert list(find_disobeyed(outside, environment)) == ["XLA_FLAGS"] * (worker != flags)


def test_only_what_changes_figures_refuses_to_resume():
    def compare(before: dict[str, str], now: dict[str, str]) -> list[str]:
        return resume.find_differences({"variables": before}, {"variables": now})

    of_old_version = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "0", "TORCH_HOME": "…/torch"}
    now = {"OMP_NUM_THREADS": "2", "TF_ENABLE_ONEDNN_OPTS": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert compare(of_old_version, now) == []
    assert compare({}, {"MALLOC_ARENA_MAX": "1"}) == ["variables.MALLOC_ARENA_MAX was None and is 1"]
    assert compare({}, {"TF_ENABLE_ONEDNN_OPTS": "0"}) == ["variables.TF_ENABLE_ONEDNN_OPTS was None and is 0"]


def test_a_record_of_an_earlier_version_is_compared_by_what_it_recorded():
    everything = list_variables(make_worker_variables({}, 2))
    now = list_variables(make_worker_variables({"LD_LIBRARY_PATH": "/a/b", "XLA_FLAGS": "-x"}, 2))
    assert align_conditions(everything, now) == ({}, {"LD_LIBRARY_PATH": "…/b", "XLA_FLAGS": "-x"})
    assert align_conditions({"TF_X": "1"}, now) == ({"TF_X": "1"}, {"XLA_FLAGS": "-x"})


def test_the_tests_of_other_projects_keep_their_settings_but_not_their_threads(tmp_path):
    job = TargetJob.model_construct(variant=Variant(threads=3), root=tmp_path, folder=tmp_path, source_folders=())
    own = {
        "PYTEST_ADDOPTS": "-p own",
        "KERAS_HOME": "own",
        "KERAS_BACKEND": "jax",
        "PYTHONMALLOC": "debug",
        "PYTEST_PLUGINS": "own",
        "CI": "1",
    }
    worker = build_environment(job, {**own, "OMP_NUM_THREADS": "7", "PYTEST_XDIST_WORKER": "gw0"})
    assert worker.items() >= own.items()
    assert worker["OMP_NUM_THREADS"] == "3"
    assert "PYTEST_XDIST_WORKER" not in worker, "pytest-benchmark would measure nothing"


@pytest.mark.parametrize(
    ("backend", "engine"), [("keras", "tensorflow"), ("keras-torch", "torch"), ("keras-jax", "jax")]
)
def test_a_worker_of_keras_has_its_backends_engine_whatever_the_users_settings_say(tmp_path, backend, engine):
    job = Job.model_construct(backend=backend, variant=Variant(), folder=tmp_path, root=None, compiled=None)
    assert build_environment(job, {"KERAS_BACKEND": "openvino"})["KERAS_BACKEND"] == engine
    write_keras_configuration(job)
    assert json.loads((tmp_path / "keras" / "keras.json").read_text())["backend"] == engine


def test_the_page_shows_the_table():
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count(" | ") == 3]
    assert shown == [format_row(one) for one in TABLE]


def format_row(one: Variable) -> str:
    value = "" if one.value is None else f": `{one.value}`"
    return f"| {', '.join(f'`{name}`' for name in one.names)} | {one.treatment}{value} | {one.why} | {one.source} |"


def test_the_token_goes_only_to_workers_that_let_other_machines_in(tmp_path):
    outside = {"HEADTOHEAD_TOKEN": "a secret"}
    several = make_job().model_copy(update={"nodes": 2, "variant": Variant(devices=2, threads=2)})
    assert build_environment(several, outside)["HEADTOHEAD_TOKEN"] == "a secret"
    target = TargetJob.model_construct(variant=Variant(threads=3), root=tmp_path, folder=tmp_path, source_folders=())
    for job in (make_job(), target):
        assert "HEADTOHEAD_TOKEN" not in build_environment(job, outside)
