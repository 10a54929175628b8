"""`bench selftest`: the harness under test, in a table with a verdict each."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.measure.machine_lock import alone
from bench.plan.request import usable_backends
from bench.selftest.findings import check


def selftest(backend: str | None, wait: bool) -> int:
    """Print the table; the exit status is 0, or 1 where a check failed.

    Raises:
        UserError: no such backend, another measurement is under way, or a worker died.
    """
    console, progress = Console(), Console(stderr=True)
    (name, *_), _ = usable_backends([backend] if backend else [])

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False)

    table = Table("check", "measured", "wanted", "verdict", title=f"Self-test with {name}", title_justify="left")
    sound = True
    with alone("bench selftest", wait, say):
        for finding in check(name, say):
            say(f"{finding.name}: {finding.measured}")
            verdict = "[green]passed[/]" if finding.passed else "[bold red]FAILED[/]"
            table.add_row(finding.name, finding.measured, finding.wanted, verdict)
            sound = sound and finding.passed
    console.print(table)
    return 0 if sound else 1
