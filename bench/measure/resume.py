"""Resume: finish an interrupted run, if nothing that affects a figure has changed."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.cache.home import expand_user
from bench.errors import UserError
from bench.machine.variables import align_conditions
from bench.plan.plan import Plan, make_plan
from bench.plan.request import Request
from bench.plan.variants import is_tuned
from bench.records import store
from bench.records.record import Record

REQUEST_FILE = "request.json"
#: The folder of results that a command has without `--results`.
DEFAULT_RESULTS = Request.results
#: The paths of a request, beside that of the results.
PATHS = ("data_dir", "images", "checkpoint")
#: Conditions that may differ between two parts of a run: the time, how busy the machine was, the clock of its GPUs.
IGNORED_FIELDS = ("time", "system.load_average", "gpus.clock")
#: Environment variables, of which only those are compared that figures depend on.
VARIABLES_FIELD = "variables"
#: Versions, of which an earlier version of this project recorded fewer: what it did not record cannot have changed.
PACKAGES_PREFIX = "packages."
#: Conditions that have parts.
MAPPINGS = ("run", VARIABLES_FIELD)
#: How many differences an error message lists.
MAX_LISTED = 5


def format_command(command: str, run: Path) -> str:
    """Format the command line that resumes a run, so that it can be copied into a shell.

    Args:
        command: `run` or `sweep`.
        run: its folder.
    """
    results = [] if run.parent == Path(DEFAULT_RESULTS) else ["--results", str(run.parent)]
    return shlex.join(["bench", command, "--resume", run.name, *results])


def write_request(run: Path, request: Request) -> None:
    """Write the request into the run's folder. Paths of this machine are written as `~/...` if they are in the home."""
    fields = asdict(request) | {"results": ".."}
    if isinstance(request.suite, str) and request.suite.endswith(".toml"):
        fields["suite"] = _write_path(Path(request.suite))
    for name in PATHS:
        fields[name] = _write_path(fields[name]) if fields[name] else None
    store.write_text(run / REQUEST_FILE, json.dumps(fields, indent=1) + "\n")


def _write_path(path: Path) -> str:
    home = os.environ.get("HOME")
    absolute = path.absolute()
    in_home = home is not None and Path(home).is_absolute() and absolute.is_relative_to(home)
    return f"~/{absolute.relative_to(home).as_posix()}" if home and in_home else str(absolute)


def read_request(run: Path) -> Request:
    """Read the request of a run.

    Raises:
        UserError: the file is missing or not valid.
    """
    try:
        fields = json.loads((run / REQUEST_FILE).read_text(encoding="utf-8"))
        for name in PATHS:
            fields[name] = expand_user(Path(fields[name])) if fields.get(name) else None
        if isinstance(fields["suite"], str) and fields["suite"].endswith(".toml"):
            fields["suite"] = str(expand_user(Path(fields["suite"])))
        fields["results"] = run.parent  # where it was moved to
        # A dataclass takes values of any type.
        return TypeAdapter(Request).validate_python(asdict(Request(**fields)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        state = "is missing" if isinstance(error, FileNotFoundError) else "is not valid"
        raise UserError(f"run {run} cannot be used for this: its {REQUEST_FILE} {state}: start a new run") from None


def plan_remaining(run: Path, request: Request, about: Mapping[str, Any]) -> Plan:
    """Plan what is left of a run.

    A run that was killed before it wrote its conditions has measured nothing, and can be finished under any conditions.

    Args:
        run: its folder.
        request: the request that it was started with.
        about: the present conditions, as records contain them.

    Raises:
        UserError: conditions have changed; the message lists the differences.
    """
    records, _ = store.read_records(run)
    before: Mapping[str, Any] = records[0].about if records else read_start_conditions(run)
    chosen = replace(make_plan(keep_threads(request, before)), done=tuple(records))
    changed = find_differences(before, {**about, "run": before.get("run", {})}) if before else []
    refuse_changes(run, [*changed, *_find_changed_inputs(records, chosen)])
    return chosen


def keep_threads(request: Request, before: Mapping[str, Any]) -> Request:
    """The request with the number of threads that the run began with, if it was not requested: that may have changed.

    Args:
        request: of the run.
        before: the conditions under which it began.
    """
    return replace(request, threads=request.threads or before.get("run", {}).get("threads"))


def refuse_changes(run: Path, found: Sequence[str]) -> None:
    """Refuse to resume a run if there are differences.

    Raises:
        UserError: there are; the message lists the first few.
    """
    if found:
        more = f"; and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
        raise UserError(
            f"run {run.name} cannot be resumed, conditions have changed: {'; '.join(found[:MAX_LISTED])}{more}"
        )


def find_differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the conditions that have changed and affect a figure, as `packages.torch was 2.9.0 and is 2.9.1`."""
    found = []
    for key in dict.fromkeys((*before, *now)):
        path = f"{prefix}{key}"
        was, is_ = before.get(key), now.get(key)
        if path == VARIABLES_FIELD:
            was, is_ = align_conditions(was or {}, is_ or {})
        if re.sub(r"\.\d+", "", path) in IGNORED_FIELDS or was == is_:
            continue
        if prefix == PACKAGES_PREFIX and key not in before:
            continue
        if isinstance(was, list) and isinstance(is_, list) and any(isinstance(one, Mapping) for one in (*was, *is_)):
            was, is_ = (dict(enumerate(each)) for each in (was, is_))
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            found += find_differences(was, is_, f"{path}.")
        else:
            found.append(f"{path} was {was} and is {is_}")
    return found


def _find_changed_inputs(records: Sequence[Record], chosen: Plan) -> Iterator[str]:
    """List the differences between the plan and the tasks, images, weights and tuned variants of the records."""
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
        found = {backend: variant for backend, variant in chosen.cases(prepared) if is_tuned(variant)}
        tuned = [record for record in records if record.position == position and is_tuned(record.variant)]
        if other := next((record for record in tuned if record.variant != found.get(record.backend)), None):
            yield f"{other.case}: another tuned variant was found since"


def read_start_conditions(run: Path) -> Mapping[str, Any]:
    """Read the conditions under which a run without records was started, from its `environment.json`.

    They are empty where that file is missing or is none of ours.
    """
    try:
        content = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or not all(isinstance(content.get(name, {}), dict) for name in MAPPINGS):
        return {}
    return {name: value for name, value in content.items() if name != "frameworks"}
