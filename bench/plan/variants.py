"""Variants by name and by knob settings, the division of each, and whether a backend can run it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from backends.knobs import KNOBS, check_variant, list_needs
from backends.task import Task, Variant
from backends.values import UnsupportedVariant
from bench.errors import UserError, make_unknown_error
from bench.plan import several_devices
from bench.plan.knob_support import SUPPORT_CHECKS

#: The divisions and what is in them. Tables compare variants only within a division.
DIVISIONS = {
    "default": "what the framework's own documentation tells a new user to write",
    "matched": "precision, layout and execution equal in all backends: fp32, nhwc, compiled",
    "tuned": "the fastest that passes the proof of sameness, as `bench tune` found it on this machine",
    "cached": "features computed once and kept, the head trained on them; other knobs may be set",
    "knobs": "knobs set by hand",
}
#: The knobs that the named variants set.
NAMED: dict[str, dict[str, Any]] = {
    "default": {},
    "matched": {"execution": "compiled", "precision": "fp32", "layout": "nhwc"},
    "tuned": {},  # different for each backend, see `bench.plan.tuned_variants`
}
THREADS = "threads"
#: The end of the name of a variant on several devices that exchanges no gradients.
NO_EXCHANGE = "-no-exchange"


def get_division(variant: Variant) -> str:
    """The division of a variant."""
    if variant.features == "cached":
        return "cached"
    name = get_name_on_one_device(variant)
    return name if name in DIVISIONS else "knobs"


def get_name_on_one_device(variant: Variant) -> str:
    """The name of the same variant on one device: `default` for `default-x2`."""
    return variant.name.removesuffix(NO_EXCHANGE).removesuffix(format_devices(variant.devices))


def get_knob_settings(variant: Variant) -> dict[str, str]:
    """The knobs that a variant sets, with their values."""
    defaults = {knob: Variant.model_fields[knob].default for knob in KNOBS}
    return {knob: getattr(variant, knob) for knob in KNOBS if getattr(variant, knob) != defaults[knob]}


def make_name(settings: Mapping[str, str]) -> str:
    """The name of a variant with these knob settings: `bf16+nhwc`, `4workers`."""
    return "+".join(f"{value}{knob}" if value.isdecimal() else value for knob, value in settings.items())


def is_tuned(variant: Variant) -> bool:
    """Whether a variant's knobs are those that `bench tune` found."""
    return get_name_on_one_device(variant) == "tuned"


def spread(variants: Sequence[Variant], devices: Sequence[int]) -> tuple[Variant, ...]:
    """The variants on each of several numbers of devices: `default` and `default-x2` for 1 and 2."""
    numbers = tuple(dict.fromkeys(devices)) or (1,)
    return tuple(
        variant.model_copy(update={"name": variant.name + format_devices(number), "devices": number})
        if number > 1
        else variant
        for variant in variants
        for number in numbers
    )


def add_without_exchange(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The variants, and after each of those on several devices the same without the exchange of gradients."""
    added = []
    for variant in variants:
        added.append(variant)
        if variant.devices:
            added.append(variant.model_copy(update={"name": variant.name + NO_EXCHANGE, "exchange": "none"}))
    return tuple(added)


def format_devices(number: int | None) -> str:
    """The end of the name of a variant on so many devices: `-x2`; empty for one."""
    return f"-x{number}" if number and number > 1 else ""


def parse_variants(names: Sequence[str], settings: Sequence[str], threads: int, device: str) -> tuple[Variant, ...]:
    """The variants of the options `--variant` and `--knob`, each once: those of `names`, and one for each combination
    of the knobs' values.

    Args:
        names: of variants; `default` if there are no settings either.
        settings: `knob=value`; a knob that is given twice has two values.
        threads, device: of all variants; the knob `threads` takes precedence.

    Raises:
        UserError: an unknown name, knob or value.
    """
    base: dict[str, Any] = {"threads": threads, "device": device}
    chosen = []
    for name in names or (() if settings else ("default",)):
        if name not in NAMED:
            raise make_unknown_error("variant", name, NAMED)
        chosen.append(Variant(name=name, **NAMED[name], **base))
    values = _parse_settings(settings)
    for combination in itertools.product(*values.values()) if values else ():
        knobs = dict(zip(values, combination, strict=True))
        chosen.append(Variant.model_validate({**base, **knobs, "name": make_name(knobs)}))
    return tuple(dict.fromkeys(chosen))


def _parse_settings(settings: Sequence[str]) -> dict[str, list[str]]:
    """The values of each knob in settings `knob=value`, in the order of the table of knobs."""
    parsed: dict[str, list[str]] = {}
    for setting in settings:
        knob, equals, value = setting.partition("=")
        if not equals or not value:
            raise UserError(f"--knob {setting}: write knob=value, as in --knob precision=bf16")
        if knob not in (*KNOBS, THREADS):
            raise make_unknown_error("knob", knob, (*KNOBS, THREADS))
        if knob == THREADS and not _is_valid(THREADS, value):
            raise UserError(f"--knob {setting}: use a whole number from 1 on")
        if knob in KNOBS and value not in (known := _list_values(knob)):
            raise make_unknown_error(f"value of the knob {knob}", value, known)
        value = str(int(value)) if knob == THREADS else value  # 02 is 2
        parsed.setdefault(knob, [])
        if value not in parsed[knob]:
            parsed[knob].append(value)
    return {knob: parsed[knob] for knob in (*KNOBS, THREADS) if knob in parsed}


def _list_values(knob: str) -> list[str]:
    """List the values of a knob that can be set in any backend. Others describe what a framework always does."""
    every = dict.fromkeys(value for values in KNOBS[knob].values.values() for value in values)
    return [value for value in every if _is_valid(knob, value)]


def _is_valid(knob: str, value: str) -> bool:
    try:
        Variant.model_validate({knob: value})
    except ValidationError:
        return False
    return True


def explain_unsupported(backend: str, variant: Variant, task: Task) -> str | None:
    """Explain why a backend cannot run a variant of a task on this machine; None if it can."""
    try:
        check_variant(backend, variant, task)
    except UnsupportedVariant as reason:
        return str(reason)
    if reason_alone := several_devices.explain_unsupported_devices(backend, variant, task):
        return reason_alone
    return next(
        (missing for need in list_needs(backend, variant) if (missing := SUPPORT_CHECKS[need](variant.device))), None
    )
