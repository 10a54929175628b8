"""How long `bench --help` takes, and whether it imports a framework."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from bench.machine.environment import PROJECT

HELP = ("-m", "bench", "--help")
FRAMEWORKS = frozenset({"torch", "torchvision", "timm", "tensorflow", "keras", "keras_hub", "jax"})


def help_seconds() -> float:
    """Wall seconds of `bench --help`, once."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *HELP], cwd=PROJECT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def imported_frameworks() -> set[str]:
    """The frameworks that `bench --help` imports, from Python's own record of imports."""
    command = [sys.executable, "-X", "importtime", *HELP]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    modules = re.findall(r"\|\s*([\w.]+)$", done.stderr, flags=re.MULTILINE)
    if not modules:
        raise RuntimeError("Python recorded no imports")
    return {module.partition(".")[0] for module in modules} & FRAMEWORKS
