"""What to do after a run: the commands that show more of it, and the one that looks for faster settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.plan.request import Request
from bench.plan.variants import is_tuned
from bench.records.record import Record

#: The options of `bench run` that `bench tune` has, too.
TASK_OPTIONS = (
    "--suite",
    "--task",
    "--backbone",
    "--weights",
    "--trainable",
    "--batch-size",
    "--epochs",
    "--image-size",
    "--resize",
    "--crop",
    "--mean",
    "--std",
    "--learning-rate",
    "--update-rule",
    "--momentum",
    "--nesterov",
    "--beta1",
    "--beta2",
    "--epsilon",
    "--weight-decay",
    "--clip-norm",
    "--accumulate",
    "--label-smoothing",
    "--schedule",
    "--warm-up",
    "--schedule-steps",
    "--flip",
    "--crop-scale",
    "--jitter",
    "--train-limit",
    "--seed",
    "--backend",
    "--device",
    "--threads",
    "--data-dir",
    "--images",
    "--checkpoint",
)
#: The files that a run's folder may have for reading, the best first.
FILES = ("report.html", "tables.md")


def list_next_steps(run: Path, records: Sequence[Record], full: bool) -> dict[str, str]:
    """List commands and files, each with a heading.

    Args:
        run: the run's folder.
        records: of the run.
        full: whether all tables have been printed.
    """
    steps = {}
    if command := _format_tune(records):
        steps["Faster settings"] = command
    if not full:
        steps["All tables"] = format_show(run, "--full")
    if file := next((run / name for name in FILES if (run / name).is_file()), None):
        steps["Report"] = str(file)
    return steps


def format_show(run: Path, *options: str) -> str:
    """Format the command that shows a run, so that it can be copied into a shell."""
    results = [] if run.parent == Request.results else ["--results", str(run.parent)]
    return shlex.join(["bench", "show", *options, *results, run.name])


def _format_tune(records: Sequence[Record]) -> str | None:
    """Format the command that tunes what a run has measured.

    None if nothing was measured, if the run has tuned variants, or if its command is unknown or names a path that
    records do not have in full.
    """
    about = records[0].about.get("run") if records else None
    command = about.get("command") if isinstance(about, dict) else None
    measured = any(record.failure is None for record in records)
    if not command or not measured or any(is_tuned(record.variant) for record in records):
        return None
    options = _choose_options(shlex.split(str(command)), TASK_OPTIONS)
    return None if any("…" in option for option in options) else shlex.join(["bench", "tune", *options])


def _choose_options(arguments: Sequence[str], names: Iterable[str]) -> list[str]:
    """Choose the options with these names, with their values, in the form in which they were given."""
    known = dict.fromkeys(names)
    chosen: list[str] = []
    takes_value = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if (takes_value and not argument.startswith("--")) or name in known:
            chosen.append(argument)
        takes_value = name in known and not equals
    return chosen
