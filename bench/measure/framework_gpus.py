"""Which GPUs the frameworks see: each is asked in a process of its own, with the environment of a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import backends
from bench.machine.environment import PROJECT, count_usable_cores
from bench.machine.gpu import Gpu
from bench.machine.variables import make_worker_variables

#: Seconds that a framework may take to be imported and to find its devices.
TIMEOUT = 120
#: Most frameworks that are imported at the same time.
MOST_AT_ONCE = 4


def ask_frameworks(names: Iterable[str]) -> dict[str, list[str] | str]:
    """Ask the frameworks of these backends; of each the names of the GPUs that it sees, or why it cannot say.

    Backends whose entries do not say how to ask are left out.
    """
    asked = [name for name in names if backends.REGISTRY[name].cuda]
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, count_usable_cores() or 1)) as pool:
        return dict(zip(asked, pool.map(_ask, asked), strict=True))


def _ask(name: str) -> list[str] | str:
    environment = make_worker_variables(os.environ, 1) | dict(backends.REGISTRY[name].environment)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "bench.worker.visible_gpus", name]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"it did not answer in {TIMEOUT} s"
    lines = [line for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines() if line.strip()]
    if done.returncode:
        return lines[-1] if lines else f"its process ended with status {done.returncode}"
    return [str(gpu) for gpu in json.loads(lines[-1])]


def explain_blindness(name: str, seen: list[str] | str, gpus: Iterable[Gpu]) -> str | None:
    """Explain why a backend's framework does not see a GPU that NVML sees, and what to install; None if it sees one.

    Args:
        name: the backend.
        seen: as `ask_frameworks` returns it.
        gpus: that CUDA can see.
    """
    if isinstance(seen, str):
        return f"{backends.get_title(name)} cannot be asked: {seen}"
    if seen:
        return None
    driver = next(iter(gpus))
    return f"{backends.get_title(name)} does not see it: {_advise(backends.REGISTRY[name].cuda, driver)}"


def _advise(support: backends.CudaSupport | None, gpu: Gpu) -> str:
    versions: Mapping[int, str] = support.install if support else {}
    if not versions:
        return "its entry does not say what to install: see its documentation"
    supported = int(gpu.cuda.partition(".")[0])
    for version, arguments in versions.items():
        if version <= supported:
            return f"pip install {arguments}"
    return f"its packages need CUDA {min(versions)}, and driver {gpu.driver} has {gpu.cuda}: update the driver"
