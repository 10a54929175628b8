"""The choice of a view: live on a terminal, lines elsewhere, events for a program, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from bench.plan.plan import Plan
from bench.records.round_kinds import KINDS
from bench.report.live.json_events import JsonEvents
from bench.report.live.json_view import JsonView
from bench.report.live.line_view import LineView
from bench.report.live.run_view import RunView
from bench.report.live.terminal_block import is_interactive
from bench.report.live.terminal_view import TerminalView


def open_view(console: Console, plan: Plan, kinds: Sequence[str] = KINDS, events: JsonEvents | None = None) -> RunView:
    """Open the view of a plan's measurement, a context manager.

    Args:
        console: shows it, unless it is quiet.
        plan: is measured.
        kinds: of rounds that each case has.
        events: gets it in place of the console.
    """
    if events:
        return JsonView(events, plan, kinds)
    if console.quiet:
        return RunView(plan, kinds)
    if is_interactive(console):
        return TerminalView(console, plan, kinds)
    return LineView(console, plan, kinds)
