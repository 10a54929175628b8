"""Which variants of a backend are measured: by name, or by turning knobs; and the division that each belongs to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from backends.knobs import KNOBS, check, needs
from backends.task import Task, Variant
from backends.values import UnsupportedVariant
from bench.errors import UserError, unknown
from bench.plan.knob_support import MISSING

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
    "tuned": {},  # a backend's own, see `bench.plan.tuned_variants`
}
THREADS = "threads"


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
        found.append(Variant.model_validate({**base, **chosen, "name": named(chosen)}))
    return tuple(dict.fromkeys(found))


def _values(settings: Sequence[str]) -> dict[str, list[str]]:
    """The values of each knob, in the order of the table of knobs."""
    given: dict[str, list[str]] = {}
    for one in settings:
        knob, equals, value = one.partition("=")
        if not equals or not value:
            raise UserError(f"--knob {one}: write knob=value, as in --knob precision=bf16")
        if knob not in (*KNOBS, THREADS):
            raise unknown("knob", knob, (*KNOBS, THREADS))
        if knob == THREADS and not _settable(THREADS, value):
            raise UserError(f"--knob {one}: use a whole number from 1 on")
        if knob in KNOBS and value not in (known := _known(knob)):
            raise unknown(f"value of the knob {knob}", value, known)
        given.setdefault(knob, [])
        if value not in given[knob]:
            given[knob].append(value)
    return {knob: given[knob] for knob in (*KNOBS, THREADS) if knob in given}


def _known(knob: str) -> list[str]:
    """All values that a knob can be turned to, of any backend; some are only words for what a framework does anyway."""
    every = dict.fromkeys(value for values in KNOBS[knob].values.values() for value in values)
    return [value for value in every if _settable(knob, value)]


def _settable(knob: str, value: str) -> bool:
    try:
        Variant.model_validate({knob: value})
    except ValidationError:
        return False
    return True


def refused(backend: str, variant: Variant, task: Task) -> str | None:
    """Why a backend cannot run a variant of a task on this machine; None where it can."""
    try:
        check(backend, variant, task)
    except UnsupportedVariant as reason:
        return str(reason)
    return next((missing for need in needs(backend, variant) if (missing := MISSING[need](variant.device))), None)
