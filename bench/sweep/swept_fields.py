"""The fields of a task that are swept, and their values as they were typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_origin

from backends.task import Task
from bench.errors import UserError, unknown

#: Fields that are one value each. The name is no part of the experiment.
FIELDS = tuple(
    name for name, field in Task.model_fields.items() if name != "name" and get_origin(field.annotation) is not tuple
)


def axes(options: Mapping[str, Sequence[str] | None], settings: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each field, as text, in the order of the task's fields.

    Args:
        options: by field, what its own option was given: lists with commas.
        settings: `field=value,value`, for any field.

    Raises:
        UserError: no field at all, one that is not there or was given twice, or an empty value.
    """
    given = {name: [(_option(name), text) for text in texts] for name, texts in options.items() if texts}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UserError(f"--set {setting}: write field=value,value, as in --set momentum=0.8,0.9")
        if name in Task.model_fields and name not in FIELDS:
            raise UserError(f"--set {setting}: {name} cannot be swept: use one of {', '.join(FIELDS)}")
        if name not in FIELDS:
            raise unknown("field of a task that can be swept", name, FIELDS)
        if name in given:
            raise UserError(f"--set {setting}: {name} has values already: give all of them at once")
        given[name] = [("--set", f"{name}={text}")]
    if not given:
        raise UserError(
            "a sweep needs values of a field: give some, as in --learning-rate 0.001,0.01 --batch-size 4,32"
        )
    return {name: _values(given[name]) for name in FIELDS if name in given}


def _values(texts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    found = []
    for option, text in texts:
        values = [value.strip() for value in text.rpartition("=")[2].split(",")]
        if not all(values):
            raise UserError(f"{option} {text}: a value is missing: write them with commas between, as 4,32,128")
        found += values
    return tuple(dict.fromkeys(found))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
