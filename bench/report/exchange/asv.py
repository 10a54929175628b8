"""A folder in asv's format: `asv publish`, `asv show` and `asv compare` read it as the `results_dir` of a project.

asv orders results by the commit that was measured: here the revision of the harness. For all of its measures a smaller
value is better, so times and memory are exported. Runs of several commits and machines may be exported into one folder;
a run of the same commit, machine and versions replaces the one before.
Format: asv's own reader and writer (`asv.results`, `asv.benchmarks`, `asv.machine`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.launches import CaseLaunches, group_by_task
from bench.analysis.statistics import ratio_interval
from bench.errors import UserError
from bench.machine.fingerprint import read_fingerprint
from bench.machine.machine_name import make_file_name
from bench.machine.stored_environment import FRAMEWORKS, read_about
from bench.records import store
from bench.report.exchange.case_figures import MEASURES, CaseFigure, list_figures
from bench.report.exporters import Report

#: The versions of asv's files.
RESULTS_VERSION = 2
BENCHMARKS_VERSION = 2
MACHINE_VERSION = 1
#: The columns of a result that are filled; asv accepts others to be absent.
COLUMNS = (
    *("result", "params", "version", "started_at"),
    *("stats_ci_99_a", "stats_ci_99_b", "stats_q_25", "stats_q_75", "stats_repeat", "samples"),
)
BENCHMARKS_FILE = "benchmarks.json"


def write_folder(report: Report, folder: Path) -> list[Path]:
    """Write the files into a folder, which may have those of other runs; return their paths.

    Raises:
        UserError: the run has no revision or no machine, a file cannot be written, or the folder has other files of
            these names.
    """
    about: Mapping[str, Any] = report.records[0].about
    git, fingerprint = read_about(about, "git"), read_fingerprint(about)
    if "revision" not in git or not fingerprint:
        raise UserError(
            "the format asv needs the git revision of the harness, which this run has not recorded: choose another one"
        )
    machine, versions = fingerprint["machine"], fingerprint["versions"]
    name = make_file_name(machine)
    environment = _name_environment(versions)
    cases = {_name_benchmark(case, figure): (case, figure) for case, figure in _list_all(report)}
    texts = {
        folder / name / f"{git['revision'][:8]}-{environment}.json": _format_results(
            cases, name, machine, environment, versions, git
        ),
        folder / name / "machine.json": _format_json({"version": MACHINE_VERSION, **_describe(name, machine)}),
        folder / BENCHMARKS_FILE: _format_benchmarks(cases, folder / BENCHMARKS_FILE),
    }
    store.make_folder(folder / name)
    for path, text in texts.items():
        store.write_text(path, text)
    return list(texts)


def _list_all(report: Report) -> Iterator[tuple[CaseLaunches, CaseFigure]]:
    for task in group_by_task(report.records):
        for case in task.cases:
            yield from ((case, figure) for figure in list_figures(case) if figure.smaller_is_better)


def _name_environment(versions: Mapping[str, Any]) -> str:
    python = ".".join(str(versions.get("Python") or "?").split(".")[:2])
    named = [f"py{python}", *(f"{name}{versions[name]}" for name in FRAMEWORKS if versions.get(name))]
    return re.sub(r"[^\w.+-]", "_", "-".join(named))


def _name_benchmark(case: CaseLaunches, figure: CaseFigure) -> str:
    """Name a benchmark as asv does, module.function; a file of its website has this name."""
    kind = "peakmem" if figure.unit == "bytes" else "time"
    return f"{re.sub(r'[^A-Za-z0-9_+-]', '_', case.first.case)}.{kind}_{figure.measure.replace('-', '_')}"


def _format_results(
    cases: Mapping[str, tuple[CaseLaunches, CaseFigure]],
    name: str,
    machine: Mapping[str, Any],
    environment: str,
    versions: Mapping[str, Any],
    git: Mapping[str, Any],
) -> str:
    requirements = {package: str(versions[package]) for package in FRAMEWORKS if versions.get(package)}
    python = ".".join(str(versions.get("Python") or "").split(".")[:2])
    content = {
        "commit_hash": git["revision"],
        "env_name": environment,
        "date": _to_milliseconds(str(git.get("time"))),
        "params": {**_describe(name, machine), "python": python, **requirements},
        "python": python,
        "requirements": requirements,
        "env_vars": {},
        "result_columns": list(COLUMNS),
        "results": {benchmark: _build_result(case, figure) for benchmark, (case, figure) in cases.items()},
        "durations": {},
        "version": RESULTS_VERSION,
    }
    return _format_json(content)


def _build_result(case: CaseLaunches, figure: CaseFigure) -> list[Any]:
    values = list(figure.by_launch.values())
    interval = ratio_interval([math.log(value) for value in values], confidence=0.99)
    quartiles = np.quantile(values, [0.25, 0.75]).tolist()
    row = {
        "result": [figure.value.estimate],
        "params": [],
        "version": _compute_version(case, figure),
        "started_at": _to_milliseconds(case.first.started),
        "stats_ci_99_a": [interval.low],
        "stats_ci_99_b": [interval.high],
        "stats_q_25": [quartiles[0]],
        "stats_q_75": [quartiles[1]],
        "stats_repeat": [len(values)],
        "samples": [values],
    }
    return [row[column] for column in COLUMNS]


def _compute_version(case: CaseLaunches, figure: CaseFigure) -> str:
    """Compute what differs where two results are not of one experiment; asv then does not compare them."""
    first = case.first
    parts = (first.case, first.task_hash, first.dataset_fingerprint, first.checkpoint_hash, figure.measure)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _format_benchmarks(cases: Mapping[str, tuple[CaseLaunches, CaseFigure]], path: Path) -> str:
    """Format the descriptions of all benchmarks: those that the file has already, and the run's."""
    known: dict[str, Any] = {}
    if path.exists():
        try:
            known = dict(json.loads(path.read_bytes()))
            if known.pop("version") != BENCHMARKS_VERSION:
                raise ValueError
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            raise UserError(f"{path} is no file of asv that this version can add to: choose another --output") from None
    own = {name: _describe_benchmark(name, case, figure) for name, (case, figure) in cases.items()}
    return _format_json({**known, **own, "version": BENCHMARKS_VERSION})


def _describe_benchmark(name: str, case: CaseLaunches, figure: CaseFigure) -> dict[str, Any]:
    return {
        "name": name,
        "pretty_name": f"{case.first.case}: {figure.measure}",
        "code": MEASURES[figure.measure].meaning,
        "type": "peakmemory" if figure.unit == "bytes" else "time",
        "unit": "bytes" if figure.unit == "bytes" else "seconds",
        "version": _compute_version(case, figure),
        "params": [],
        "param_names": [],
        "timeout": 0,
    }


def _describe(name: str, machine: Mapping[str, Any]) -> dict[str, str]:
    system, _, architecture = str(machine.get("system") or "").partition(" ")
    return {
        "machine": name,
        "os": system,
        "arch": architecture,
        "cpu": str(machine.get("CPU") or ""),
        "num_cpu": str(machine.get("usable cores") or ""),
        "ram": f"{machine.get('memory, GiB') or '?'} GiB",
    }


def _to_milliseconds(time: str) -> int | None:
    """Convert an ISO 8601 time to JavaScript's milliseconds; None where it is not one."""
    try:
        return int(1000 * datetime.fromisoformat(time).timestamp())
    except ValueError:
        return None


def _format_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"
