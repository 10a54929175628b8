"""The checks of imports: what the backend's module sets, and which other frameworks come with it."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import backends
from bench.conformance.checked_backend import CheckedBackend
from bench.conformance.contract_checks import check_backend_object

FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "pytorch_lightning", "mxnet", "paddle", "onnxruntime")
#: Settings of frameworks that a backend must not change while it is imported, by module: functions that return them,
#: or attributes.
SETTINGS = {
    "torch": ("get_num_threads", "get_num_interop_threads", "get_default_dtype", "is_grad_enabled"),
    "tensorflow": (
        "config.threading.get_intra_op_parallelism_threads",
        "config.threading.get_inter_op_parallelism_threads",
        "config.functions_run_eagerly",
    ),
    "jax": ("config.jax_platforms", "config.jax_default_matmul_precision", "config.jax_enable_x64"),
    "keras": ("config.floatx", "config.image_data_format", "config.dtype_policy"),
}
#: In place of a setting that this version of the framework does not have; None is a value.
_UNKNOWN = object()


def check_import(checked: CheckedBackend) -> str | None:
    """Import the framework and then the backend, and check that the second changed no setting."""
    entry = backends.REGISTRY[checked.name]
    for package in entry.packages:
        importlib.import_module(package)
    before = _read_settings()
    found: Any = backends.load(checked.name)
    after = _read_settings()
    if wrong := check_backend_object(found, checked.name):
        return wrong
    checked.backend = found
    if changed := [name for name, value in before.items() if after[name] != value]:
        return f"importing it changes {changed[0]} from {before[changed[0]]} to {after[changed[0]]}"
    return f"importing it sets {next(iter(checked.calls.variables))}" if checked.calls.variables else None


def check_frameworks(checked: CheckedBackend) -> str | None:
    """Check which frameworks this process has imported by now."""
    assert checked.backend
    packages = {package.partition(".")[0] for package in backends.REGISTRY[checked.name].packages}
    others = [name for name in FRAMEWORKS if sys.modules.get(name) is not None and name not in packages]
    return f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} imported, too" if others else None


def _read_settings() -> dict[str, str]:
    found: dict[str, str] = {}
    if hasattr(os, "sched_getaffinity"):
        found["the process' CPUs"] = str(sorted(os.sched_getaffinity(0)))
    for module, names in SETTINGS.items():
        for name in names:
            value: Any = sys.modules.get(module)
            for part in name.split("."):
                value = getattr(value, part, _UNKNOWN)
            if value is not _UNKNOWN:
                found[f"{module}.{name}"] = str(value() if callable(value) else value)
    return found
