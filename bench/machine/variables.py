"""The environment variables of a worker by `bench.machine.variable_table`: pure functions of environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.machine.variable_table import THREADS, Treatment, find_variable, list_values

#: Variables that hold a list, with its separator: a knob adds an item before the user's.
LIST_VARIABLES = {"LD_PRELOAD": ":", "GLIBC_TUNABLES": ":"}
#: Items of a variable that a worker does not get: with this flag, JAX takes a CPU for several devices and divides its
#: threads among them (docs.jax.dev, "Sharded computation").
CLEARED_ITEMS = {"XLA_FLAGS": "--xla_force_host_platform_device_count"}
#: What versions before the table recorded, as it stood outside.
EARLIER_PREFIXES = (
    *("CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "GLIBC_TUNABLES", "GOMP_", "JAX_", "KMP_", "LD_PRELOAD", "MALLOC_"),
    *("MKL_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTORCH_", "TF_", "TORCH_", "XLA_"),
)
_TAKEN_OVER = (None, Treatment.OBEYED, Treatment.PASSED)


def make_worker_variables(outside: Mapping[str, str], threads: int) -> dict[str, str]:
    """Make the variables that every worker has, whatever its variant.

    Args:
        outside: the variables of the harness' own process.
        threads: of an operation.
    """
    defaults = dict(list_values(Treatment.OBEYED, Treatment.PASSED))
    taken_over = {name: value for name, value in outside.items() if _get_treatment(name) in _TAKEN_OVER}
    return defaults | _clear_items(taken_over) | make_set_variables(threads)


def _clear_items(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without `CLEARED_ITEMS`; one that is empty then is left out."""
    cleared = dict(variables)
    for name, prefix in CLEARED_ITEMS.items():
        items = cleared.get(name, "").split()
        if kept := [item for item in items if not item.startswith(prefix)]:
            cleared[name] = " ".join(kept) if len(kept) < len(items) else cleared[name]
        else:
            cleared.pop(name, None)
    return cleared


def make_set_variables(threads: int) -> dict[str, str]:
    """Make the variables that the table sets, with their values."""
    return {name: str(threads) if value == THREADS else value for name, value in list_values(Treatment.SET)}


def is_recorded(name: str) -> bool:
    """Whether a worker's value of a variable is recorded: it is obeyed, or set to one value for all workers."""
    variable = find_variable(name)
    if variable is None:
        return False
    return variable.treatment is Treatment.OBEYED or (
        variable.treatment is Treatment.SET and variable.value is not None
    )


def find_conditions(recorded: Mapping[str, str]) -> dict[str, str]:
    """Find the recorded variables that the user has set and that figures depend on; a default value is no condition.

    What the table sets is none: it follows from the harness, and the threads are compared as such. Records of earlier
    versions have variables that today are passed or cleared, which are none either.
    """
    defaults = dict(list_values(Treatment.OBEYED))
    return {
        name: value
        for name, value in recorded.items()
        if _get_treatment(name) is Treatment.OBEYED and defaults.get(name) != value
    }


def align_conditions(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The conditions of two records that can be compared: all, or those that an earlier version also recorded.

    Args:
        before, now: recorded variables. Those of this version have everything that the table sets.
    """
    both = find_conditions(before), find_conditions(now)
    if all(name in before for name, _ in list_values(Treatment.SET)):
        return both
    was, is_ = ({name: value for name, value in each.items() if name.startswith(EARLIER_PREFIXES)} for each in both)
    return was, is_


def find_disobeyed(outside: Mapping[str, str], worker: Mapping[str, str]) -> Iterable[str]:
    """Find the names of the user's variables that are in the table and of which the worker has another value, or none.

    A list to which a knob has added an item has the user's value in it.
    """
    for name, value in sorted(outside.items()):
        variable = find_variable(name)
        if variable is not None and variable.warns and not _has_value(name, value, worker.get(name)):
            yield name


def _has_value(name: str, value: str, worker: str | None) -> bool:
    separator = LIST_VARIABLES.get(name)
    return worker == value or bool(separator and worker and worker.endswith(f"{separator}{value}"))


def _get_treatment(name: str) -> Treatment | None:
    variable = find_variable(name)
    return None if variable is None else variable.treatment
