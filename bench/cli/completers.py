"""The completers: each lists the values that the shell offers for an option.

They run at every TAB, so they import only what starts fast. The names in capitals repeat tables of modules that import
pydantic; tests/bench/cli/test_completion.py compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backends
from backends.backbones import BACKBONES
from backends.exported.exported_backbone import TIMM, WEIGHTS, is_exported
from backends.knob_table import KNOBS
from bench.cache.home import expand_user

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

SUITES = Path(__file__).parents[1] / "plan" / "suites"
#: As `bench.plan.variants.NAMED`.
VARIANTS = ("default", "matched", "tuned")
#: As the field `trainable` of `backends.task.Task`.
TRAINABLE_PARTS = ("head", "last-stage", "all")
#: As its fields `update_rule` and `schedule`.
UPDATE_RULES = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "step")
#: As `ALLOWABLE_DIFFERENCES` and `FOLDER` of `bench.records.baseline`.
ALLOWABLE_DIFFERENCES = ("machine", "versions", "variables", "threads", "precision")
BASELINES_FOLDER = "baselines"


def list_tasks(_: CompletionContext) -> Iterable[str]:
    """List the tasks."""
    from bench.plan.task_table import TASKS

    return tuple(TASKS)


def list_suites(context: CompletionContext) -> Iterator[str]:
    """List the suites of the project, and TOML files."""
    yield from sorted(path.stem for path in SUITES.glob("*.toml"))
    typed = Path(context.incomplete)
    folder = typed if context.incomplete.endswith("/") else typed.parent
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".toml":
            yield str(path)


def list_backends(_: CompletionContext) -> Iterable[str]:
    """List the backends."""
    return tuple(backends.REGISTRY)


def list_conformance_items(_: CompletionContext) -> Iterable[str]:
    """List the items of `bench conformance`."""
    from bench.conformance.items import ITEMS

    return tuple(ITEMS)


def list_cases(context: CompletionContext) -> Iterator[str]:
    """List cases: `backend` and `backend/variant`."""
    for backend in backends.REGISTRY:
        yield backend
        yield from (f"{backend}/{variant}" for variant in list_variants(context))


def list_backbones(_: CompletionContext) -> Iterable[str]:
    """List the backbones, and what the names of timm's networks begin with."""
    return (*BACKBONES, TIMM)


def list_weights(context: CompletionContext) -> Iterable[str]:
    """List the checkpoints of the backbone on the line, or of all."""
    typed = _get_typed_values(context, "--backbone")
    if any(map(is_exported, typed)):
        return (*WEIGHTS, "random")
    networks = [BACKBONES[name] for name in typed if name in BACKBONES] or list(BACKBONES.values())
    return tuple(dict.fromkeys([*(name for network in networks for name in network.weights), "random"]))


def list_trainable_parts(_: CompletionContext) -> Iterable[str]:
    """List the parts of a network that can be trained."""
    return TRAINABLE_PARTS


def list_update_rules(_: CompletionContext) -> Iterable[str]:
    """List the update rules."""
    return UPDATE_RULES


def list_schedules(_: CompletionContext) -> Iterable[str]:
    """List the schedules of a learning rate."""
    return SCHEDULES


def list_variants(_: CompletionContext) -> Iterable[str]:
    """List the named variants."""
    return VARIANTS


def list_devices(_: CompletionContext) -> Iterator[str]:
    """List the CPU, and the GPUs that have a device file."""
    yield "cpu"
    found = sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    yield from (["cuda", *(f"cuda:{index}" for index in found)] if found else [])


def list_knobs(context: CompletionContext) -> Iterator[str]:
    """List `knob=`, and after it the values that the backends on the line have."""
    knob, equals, _ = context.incomplete.partition("=")
    if not equals:
        yield from (f"{name}=" for name in (*KNOBS, "threads"))
        return
    selected = _get_typed_values(context, "--backend") or tuple(backends.REGISTRY)
    for backend, values in KNOBS[knob].values.items() if knob in KNOBS else ():
        if backend in selected:
            yield from (f"{knob}={value}" for value in values)


def list_tests(context: CompletionContext) -> Iterator[str]:
    """List the folders and test files of pytest, and after a file and `::` the test functions in it."""
    file, colons, _ = context.incomplete.partition("::")
    if colons:
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        yield from (f"{file}::{name}" for name in re.findall(r"^def (test\w*)", text, re.M))
        return
    typed = expand_user(Path(file))
    folder = typed if file.endswith("/") else typed.parent
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.name.startswith((".", "__")):
            yield f"{path}/"
        elif path.suffix == ".py" and (path.name.startswith("test_") or path.stem.endswith("_test")):
            yield f"{path}::"


def list_runs(context: CompletionContext) -> Iterator[str]:
    """List the runs and sweeps in the folder of results, newest first."""
    results = _get_results_folder(context)
    found = (path for path in results.iterdir() if path.name[:1].isdigit()) if results.is_dir() else ()
    yield from sorted((path.name for path in found if path.is_dir()), reverse=True)


def list_baselines(context: CompletionContext) -> Iterator[str]:
    """List the baselines in the folder of results."""
    yield from sorted(path.stem for path in (_get_results_folder(context) / BASELINES_FOLDER).glob("*.json"))


def list_metrics(_: CompletionContext) -> Iterable[str]:
    """List the metrics of a gate and a trend."""
    from bench.analysis.metrics import METRICS

    return tuple(METRICS)


def list_margins(context: CompletionContext) -> Iterator[str]:
    """List `metric=`, for the margin of one metric."""
    yield from (f"{name}=" for name in list_metrics(context))


def list_allowable_differences(_: CompletionContext) -> Iterable[str]:
    """List the kinds of differences from a baseline that can be accepted."""
    return ALLOWABLE_DIFFERENCES


def list_formats(_: CompletionContext) -> Iterable[str]:
    """List the formats of an export."""
    from bench.report.export_formats import FORMATS

    return tuple(FORMATS)


def list_fields(_: CompletionContext) -> Iterator[str]:
    """List `field=` of each field of a task."""
    from bench.sweep.swept_fields import FIELDS

    yield from (f"{name}=" for name in FIELDS)


def _get_typed_values(context: CompletionContext, option: str) -> tuple[str, ...]:
    option_values: Any = context.get(option)
    return option_values.raw_tokens if option_values else ()


def _get_results_folder(context: CompletionContext) -> Path:
    return expand_user(Path(next(iter(_get_typed_values(context, "--results")), "results")))
