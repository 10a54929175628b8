"""Exports networks, has each backend build them, and keeps what was found, network by network."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import backends
from backends.exported.network_graph import InvalidGraph, read_graph
from bench.coverage.coverage_record import CoverageRecord, Evaluation, get_file, keep_record, read_records
from bench.errors import UserError, make_unknown_error
from bench.networks.processes import (
    EvaluationProcess,
    RunningPython,
    list_timm_names,
    make_unknown_network_error,
)
from bench.weights.exported_files import GRAPH

#: How the networks of timm are called in tasks and on the command line; the prefix may be left out here.
PREFIX = "timm/"


def choose_names(names: Sequence[str], sample: int | None, seed: int, most_parameters: int) -> list[str]:
    """The networks that were named, or a sample.

    Args:
        most_parameters: of a network in the sample.

    Raises:
        UserError: a name that timm does not have, a sample of none, or neither names nor a sample.
    """
    if not names and sample is None:
        raise UserError("no networks: name some, as resnet18, or draw a sample with --sample 20")
    if sample is not None:
        if names:
            raise UserError("networks and --sample: use one of them")
        found = list_timm_names("--sample", str(sample), "--seed", str(seed), "--most-parameters", str(most_parameters))
        if len(found) < sample:
            message = f"--sample {sample}: timm has {len(found)} networks with at most {most_parameters:,} parameters"
            if not found:
                raise UserError(message)
            print(f"bench: {message}", file=sys.stderr)
        return found
    known = list_timm_names()
    chosen = [name.removeprefix(PREFIX) for name in names]
    for name in chosen:
        if name not in known:
            raise make_unknown_network_error(name, known)
    return list(dict.fromkeys(chosen))


def choose_backends(names: Sequence[str]) -> tuple[str, ...]:
    """The backends that build exported networks: all that are installed, or those that were named.

    Raises:
        UserError: a backend is unknown, lacks packages, or runs timm's own network.
    """
    able = {name: entry for name, entry in backends.REGISTRY.items() if entry.exported_networks}
    for name in names:
        if name not in backends.REGISTRY:
            raise make_unknown_error("backend", name, backends.REGISTRY)
        if name not in able:
            raise UserError(f"backend {name} builds no exported networks: use one of {', '.join(able)}")
        if missing := backends.find_missing_packages(name):
            raise UserError(f"backend {name} lacks {', '.join(missing)}: pip install head-to-head[{name}]")
    chosen = tuple(names) or tuple(name for name in able if not backends.find_missing_packages(name))
    if not chosen:
        raise UserError(f"no backend that builds networks is installed: install one of {', '.join(able)}")
    return chosen


def cover(
    names: Sequence[str], engines: Sequence[str], again: bool, say: Callable[[CoverageRecord, bool], None]
) -> None:
    """Export and build the networks; those that were kept by an earlier call are not built again.

    Args:
        engines: the backends.
        again: whether all are built again.
        say: called with each record, in the order of the names, and whether it was kept.
    """
    file = get_file()
    kept = read_records(file)
    done = {} if again else {name: kept[name] for name in names if name in kept and _is_whole(kept[name], engines)}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="head-to-head-networks-")))
        processes = {name: EvaluationProcess(name) for name in engines}
        for process in processes.values():
            stack.callback(process.stop)
        exports = _export_ahead([name for name in names if name not in done], folder, stack)
        for name in names:
            if name in done:
                say(done[name], True)
                continue
            earlier = kept[name].evaluations if name in kept else {}
            record = _evaluate(name, folder / name, next(exports), processes, earlier)
            keep_record(file, record)
            say(record, False)


def _is_whole(record: CoverageRecord, engines: Sequence[str]) -> bool:
    if record.error:
        return not record.transient
    return all(name in record.evaluations and not record.evaluations[name].transient for name in engines)


def _export_ahead(names: Sequence[str], folder: Path, stack: contextlib.ExitStack) -> Iterator[dict[str, Any]]:
    """Export one network while the one before is built."""
    pool, running = ThreadPoolExecutor(max_workers=1), RunningPython()
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    stack.callback(running.kill)

    def start(number: int) -> Future[dict[str, Any]] | None:
        if number == len(names):
            return None
        return pool.submit(_export, names[number], folder / names[number], running)

    following = start(0)
    for number in range(len(names)):
        assert following
        answer, following = following.result(), start(number + 1)
        yield answer


def _export(name: str, folder: Path, running: RunningPython) -> dict[str, Any]:
    began = time.perf_counter()
    answer = running.run("bench.networks.export", (name, "--out", str(folder), "--evidence"))
    return {**answer, "seconds": time.perf_counter() - began}


def _evaluate(
    name: str,
    folder: Path,
    exported: dict[str, Any],
    processes: dict[str, EvaluationProcess],
    earlier: Mapping[str, Evaluation],
) -> CoverageRecord:
    known = {key: exported[key] for key in ("family", "parameters", "rounding") if key in exported}
    record = CoverageRecord(name=name, export_seconds=exported["seconds"], **known)
    try:
        if "error" in exported:
            return record.model_copy(update={key: exported[key] for key in ("error", "transient") if key in exported})
        kinds = read_graph(json.loads((folder / GRAPH).read_text())).list_kinds()
        found = {engine: Evaluation(**process.compare(folder)) for engine, process in processes.items()}
    except InvalidGraph as error:
        return record.model_copy(update={"error": str(error)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return record.model_copy(update={"kinds": kinds, "evaluations": {**earlier, **found}})
