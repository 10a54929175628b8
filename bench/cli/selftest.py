"""`bench selftest`: check the harness on this machine, and print a table with a verdict for each check."""

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
            completer=completers.list_backends,
            help="Backend to check with; the first that is installed by default.",
        ),
    ] = None,
    effort: WaitOption = WaitOption(),
) -> int:
    """Check that the harness measures correctly on this machine.

    It plants delays and memory and checks that they are found, and that two equal cases show no difference.
    """
    return check_harness(backend, effort.wait)


def check_harness(backend: str | None, wait: bool) -> int:
    """Print the table. The exit status is 0; 1 if a check failed.

    Raises:
        UserError: the backend is unknown, another measurement is running, or a worker died.
    """
    from bench.measure.machine_lock import hold_lock
    from bench.plan.plan import find_usable_backends
    from bench.selftest.findings import run_checks

    console, progress = Console(), Console(stderr=True)
    (name, *_), _ = find_usable_backends([backend] if backend else [])

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False)

    table = Table("check", "measured", "required", "verdict", title=f"Self-test with {name}", title_justify="left")
    all_passed = True
    try:
        with hold_lock("bench selftest", wait, say):
            for finding in run_checks(name, say):
                say(f"{finding.name}: {finding.measured}")
                verdict = "[green]passed[/]" if finding.passed else "[bold red]FAILED[/]"
                table.add_row(finding.name, finding.measured, finding.required, verdict)
                all_passed = all_passed and finding.passed
    finally:  # the checks that were made are shown, whatever ended the others
        if table.rows:
            console.print(table)
    return 0 if all_passed else 1
