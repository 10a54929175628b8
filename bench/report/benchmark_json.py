"""`benchmark.json`: one file in pytest-benchmark's own format, for the tools that read it.

Every launch ran pytest-benchmark in its own worker. The launches of a case become one entry: their rounds in
one list, and pytest-benchmark's own statistics over it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest_benchmark

from bench.records.benchmark_entries import joined
from bench.records.record import Record
from bench.report import Report

FILE = "benchmark.json"


def export(report: Report) -> str:
    """The file's text. A launch that failed is left out, as it is from the tables."""
    finished = [record for record in report.records if record.failure is None]
    started = min((record.started for record in report.records), default="")
    content = {
        "machine_info": _machine(report.environment),
        "commit_info": _commit(report.environment),
        "benchmarks": merged(finished),
        "datetime": report.environment.get("time") or started,
        "version": pytest_benchmark.__version__,
    }
    return json.dumps(content, indent=1) + "\n"


def merged(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One entry per case and benchmark, in the order of their first record.

    `fullname` ends in the case's id in brackets if the worker did not put it there: that makes it unique in
    the file, and the same whatever else was measured. `extra_info` keeps what all launches agree on, and
    lists by launch what they do not.
    """
    groups: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for record in sorted(records, key=lambda record: record.launch):
        for entry in record.benchmarks:
            groups.setdefault((record.case, str(entry["fullname"])), []).append((record.launch, entry))
    order = list(dict.fromkeys(record.case for record in records))
    keys = sorted(groups, key=lambda key: order.index(key[0]))
    return [_entry(case, groups[case, name]) for case, name in keys]


def _entry(case: str, launches: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    whole = joined([entry for _, entry in launches])
    extra = {
        "launches": [launch for launch, _ in launches],
        "rounds_by_launch": [len(entry["stats"]["data"]) for _, entry in launches],
    }
    return {
        **whole,
        "name": _with_case(whole["name"], case),
        "fullname": _with_case(whole["fullname"], case),
        "extra_info": _agreed([entry.get("extra_info") or {} for _, entry in launches]) | extra,
    }


def _with_case(name: str, case: str) -> str:
    return name if case in name else f"{name}[{case}]"


def _agreed(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = dict.fromkeys(key for info in infos for key in info)
    values = {key: [info.get(key) for info in infos] for key in keys}
    return {key: each[0] if all(value == each[0] for value in each) else each for key, each in values.items()}


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that pytest-benchmark writes, but for the host's name."""
    system, python, cpu = (environment.get(key) or {} for key in ("system", "python", "cpu"))
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


def _commit(environment: Mapping[str, Any]) -> dict[str, Any]:
    git = environment.get("git") or {}
    return {
        "id": git.get("revision", "unversioned"),
        "time": git.get("time"),
        "author_time": git.get("time"),
        "dirty": git.get("dirty", False),
        "project": "head-to-head",
        "branch": "(unknown)",
    }
