"""What a stored environment says in a line: the machine, the versions and the revision. What it lacks is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.machine import machine_name
from bench.records.units import GIB

#: Packages by their recorded names: a page says the same wherever it is made again.
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "pytorch-lightning")


def read_about(about: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Read a part of a run's environment; empty where it is not recorded."""
    part = about.get(key)
    return dict(part) if isinstance(part, dict) else {}


def describe_machine(about: Mapping[str, Any]) -> str:
    """Describe the machine: CPU, usable cores, memory, GPUs, system. Empty where no CPU is recorded."""
    cpu, memory, system = (read_about(about, key) for key in ("cpu", "memory", "system"))
    if not cpu:
        return ""
    total, gpus = memory.get("total"), about.get("gpus")
    names = [str(gpu.get("name")) for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []
    machine = {
        "CPU": cpu.get("model"),
        "usable cores": cpu.get("cores_usable"),
        "memory, GiB": round(total / GIB) if isinstance(total, int) else None,
        "GPUs": ", ".join(names) or "no GPU",
    }
    texts = (machine_name.describe_machine(machine), *(str(system.get(key) or "") for key in ("name", "machine")))
    return ", ".join(filter(None, (texts[0], " ".join(filter(None, texts[1:])))))


def describe_versions(about: Mapping[str, Any], packages: Iterable[str] = FRAMEWORKS) -> str:
    """Describe the versions of Python and of these packages."""
    found = read_about(about, "packages")
    versions = {"Python": read_about(about, "python").get("version"), **{name: found.get(name) for name in packages}}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def describe_revision(about: Mapping[str, Any], digits: int | None = None) -> str:
    """Describe the revision of this project that measured; empty outside a git checkout.

    Args:
        about: the environment.
        digits: that are shown; all by default.
    """
    git = read_about(about, "git")
    if not git.get("revision"):
        return ""
    return f"{str(git['revision'])[:digits]}{' with uncommitted changes' if git.get('dirty') else ''}"
