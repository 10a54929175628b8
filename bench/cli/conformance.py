"""`bench conformance`: check a backend against the contract, and print a line for each item."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from bench.cli import completers
from bench.cli.option_groups import OUTPUT, WaitOption
from bench.cli.option_values import Names, UserPath

if TYPE_CHECKING:
    from bench.conformance.items import Result

STYLES = {"passed": "green", "failed": "bold red", "left out": "yellow", "not checked": "yellow"}


def conformance(
    name: Annotated[
        str, Parameter(completer=completers.list_backends, help="Backend to check (see `bench list backends`).")
    ],
    /,
    *,
    item: Annotated[
        Names,
        Parameter(
            metavar="NAME",
            completer=completers.list_conformance_items,
            help="Check this item, and what it needs, in place of all; repeatable.",
        ),
    ] = (),
    json_file: Annotated[
        UserPath | None,
        Parameter(name="--json", group=OUTPUT, metavar="FILE", help="Also write the results as JSON."),
    ] = None,
    effort: WaitOption = WaitOption(),
) -> int:
    """Check that a backend keeps the contract.

    It checks the proof of sameness and that it finds planted faults, memory, output, files, clocks and randomness.
    """
    return check(name, item, json_file, effort.wait)


def check(name: str, items: tuple[str, ...], json_file: Path | None, wait: bool = False) -> int:
    """Print the results. The exit status is 0; 1 if an item failed.

    Raises:
        UserError: the backend or an item is unknown, the backend cannot run here, or another measurement is under way.
    """
    from bench.conformance.conformance_run import check_backend
    from bench.conformance.items import ITEMS
    from bench.measure.machine_lock import hold_lock
    from bench.records.store import check_writable, write_text

    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    if json_file:
        check_writable(json_file)
    results = []
    width = max(map(len, ITEMS))

    def say(line: str) -> None:
        progress.print(line, markup=False)

    try:
        with hold_lock("bench conformance", wait, say), contextlib.closing(check_backend(name, items, say)) as found:
            for result in found:
                results.append(result)
                console.print(_format(result, width), soft_wrap=True)
    except KeyboardInterrupt:
        if results:
            console.print()
            console.print(_describe_part(results), markup=False, soft_wrap=True)
        raise
    failed = [result for result in results if result.status in ("failed", "not checked")]
    console.print()
    console.print(_conclude(name, results, len(failed)), markup=False, soft_wrap=True)
    if json_file:
        described = {"backend": name, "passed": not failed, "items": [result._asdict() for result in results]}
        write_text(json_file, json.dumps(described, indent=1) + "\n")
    return 1 if failed else 0


def _format(result: Result, width: int) -> Text:
    shown = result.status.upper() if result.status == "failed" else result.status
    fix = f". To fix: {result.fix}" if result.fix else ""
    line = Text(f"{shown:<11}  ", style=STYLES[result.status])
    return line.append(Text(f"{result.name:<{width}}  {result.detail}{fix}", style="default"))


def _describe_part(results: list[Result]) -> str:
    """What is known of a check that was stopped."""
    counts = ", ".join(f"{number} {status}" for status, number in Counter(one.status for one in results).items())
    return f"Stopped after {len(results)} items: {counts}."


def _conclude(name: str, results: list[Result], failed: int) -> str:
    passed = sum(result.status == "passed" for result in results)
    left_out = len(results) - passed - failed
    if failed:
        return f"{name} does not conform: {failed} of {len(results)} items failed or were not checked."
    more = f", {left_out} left out" if left_out else ""
    unproven = any(result.detail.startswith("unproven") for result in results)
    caveat = " It is unproven that it trains the same as the reference." if unproven else ""
    return f"{name} conforms: {passed} items passed{more}.{caveat}"
