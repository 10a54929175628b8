"""`benchmark.json`: a file in pytest-benchmark's format, for the tools that read it.

Every launch runs pytest-benchmark in its own worker. The launches of a case become one entry, with all rounds in one
list and pytest-benchmark's statistics of them. A round's time is in seconds per training step: the number of steps in a
round is chosen in each launch so that the round lasts about as long as any other, so whole rounds of two launches, or
of two runs, would have nearly the same time whatever the speed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pytest_benchmark

from bench.machine.stored_environment import read_about
from bench.records.benchmark_entries import divide_by_steps, replace_rounds
from bench.records.record import Record
from bench.report.exporters import Report

FILE = "benchmark.json"
UNIT = "seconds per training step"


def export(report: Report) -> str:
    """Format the report as pytest-benchmark's JSON; failed launches are left out, as they are from the tables."""
    finished = [record for record in report.records if record.failure is None]
    started = min((record.started for record in report.records), default="")
    content = {
        "machine_info": _build_machine_info(report.environment),
        "commit_info": _build_commit_info(report.environment),
        "benchmarks": merge_records(finished),
        "datetime": report.environment.get("time") or started,
        "version": pytest_benchmark.__version__,
    }
    return json.dumps(content, indent=1) + "\n"


def merge_records(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Merge records into one entry per case and benchmark, in the order of the cases' first records.

    `fullname` ends with the case's id in brackets, which the worker or this function adds: so it is unique in the file
    and independent of what else was measured. `extra_info` has a single value where all launches agree, and else a
    list with one value per launch. `iterations` is the number of steps in a round, and its mean where launches differ.

    Every launch counts the same, as in the tables: of launches with more rounds than another, the last ones are left
    out, and `rounds_by_launch` has the number of those that count.
    """
    groups: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for record in sorted(records, key=lambda record: record.launch):
        for entry in record.benchmarks:
            groups.setdefault((record.case, str(entry["fullname"])), []).append((record.launch, entry))
    order = list(dict.fromkeys(record.case for record in records))
    keys = sorted(groups, key=lambda key: order.index(key[0]))
    return [_merge_launches(case, groups[case, name]) for case, name in keys]


def _merge_launches(case: str, launches: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    entries = [entry for _, entry in launches]
    first = entries[0]
    by_launch = [divide_by_steps(entry) for entry in entries]
    rounds = min(map(len, by_launch))
    steps = round(statistics.mean(entry["extra_info"]["steps_per_round"] for entry in entries))
    extra = {
        "unit": UNIT,
        "launches": [launch for launch, _ in launches],
        "rounds_by_launch": [rounds] * len(launches),
    }
    return {
        **replace_rounds(first, (seconds for launch in by_launch for seconds in launch[:rounds]), steps),
        "name": _append_case(first["name"], case),
        "fullname": _append_case(first["fullname"], case),
        "extra_info": _merge_extra_info([entry["extra_info"] for entry in entries]) | extra,
    }


def _append_case(name: str, case: str) -> str:
    return name if case in name else f"{name}[{case}]"


def _merge_extra_info(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = dict.fromkeys(key for info in infos for key in info)
    values = {key: [info.get(key) for info in infos] for key in keys}
    return {key: each[0] if all(value == each[0] for value in each) else each for key, each in values.items()}


def _build_machine_info(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Build what pytest-benchmark calls `machine_info`, without the host's name."""
    system, python, cpu = (read_about(environment, key) for key in ("system", "python", "cpu"))
    return {
        "node": "",
        "processor": "",
        "machine": system.get("machine", ""),
        "python_compiler": python.get("compiler", ""),
        "python_implementation": python.get("implementation", ""),
        "python_implementation_version": python.get("version", ""),
        "python_version": python.get("version", ""),
        "python_build": python.get("build", []),
        "release": system.get("kernel", ""),
        "system": system.get("name", ""),
        "cpu": {
            "arch_string_raw": system.get("machine", ""),
            "brand_raw": cpu.get("model", ""),
            "count": cpu.get("cores_logical"),
            "flags": cpu.get("flags", []),
        },
    }


def _build_commit_info(environment: Mapping[str, Any]) -> dict[str, Any]:
    git = read_about(environment, "git")
    return {
        "id": git.get("revision", "unversioned"),
        "time": git.get("time"),
        "author_time": git.get("time"),
        "dirty": git.get("dirty", False),
        "project": "head-to-head",
        "branch": "(unknown)",
    }
