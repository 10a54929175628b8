"""The process that builds exported networks with a backend's operations, and compares their features with PyTorch's.

`python -m bench.networks.evaluation BACKEND` reads folders, as `bench.networks.export` writes them, a line each, and
prints a line of JSON for each: `{"difference": …, "seconds": …}`, or `{"error": …}`. The difference is the largest of
all features, relative to the largest feature.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import backends
from backends.base import Backend
from backends.exported.network_graph import IMAGES
from bench.machine.hidden_packages import hide_packages
from bench.weights.checkpoint_folder import MODEL
from bench.weights.exported_files import EVIDENCE, FEATURES, read_network


def main(backend: str) -> int:
    """Answer for each folder; returns the exit status."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    entry = backends.REGISTRY[backend]
    hide_packages(entry.hides, entry.packages)
    loaded = backends.load(backend)
    for line in sys.stdin:
        print(json.dumps(compare(loaded, Path(line.rstrip("\n")))), file=answers, flush=True)
    return 0


def compare(backend: Backend, folder: Path) -> dict[str, float | str]:
    """How far a backend's features are from those of the evidence."""
    network = read_network(folder)
    evidence = load_file(folder / EVIDENCE)
    weights = load_file(folder / MODEL)
    began = time.perf_counter()
    try:
        features = backend.evaluate_network(network.graph, {**network.constants, **weights}, evidence[IMAGES])
    except Exception as error:  # whatever a framework raises
        lines = str(error).strip().splitlines() or [""]
        # TensorFlow's "in user code:" stands above where it happened, and what happened comes last.
        reason = lines[-1 if lines[0].endswith(":") else 0].strip().removeprefix(f"{type(error).__name__}: ")
        return {"error": f"{type(error).__name__}: {reason}"}
    seconds = time.perf_counter() - began
    expected = evidence[FEATURES]
    if features.shape != expected.shape:
        return {"error": f"features of the shape {features.shape}, not {expected.shape}"}
    difference = float(np.abs(features - expected).max() / np.abs(expected).max())
    if not np.isfinite(difference):
        return {"error": "features that are not finite"}
    return {"difference": difference, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
