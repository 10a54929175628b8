"""How a gate's progress is shown: as lines on stderr, not at all, or as JSON events on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from bench.gate import gate_report
from bench.gate.judgement import Judgement
from bench.report.live.json_events import JsonEvents

#: The interval of so many launches says nothing, see docs/statistics.md.
MOST_WITHOUT_INTERVAL = 2


@dataclass(frozen=True)
class GateProgress:
    """The progress of a gate.

    Attributes:
        quiet: whether only verdicts and problems are printed.
        events: gets everything, too; None without `--json -`.
    """

    quiet: bool = False
    events: JsonEvents | None = None

    @property
    def verdicts(self) -> Console:
        """Where verdicts are printed: stdout, unless events are there."""
        return Console(stderr=self.events is not None)

    def say(self, line: str) -> None:
        """Print a line of progress."""
        if not self.quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print a line about a problem, or where something is."""
        Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)

    def start_case(self, name: str, head: str, base: str) -> None:
        """A case is measured in both versions."""
        self.say(f"{name}: {head} against {base}")
        self._emit("case-started", case=name, head=head, base=base)

    def note_pair(self, judgement: Judgement) -> None:
        """A launch pair of a case is measured, and judged with those before it."""
        self._emit("pair-finished", **describe_judgement(judgement))

    def note_verdict(self, judgement: Judgement) -> None:
        """There is a verdict on a case."""
        self._emit("verdict", **describe_judgement(judgement))

    def finish(self, comparison: gate_report.Comparison, judgements: Sequence[Judgement], stopped: str | None) -> None:
        """The gate is over."""
        report = json.loads(gate_report.format_json(comparison, judgements))
        self._emit("finished", stopped=stopped, report=report)

    def _emit(self, event: str, **fields: Any) -> None:
        if self.events:
            self.events.emit(event, **fields)


def describe_judgement(judgement: Judgement) -> dict[str, Any]:
    """Describe the state of a case as fields."""
    return {
        "case": judgement.case,
        "verdict": judgement.verdict.value,
        "launches": judgement.launches,
        "paired": judgement.paired,
        "failures": list(judgement.failures),
        "metrics": {
            name: {
                "verdict": one.verdict.value,
                "change": one.change,
                "interval": [one.low, one.high] if one.launches > MOST_WITHOUT_INTERVAL else None,
            }
            for name, one in judgement.decisions.items()
        },
    }
