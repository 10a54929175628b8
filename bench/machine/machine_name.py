"""How a machine is called in reports and files: a description for people, and a key that identifies it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Describe a machine in a few words, for example `AMD EPYC, 2 cores, 24 GiB`.

    Args:
        machine: the part `machine` of `bench.machine.fingerprint.make_fingerprint`.
    """
    cores = machine.get("usable cores") or "?"
    parts = [
        str(machine.get("CPU") or "unknown CPU"),
        f"{cores} {'core' if cores == 1 else 'cores'}",
        f"{machine.get('memory, GiB') or '?'} GiB",
        str(machine.get("GPUs") or ""),
    ]
    return ", ".join(part for part in parts if part)


def compute_machine_key(machine: Mapping[str, Any]) -> str:
    """Compute the key of a machine, eight hex digits; two machines of one kind have the same.

    Args:
        machine: as `describe_machine` takes it.
    """
    return hashlib.sha256(json.dumps(dict(machine), sort_keys=True).encode()).hexdigest()[:8]


def make_file_name(machine: Mapping[str, Any]) -> str:
    """Make a name for files and folders of a machine, for example `amd-epyc-2-cores-24-gib-1f2e3d4c`."""
    words = re.sub(r"[^a-z0-9]+", "-", describe_machine(machine).lower()).strip("-")
    return f"{words[:60].strip('-')}-{compute_machine_key(machine)}"
