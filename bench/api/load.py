"""`bench.load`: a stored run as `RunResults`."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path

from bench.api.run_results import RunResults
from bench.cache.home import expand_user
from bench.errors import UserError
from bench.records import result_kinds, store
from bench.report.run_report import read_report


def load(
    run: str | PathLike[str] | None = None,
    *,
    results: str | PathLike[str] = "results",
    relative_to: str | None = None,
) -> RunResults:
    """Load a run from its records. Nothing is measured or written.

    A record that cannot be read (cut off, edited, of a newer version) is left out with a Python warning, and listed in
    `problems`.

    Args:
        run: its name or folder; the newest run by default.
        results: the folder of runs in which names are looked up.
        relative_to: backend or case that ratios are relative to, as `keras` or `keras/tuned`; the run's own by default.

    Raises:
        UserError: there is no such run, none of its records can be read, or `relative_to` is unknown; one line says
            what to do.
    """
    name = run if run is None else expand_user(Path(run))
    found = _find_run(expand_user(Path(results)), name)
    report, problems = read_report(found, relative_to)
    for problem in problems:
        warnings.warn(f"{found.name}: {problem}", stacklevel=2)
    return RunResults(found, tuple(report.records), tuple(report.tables), tuple(problems), report.relative_to)


def _find_run(results: Path, name: Path | None) -> Path:
    """Find a run.

    Raises:
        UserError: there is none, or it is the result of another command.
    """
    for folder in (name, results / name) if name else ():
        kind = result_kinds.find_kind(folder)
        if kind is not None and not (folder / store.RECORDS).is_dir():
            raise UserError(f"{name} is the result of bench {kind}, and not a run: see it with bench show {folder}")
    return store.find_run(results, name)
