"""The fields of a task that can be swept, and the parser of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_origin

from backends.task import Task
from bench.errors import UserError, make_unknown_error

#: All fields with a single value, except the name, which has no influence on training.
FIELDS = tuple(
    name for name, field in Task.model_fields.items() if name != "name" and get_origin(field.annotation) is not tuple
)


def parse_axes(options: Mapping[str, Sequence[str] | None], settings: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse the values of each field, as text, in the order of the task's fields.

    Args:
        options: lists of values with commas, by field, from the options of single fields.
        settings: `field=value,value` for any field, from `--set`.

    Raises:
        UserError: no field, an unknown field, a field that is given twice, or an empty value.
    """
    given = {name: [(_format_option(name), text) for text in texts] for name, texts in options.items() if texts}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UserError(f"--set {setting}: write field=value,value, as in --set momentum=0.8,0.9")
        if name in Task.model_fields and name not in FIELDS:
            raise UserError(f"--set {setting}: {name} cannot be swept: use one of {', '.join(FIELDS)}")
        if name not in FIELDS:
            raise make_unknown_error("field of a task that can be swept", name, FIELDS)
        if name in given:
            raise UserError(f"--set {setting}: {name} has values already: give all values in one option")
        given[name] = [("--set", f"{name}={text}")]
    if not given:
        raise UserError(
            "a sweep needs values of a field: give some, as in --learning-rate 0.001,0.01 --batch-size 4,32"
        )
    return {name: _split_values(given[name]) for name in FIELDS if name in given}


def _split_values(texts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    found = []
    for option, text in texts:
        values = [value.strip() for value in text.rpartition("=")[2].split(",")]
        if not all(values):
            raise UserError(f"{option} {text}: a value is missing: separate values with commas, as in 4,32,128")
        found += values
    return tuple(dict.fromkeys(found))


def _format_option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
