"""What a gate leaves in the folder of results, and what `bench show` prints of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.errors import UserError
from bench.gate import gate_report, stored_gate
from bench.gate.gate_page import build_gate_page
from bench.gate.judgement import Judgement
from bench.gate.stored_gate import StoredGate
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain


def keep(
    results: Path,
    folder: Path | None,
    started: datetime,
    about: Mapping[str, Any],
    comparison: gate_report.Comparison,
    judgements: Sequence[Judgement],
    stopped: str | None,
    say: Callable[[str], object],
) -> None:
    """Write the result of a gate, and say where it is, or why it could not be written: the verdict stands.

    Args:
        results: the folder of results.
        folder: of the launches; None to create one.
        started: when the gate began.
        about: the machine and its software.
        comparison: what was compared.
        judgements: the verdicts.
        stopped: why there are no further verdicts; None if all were reached.
        say: called with each line.
    """
    gate = StoredGate(
        started=started.isoformat(timespec="seconds"),
        about=dict(about),
        against=comparison.against,
        details=dict(comparison.details),
        margins=dict(comparison.margins),
        alpha=comparison.alpha,
        notes=tuple(comparison.notes),
        cases=tuple(judgements),
        stopped=stopped,
    )
    try:
        folder = folder or stored_gate.create_folder(results, started)
        stored_gate.write(folder, gate)
    except UserError as error:
        say(f"warning: {error}: the verdict stands")
        return
    if problem := write_or_explain(folder, build_gate_page(gate)):
        say(f"{problem}: the verdict stands")
    say(f"Results: {folder}")


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read a gate and build its page; there are no lines about records.

    Raises:
        UserError: its file cannot be used.
    """
    return build_gate_page(stored_gate.read(folder)), []


def show_gate(console: Console, folder: Path) -> int:
    """Print the verdicts of a gate again. The exit status is 0.

    Raises:
        UserError: its file cannot be used.
    """
    gate = stored_gate.read(folder)

    def print_line(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    print_line(f"Gate of {gate.started[:16].replace('T', ' ')} UTC: the working tree against {gate.against}")
    for judgement in gate.cases:
        for line in gate_report.format_lines(judgement, gate.margins):
            print_line(line)
    for note in gate.notes:
        print_line(note)
    if gate.stopped:
        print_line(f"It ended before all cases were judged: {gate.stopped}")
    return 0
