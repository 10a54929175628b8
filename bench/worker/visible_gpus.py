"""A process that prints which GPUs a backend's framework sees: `python -m bench.worker.visible_gpus BACKEND`.

Its last line is a JSON list of names; what the framework prints comes before it.
"""

from __future__ import annotations

import importlib
import json
import sys

import backends


def list_visible_gpus(backend: str) -> list[str]:
    """List the names of the GPUs that a backend's framework sees; it must have `cuda` in its entry."""
    support = backends.REGISTRY[backend].cuda
    assert support
    return importlib.import_module(support.module).list_gpus()


if __name__ == "__main__":
    print("\n" + json.dumps(list_visible_gpus(sys.argv[1])))
