"""Which variants of a backend are measured: by name, or by turning knobs; and the division that each belongs to."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backends.base import UnsupportedVariant
from backends.knobs import KNOBS, NEEDS, check, value_of
from backends.task import Task, Variant
from bench.errors import UserError, unknown

#: Tables are made by division, and never compare across them.
DIVISIONS = {
    "default": "what the framework's own documentation tells a new user to write",
    "matched": "precision, layout and execution equal in all backends: fp32, nhwc, compiled",
    "tuned": "the fastest that passes the proof of sameness, as `bench tune` found it on this machine",
    "cached": "features computed once and kept, the head trained on them; other knobs may be turned",
    "knobs": "knobs turned by hand",
}
#: What the named variants turn.
NAMED: dict[str, dict[str, Any]] = {
    "default": {},
    "matched": {"execution": "compiled", "precision": "fp32", "layout": "nhwc"},
    "tuned": {},  # a backend's own, see `bench.tuned`
}
THREADS = "threads"
#: Flags of CPUs that compute in bfloat16; others emulate it, many times slower.
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
CPUINFO = Path("/proc/cpuinfo")
COMPILERS = ("g++", "clang++", "c++")


def division(variant: Variant) -> str:
    """The division of a variant."""
    if variant.features == "cached":
        return "cached"
    return variant.name if variant.name in DIVISIONS else "knobs"


def turned(variant: Variant) -> dict[str, str]:
    """The knobs that a variant turns, with their values."""
    usual = {knob: Variant.model_fields[knob].default for knob in KNOBS}
    return {knob: getattr(variant, knob) for knob in KNOBS if getattr(variant, knob) != usual[knob]}


def named(turned: Mapping[str, str]) -> str:
    """The name of a variant that turns some knobs: `bf16+nhwc`, `4workers`."""
    return "+".join(f"{value}{knob}" if value.isdecimal() else value for knob, value in turned.items())


def wanted(names: Sequence[str], settings: Sequence[str], threads: int, device: str) -> tuple[Variant, ...]:
    """The variants that were asked for, each once: those of `names`, and one for each combination of the knobs' values.

    Args:
        names: of variants; with no knob either, it is `default`.
        settings: `knob=value`; a knob given twice has both values.
        threads, device: of all variants; the knob `threads` has its own.

    Raises:
        UserError: an unknown name, knob or value.
    """
    base: dict[str, Any] = {"threads": threads, "device": device}
    found = []
    for name in names or (() if settings else ("default",)):
        if name not in NAMED:
            raise unknown("variant", name, NAMED)
        found.append(Variant(name=name, **NAMED[name], **base))
    values = _values(settings)
    for combination in itertools.product(*values.values()) if values else ():
        chosen = dict(zip(values, combination, strict=True))
        name = "+".join(f"{value}{knob}" if knob == THREADS else str(value) for knob, value in chosen.items())
        found.append(Variant.model_validate({**base, **chosen, "name": name}))
    return tuple(dict.fromkeys(found))


def _values(settings: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each knob, in the order of the table of knobs."""
    given: dict[str, list[Any]] = {}
    for one in settings:
        knob, equals, value = one.partition("=")
        if not equals or not value:
            raise UserError(f"--knob {one}: write knob=value, as in --knob precision=bf16")
        if knob not in (*KNOBS, THREADS):
            raise unknown("knob", knob, (*KNOBS, THREADS))
        known = (
            list(dict.fromkeys(value for of_backend in KNOBS[knob].values.values() for value in of_backend))
            if knob in KNOBS
            else []
        )
        if known and value not in known:
            raise unknown(f"value of the knob {knob}", value, known)
        try:
            Variant.model_validate({knob: value})
        except ValidationError:
            hint = "a whole number from 1 on" if knob == THREADS else f"one of {', '.join(known)}"
            raise UserError(f"--knob {one}: use {hint}") from None
        given.setdefault(knob, [])
        if value not in given[knob]:
            given[knob].append(value)
    return {knob: given[knob] for knob in (*KNOBS, THREADS) if knob in given}


def _known(knob: str) -> list[str]:
    """All values of a knob, of any backend."""
    return list(dict.fromkeys(value for values in KNOBS[knob].values.values() for value in values))


def refused(backend: str, variant: Variant, task: Task) -> str | None:
    """Why a backend cannot run a variant of a task on this machine; None where it can."""
    try:
        check(backend, variant, task)
    except UnsupportedVariant as reason:
        return str(reason)
    if variant.device != "cpu":
        return None
    needed = (NEEDS.get((backend, knob, value_of(backend, variant, knob))) for knob in KNOBS)
    return next((missing for need in needed if need and (missing := MISSING[need]())), None)


def bf16_missing() -> str | None:
    """Why this CPU does not compute in bfloat16; None where it does."""
    try:
        flags = next((line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = ""
    if BF16_FLAGS & set(flags.partition(":")[2].split()):
        return None
    return f"this CPU has no bfloat16 ({', '.join(sorted(BF16_FLAGS))} are missing): use precision fp32"


def compiler_missing() -> str | None:
    """Why `torch.compile` cannot work on this CPU; None where it can."""
    if any(shutil.which(name) for name in COMPILERS):
        return None
    return f"torch.compile needs a C++ compiler, and there is none ({', '.join(COMPILERS)}): install g++"


#: What tells whether the machine has what a knob's value needs.
MISSING = {"bf16": bf16_missing, "compiler": compiler_missing}
