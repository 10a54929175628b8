"""Events as JSON lines, for a program that starts a command: docs/json-events.md describes every field."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from bench.analysis.statistics import Interval
from bench.errors import UserError
from bench.records.record import MeasurementWarning

#: Fields may be added to events without a new number.
SCHEMA = 1


class JsonEvents:
    """Writes one JSON object a line, at once, so that a reader of a pipe sees it when it happens."""

    def __init__(self, command: str, stream: TextIO | None = None) -> None:
        """Write the events of a command, as `run`, to a stream; by default stdout."""
        self._command, self._stream = command, stream or sys.stdout
        self._warned: set[tuple[str, str]] = set()

    def emit(self, event: str, **fields: object) -> None:
        """Write an event. Numbers that JSON does not have are null."""
        content = {
            "event": event,
            "schema": SCHEMA,
            "command": self._command,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **fields,
        }
        self._stream.write(json.dumps(_drop_infinities(content), ensure_ascii=False) + "\n")
        self._stream.flush()

    def emit_warning(self, case: str, warning: MeasurementWarning) -> None:
        """Write a warning about a case, once."""
        if (case, warning.name) not in self._warned:
            self._warned.add((case, warning.name))
            self.emit("warning", case=case, **warning.model_dump(mode="json"))


@contextmanager
def report_errors(events: JsonEvents | None) -> Iterator[None]:
    """Write an event about a mistake that ends a command, too; the line on stderr and the exit status stay."""
    try:
        yield
    except UserError as error:
        if events:
            events.emit("error", message=str(error))
        raise


def describe_interval(interval: Interval | None) -> dict[str, float | None] | None:
    """Describe an estimate and its 95 % interval as fields."""
    if interval is None:
        return None
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _drop_infinities(value: object) -> object:
    match value:
        case dict():
            return {key: _drop_infinities(one) for key, one in value.items()}
        case list() | tuple():
            return [_drop_infinities(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value
