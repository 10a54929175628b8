"""The environment of a worker: the variables that its process is started with, and its configuration of Keras."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import backends
from backends import knobs
from bench.machine.environment import PROJECT
from bench.machine.variable_table import THREADS, Treatment, list_values
from bench.machine.variables import LIST_VARIABLES, make_worker_variables
from bench.worker.group.node_connection import TOKEN
from bench.worker.group.process_shares import count_own_threads
from bench.worker.job import AnyJob, Job, TargetJob

#: Largest random padding of the environment, in bytes: the environment's size moves the stack, which changes alignment
#: and speed (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009).
MAX_PADDING = 4096
#: How the variables begin by which pytest-xdist tells a process that it is one of its workers.
OF_XDIST = "PYTEST_XDIST_"
#: What workers read in place of the user's `~/.keras/keras.json`: Keras' own defaults (keras/src/backend/config.py),
#: with the engine of the job's backend.
KERAS_CONFIGURATION = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


def build_environment(job: AnyJob, outside: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Build the worker's environment, equally for all workers of a launch but for their knobs.

    Args:
        job: what it runs.
        outside: the environment of the harness.
    """
    own = {
        "PYTHONPATH": os.pathsep.join(_list_import_folders(job, outside.get("PYTHONPATH", ""))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        # A worker that outlives a killed gate for a moment must not write into the scratch folder while it is removed.
        **({"PYTHONDONTWRITEBYTECODE": "1"} if job.root else {}),
        **({"TORCHINDUCTOR_CACHE_DIR": str(job.compiled)} if job.compiled else {}),
        "HEADTOHEAD_PADDING": "x" * random.randrange(MAX_PADDING),
    }
    threads = count_own_threads(job.variant, job.nodes if isinstance(job, Job) else 1)
    if isinstance(job, TargetJob):
        return _make_target_variables(outside, threads) | own
    own |= {
        "KERAS_HOME": str(_get_keras_folder(job)),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_benchmark.plugin",
    }
    if isinstance(job, Job) and job.nodes > 1 and TOKEN in outside:
        own[TOKEN] = outside[TOKEN]
    return make_worker_variables(outside, threads) | own | _make_knob_variables(job, outside)


def write_keras_configuration(job: AnyJob) -> None:
    """Write the configuration of Keras into the job's folder, where `build_environment` lets Keras find it."""
    folder = _get_keras_folder(job)
    folder.mkdir(exist_ok=True)
    entry = backends.REGISTRY.get(job.backend) if isinstance(job, Job) else None
    engine = (entry.environment if entry else {}).get("KERAS_BACKEND", KERAS_CONFIGURATION["backend"])
    (folder / "keras.json").write_text(json.dumps({**KERAS_CONFIGURATION, "backend": engine}))


def _get_keras_folder(job: AnyJob) -> Path:
    return job.folder / "keras"


def _make_knob_variables(job: AnyJob, outside: Mapping[str, str]) -> dict[str, str]:
    made = knobs.make_environment(job.backend, job.variant) if isinstance(job, Job) else {}
    for name, separator in LIST_VARIABLES.items():
        if name in made and outside.get(name):
            made[name] += f"{separator}{outside[name]}"
    return made


def _make_target_variables(outside: Mapping[str, str], threads: int) -> dict[str, str]:
    """Make the variables of another project's test: it may need its own settings and plugins, the same in both arms.

    It is no worker of pytest-xdist, even if the command was started by one: pytest-benchmark would measure nothing.
    """
    defaults = dict(list_values(Treatment.OBEYED, Treatment.PASSED)) | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    limits = {name: str(threads) for name, value in list_values(Treatment.SET) if value == THREADS}
    inherited = {name: value for name, value in outside.items() if name != TOKEN and not name.startswith(OF_XDIST)}
    return defaults | inherited | limits


def _list_import_folders(job: AnyJob, inherited: str) -> list[str]:
    """The folders in which Python finds the worker's modules, before those of the Python environment.

    Args:
        inherited: PYTHONPATH of the harness.
    """
    others = [folder for folder in inherited.split(os.pathsep) if folder]
    if isinstance(job, TargetJob):
        others = [folder for folder in others if Path(folder).resolve() != PROJECT]
        return [*map(str, job.source_folders), *others]
    return [str(job.root or PROJECT), *others]
