"""The fingerprint of an environment: the parts that figures depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bench.records.units import GIB


def make_fingerprint(about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parts of an environment that figures depend on, by the kinds that `--allow` accepts.

    Args:
        about: the result of `describe_environment`. Memory is rounded to GiB, because a virtual machine's varies.
    """
    cpu, system, python = about["cpu"], about["system"], about["python"]
    memory = about["memory"]["total"]
    return {
        "machine": {
            "CPU": cpu["model"],
            "CPU flags": hashlib.sha256(" ".join(cpu["flags"]).encode()).hexdigest()[:12],
            "usable cores": cpu["cores_usable"],
            "CPU quota": cpu["quota"],
            "governor": cpu["governor"],
            "huge pages": cpu["huge_pages"],
            "memory, GiB": round(memory / GIB) if memory else None,
            "system": f"{system['name']} {system['machine']}",
            "GPUs": ", ".join(str(gpu.get("name")) for gpu in about["gpus"]) or None,
        },
        "versions": {
            "Python": python["version"],
            "C library": system["libc"],
            "GPU driver": ", ".join(str(gpu.get("driver")) for gpu in about["gpus"]) or None,
            **{name: version for name, version in about["packages"].items() if version},
        },
        "variables": dict(about["variables"]),
    }


def read_fingerprint(about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fingerprint of a stored environment; empty if it lacks what a fingerprint needs."""
    try:
        return make_fingerprint(about)
    except (LookupError, TypeError, AttributeError):
        return {}
