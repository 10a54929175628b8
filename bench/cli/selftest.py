"""`bench selftest`: the harness under test, in a table with a verdict each."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bench.cli import completers
from bench.cli.option_groups import CASE, WaitOption


def selftest(
    *,
    backend: Annotated[
        str | None,
        Parameter(
            group=CASE,
            metavar="NAME",
            completer=completers.backend_names,
            help="Backend whose workers are used; the first one by default.",
        ),
    ] = None,
    effort: WaitOption = WaitOption(),
) -> int:
    """Check the harness on this machine.

    It plants slow-downs and faults, and checks that they are shown, and that nothing is shown that is not there.
    """
    return check_harness(backend, effort.wait)


def check_harness(backend: str | None, wait: bool) -> int:
    """Print the table; the exit status is 0, or 1 where a check failed.

    Raises:
        UserError: no such backend, another measurement is under way, or a worker died.
    """
    from bench.measure.machine_lock import hold_lock
    from bench.plan.plan import find_usable_backends
    from bench.selftest.findings import run_checks

    console, progress = Console(), Console(stderr=True)
    (name, *_), _ = find_usable_backends([backend] if backend else [])

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False)

    table = Table("check", "measured", "required", "verdict", title=f"Self-test with {name}", title_justify="left")
    sound = True
    with hold_lock("bench selftest", wait, say):
        for finding in run_checks(name, say):
            say(f"{finding.name}: {finding.measured}")
            verdict = "[green]passed[/]" if finding.passed else "[bold red]FAILED[/]"
            table.add_row(finding.name, finding.measured, finding.required, verdict)
            sound = sound and finding.passed
    console.print(table)
    return 0 if sound else 1
