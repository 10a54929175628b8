"""The bars of host memory by phase."""

from __future__ import annotations

import statistics

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.records.record import Phase
from bench.records.units import MB
from bench.report.figures.figure import Bar, BarGroup, GroupedBars


def build_memory_bars(task: TaskLaunches) -> GroupedBars:
    """Build the bars: a group per phase, a bar per case, medians over launches."""
    names = list(dict.fromkeys(phase.name for case in task.cases for phase in _list_phases(case)))
    groups = []
    for name in names:
        bars = tuple(bar for case in task.cases if (bar := _build_bar(case, name)))
        if bars:
            groups.append(BarGroup(name, bars))
    return GroupedBars(
        title="Host memory by phase",
        how_to_read=(
            "A bar is the highest memory within a phase, with the processes of the input pipeline; the tick is the "
            "memory of the worker at the phase's end. Medians over launches; shorter is better. What the import takes "
            "is the price of the framework, what comes on top is that of the training."
        ),
        x_title="MB (2^20 bytes)",
        groups=tuple(groups),
    )


def _list_phases(case: CaseLaunches) -> list[Phase]:
    return [phase for record in case.finished if record.memory for phase in record.memory.host]


def _build_bar(case: CaseLaunches, name: str) -> Bar | None:
    phases = [phase for phase in _list_phases(case) if phase.name == name]
    peaks = [(phase.peak + phase.children) / MB for phase in phases if phase.peak is not None]
    lives = [phase.live / MB for phase in phases if phase.live is not None]
    if not peaks:
        return None
    peak = statistics.median(peaks)
    return Bar(case.label, peak, f"{peak:,.0f}", statistics.median(lives) if lives else None)
