"""Resume: go on with a run that was cut off, if nothing has changed that decides a figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.plan.request import Plan, Request, plan
from bench.records import store
from bench.records.record import Record

FILE = "request.json"
#: What may differ between two parts of a run: when it was, how busy the machine was, and what was typed.
PASSING = ("time", "system.load_average", "gpus.clock")
#: Differences that are told.
MOST = 5


def keep(run: Path, request: Request) -> None:
    """Write down in the run's folder what was asked for. The file has paths of this machine."""
    told = asdict(request) | {"results": str(request.results.absolute())}
    for name in ("data_dir", "checkpoint"):
        told[name] = str(told[name].absolute()) if told[name] else None
    store.write_text(run / FILE, json.dumps(told, indent=1) + "\n")


def asked(run: Path) -> Request:
    """What a run was asked for.

    Raises:
        UserError: it does not say.
    """
    try:
        told = json.loads((run / FILE).read_text())
        for name in ("data_dir", "checkpoint", "results"):
            told[name] = Path(told[name]) if told[name] else None
        return Request(**told)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = f"{type(error).__name__} in {FILE}"
        raise UserError(f"run {run} cannot be resumed ({reason}): begin a new one") from None


def resumed(run: Path, request: Request, about: Mapping[str, Any]) -> Plan:
    """The plan for what is left of a run. One that was killed before it wrote down its conditions has measured nothing,
    and can be finished under any.

    Args:
        run: its folder.
        request: what it was asked for.
        about: the conditions now, as records carry them.

    Raises:
        UserError: conditions have changed, each difference named.
    """
    records, _ = store.read(run)
    chosen = replace(plan(request), done=tuple(records))
    before: Mapping[str, Any] = records[0].about if records else begun_under(run)
    changed = differences(before, {**about, "run": before.get("run", {})}) if before else []
    refuse(run, [*changed, *_other_experiments(records, chosen)])
    return chosen


def refuse(run: Path, found: Sequence[str]) -> None:
    """Refuse to go on with a run, if there are differences.

    Raises:
        UserError: there are; the first few are named.
    """
    if found:
        more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
        raise UserError(f"run {run.name} cannot be resumed, conditions have changed: {'; '.join(found[:MOST])}{more}")


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What decides a figure and has changed, one line each: `packages.torch was 2.9.0 and is 2.9.1`."""
    found = []
    for key in dict.fromkeys((*before, *now)):
        path = f"{prefix}{key}"
        was, is_ = before.get(key), now.get(key)
        if re.sub(r"\.\d+", "", path) in PASSING or was == is_:
            continue
        if isinstance(was, list) and isinstance(is_, list) and any(isinstance(one, Mapping) for one in (*was, *is_)):
            was, is_ = (dict(enumerate(each)) for each in (was, is_))
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            found += differences(was, is_, f"{path}.")
        else:
            found.append(f"{path} was {was} and is {is_}")
    return found


def _other_experiments(records: Sequence[Record], chosen: Plan) -> Iterator[str]:
    """Records of tasks, images or weights that the plan does not have any more."""
    for position, prepared in enumerate(chosen.tasks):
        now = {
            "task_hash": prepared.task.hash,
            "dataset_fingerprint": prepared.dataset.fingerprint,
            "checkpoint_hash": prepared.checkpoint.sha256,
        }
        record = next((record for record in records if record.position == position), None)
        for name, value in now.items():
            if record and getattr(record, name) != value:
                yield f"{record.task.name}: {name} was {getattr(record, name)} and is {value}"
        found = {backend: variant for backend, variant in chosen.cases(prepared) if variant.name == "tuned"}
        tuned = [record for record in records if record.position == position and record.variant.name == "tuned"]
        if other := next((record for record in tuned if record.variant != found.get(record.backend)), None):
            yield f"{other.case}: what is tuned was found anew since"


def begun_under(run: Path) -> Mapping[str, Any]:
    """What a run without records was begun under: `environment.json`, less what no record says yet."""
    try:
        told = json.loads((run / "environment.json").read_text())
        return {name: value for name, value in told.items() if name != "frameworks"}
    except (OSError, ValueError):
        return {}
