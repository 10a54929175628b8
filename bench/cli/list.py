"""`bench list`: list the tasks, backends, variants and other things to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

import backends
from backends.backbones import BACKBONES
from backends.exported.exported_backbone import TIMM, WEIGHTS
from backends.knob_table import KNOBS, THREADS_SOURCES
from backends.task_entries import CHECKPOINTS, DATASETS, EntryTable
from bench.cli.option_groups import OutputOptions
from bench.errors import UserError, make_unknown_error
from bench.report.list_table import ListTable

if TYPE_CHECKING:
    from bench.plan import suite
    from bench.plan.tuned_variants import HistoryEntry, TunedVariant

Rows = Iterable[tuple[str, ...]]
#: Where entries come from that no other package brings.
OWN = "this project"
#: The keys of `LISTS`, and `TUNED`, for the help page.
LIST_NAMES = "tasks, backbones, datasets, backends, suites, variants, knobs, tuned, warnings or runs"

#: The list that is no table of its own: each tuned variant has one.
TUNED = "tuned"

#: What is printed in place of an empty list.
EMPTY = {
    "runs": "There is no run in {results} yet: bench run --suite quick makes one in about five minutes.",
    TUNED: "Nothing is tuned on this machine yet: bench tune finds the fastest knobs.",
}


def list_(
    what: Annotated[str, Parameter(completer=lambda _: (*LISTS, TUNED), help=f"What to list: {LIST_NAMES}.")],
    /,
    *,
    search: Annotated[
        str | None,
        Parameter(metavar="TEXT", help="With `backbones`: the networks of timm with this in their names or weights."),
    ] = None,
    output: OutputOptions = OutputOptions(),
) -> None:
    """List tasks, backends, variants or anything else to choose from."""
    if search is not None:
        if what != "backbones":
            raise UserError(f"--search {search}: it is for bench list backbones: leave it out")
        return show_found_networks(search)
    show_list(what, output.results)


def show_found_networks(search: str) -> None:
    """Print the networks of timm whose names, or whose weights' tags, contain a text: as tasks name them, a line each,
    with the tags of their pretrained weights.

    Raises:
        UserError: there is none.
        Unavailable: timm or PyTorch is not installed.
    """
    from bench.networks.processes import list_timm_networks, make_unknown_network_error

    known = list_timm_networks()
    wanted = search.removeprefix(TIMM).lower()
    found = {
        name: tags for name, tags in known.items() if any(wanted in f"{name}.{tag}".lower() for tag in (tags or [""]))
    }
    if not found:
        raise make_unknown_network_error(wanted, list(known))
    console = Console(highlight=False)
    for name, tags in found.items():
        weights = f"  weights: {', '.join(tags)}" if tags else ""
        console.print(f"{TIMM}{name}{weights}", soft_wrap=True, markup=False)


def show_list(what: str, results: Path) -> None:
    """Print one list.

    Raises:
        UserError: the list is unknown.
    """
    if what not in (*LISTS, TUNED):
        raise make_unknown_error("list", what, (*LISTS, TUNED))
    console = Console(highlight=False)
    if what == TUNED:
        if not _print_tuned(console):
            console.print(EMPTY[what], soft_wrap=True, markup=False)
        return
    columns, rows = LISTS[what](results)
    found = list(rows)
    if not found:
        console.print(EMPTY[what].format(results=results), soft_wrap=True, markup=False)
        return
    console.print(ListTable(columns, found))
    for line in _iterate_left_out(what):
        console.print(line, style="yellow", soft_wrap=True, markup=False)


def _list_tasks(_: Path) -> tuple[tuple[str, ...], Rows]:
    from backends import recipe
    from bench.plan.task_table import TASKS

    columns = ("task", "backbone", "weights", "images", "batch norm", "recipe", "hash")
    rows = [
        (
            task.name,
            task.backbone,
            task.weights,
            f"{task.dataset} at {task.image_size} px",
            task.batch_norm,
            f"{recipe.describe(task)}, batch {task.batch_size}, "
            f"{task.epochs} {'epoch' if task.epochs == 1 else 'epochs'}",
            task.hash,
        )
        for task in TASKS.values()
    ]
    return _add_origins(columns, rows, TASKS)


def _list_backbones(_: Path) -> tuple[tuple[str, ...], Rows]:
    columns = ("backbone", "tensors", "features", "smallest image", "weights")
    rows = [
        (
            one.name,
            str(len(one.tensors())),
            str(one.features),
            f"{one.stride} px",
            ", ".join((*one.weights, "random")),
        )
        for one in BACKBONES.values()
    ]
    columns_with_origin, with_origin = _add_origins(columns, rows, BACKBONES)
    rest = ("its own", "its own", "", ", ".join((*WEIGHTS, "random")), *[OWN] * (len(columns_with_origin) - 5))
    return columns_with_origin, [*with_origin, (f"{TIMM}NAME (--search)", *rest)]


def _list_datasets(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench import data

    columns = ("data set", "pixels", "classes", "where")
    rows = []
    for name, entry in DATASETS.items():
        try:
            where = data.find_location(name)
        except UserError as error:
            where = f"missing: {error}"
        rows.append((name, f"{entry.side}×{entry.side}", str(entry.classes), where))
    return _add_origins(columns, rows, DATASETS)


def _add_origins(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], table: EntryTable[Any]
) -> tuple[tuple[str, ...], Rows]:
    """Add a column with the package that each row's entry comes from, if one does."""
    origins = [table.get_distribution(name) for name, *_ in rows]
    if not any(origins):
        return columns, rows
    return (*columns, "from"), [(*row, origin or OWN) for row, origin in zip(rows, origins, strict=True)]


def _iterate_left_out(what: str) -> Iterator[str]:
    """Say which entries of packages were left out of a list, and why."""
    if what == "tasks":
        from bench.plan.task_table import TASKS

        tables: tuple[EntryTable[Any], ...] = (TASKS,)
    else:
        tables = {"backbones": (BACKBONES, CHECKPOINTS), "datasets": (DATASETS,)}.get(what, ())
    problems = {name: problem for table in tables for name, problem in table.problems.items()}
    yield from (f"{name} is left out: {problem}" for name, problem in problems.items())


def _list_backends(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.machine import backend_packages

    rows = [
        (name, ", ".join(entry.packages), _describe_state(name), backend_packages.describe_origin(name))
        for name, entry in backends.REGISTRY.items()
    ]
    for left_out, reason in backend_packages.list_left_out().items():
        name, distribution = left_out.removesuffix(")").split(" (")
        rows.append((name, "", f"left out: {reason}", distribution))
    return ("backend", "packages", "state", "from"), rows


def _describe_state(backend: str) -> str:
    from bench.machine.backend_packages import advise_installation, find_untried_versions

    if missing := backends.find_missing_packages(backend):
        return f"{', '.join(missing)} missing: {advise_installation(backend)}"
    untried = ", ".join(one.describe() for one in find_untried_versions(backend))
    if untried:
        return f"untried-version: {untried}"
    return "installed" if backends.REGISTRY[backend].versions else "installed; it does not say with which versions"


def _list_suites(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.plan import suite

    loaded = [suite.load(name) for name in suite.list_names()]
    rows = [(s.name, _format_tasks(s), f"{s.launches} × {s.rounds}", _describe(s)) for s in loaded]
    return ("suite", "tasks", "launches × rounds", "what it is"), rows


def _format_tasks(one: suite.Suite) -> str:
    """Format the tasks of a suite, each name once, with what differs between the tasks of one name."""
    from bench.plan.prepared_task import override_task

    named: dict[str, list[dict[str, Any]]] = {}
    for entry in one.entries:
        named.setdefault(entry.task, []).append(override_task(entry.task, entry.override)[0].model_dump())
    texts = []
    for name, tasks in named.items():
        differing = [field for field in tasks[0] if any(task[field] != tasks[0][field] for task in tasks)]
        values = [", ".join(f"{field}={task[field]}" for field in differing) for task in tasks]
        texts.append(f"{name} ({'; '.join(values)})" if differing else name)
    return ", ".join(texts)


def _describe(one: suite.Suite) -> str:
    return f"{one.description}; at most {one.most_minutes:g} minutes a task" if one.most_minutes else one.description


def _list_runs(results: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.cli import run_list

    return run_list.COLUMNS, run_list.list_runs(results)


def _list_warnings(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.analysis.warning_rules import RULES

    return ("warning", "raised where", "what to do"), [(name, *description) for name, description in RULES.items()]


def _list_knobs(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.plan.variants import THREADS

    rows = []
    for name, knob in KNOBS.items():
        for backend, values in knob.values.items():
            for value, source in values.items():
                rows.append((f"{name}={value}", backend, source))
    threads = "by default OMP_NUM_THREADS, the CPU quota or all usable cores"
    rows += [(f"{THREADS}=NUMBER", backend, f"{threads}: {source}") for backend, source in THREADS_SOURCES.items()]
    return ("knob (a backend's first value is its default)", "backend", "source"), rows


def _list_variants(_: Path) -> tuple[tuple[str, ...], Rows]:
    from bench.machine.environment import describe_environment
    from bench.machine.fingerprint import make_fingerprint
    from bench.plan import tuned_variants
    from bench.plan.variants import DIVISIONS, NAMED

    rows = [(name, what) for name, what in DIVISIONS.items() if name in NAMED]
    versions = make_fingerprint(describe_environment())["versions"]
    for path, found in tuned_variants.load_all():
        if isinstance(found, str):
            rows.append((path.name, found))
        else:
            rows.append((f"tuned: {_format_case(found)}", found.describe(versions)))
    return ("variant", "what it is"), rows


def _format_case(found: TunedVariant) -> str:
    return f"{found.backend}, {found.task} ({found.task_hash}), {found.device}, {found.threads} threads"


def _print_tuned(console: Console) -> bool:
    """Print each tuned variant with its search below it; returns whether there is one."""
    from bench.plan import tuned_variants

    every = tuned_variants.load_all()
    for number, (path, found) in enumerate(every):
        if number:
            console.print()
        if isinstance(found, str):
            console.print(f"{path.name}: {found}", style="yellow", markup=False)
            continue
        console.print(_format_case(found), style="bold", markup=False)
        rows = [("tuned", " + ".join(found.knobs.values()) or "default", _format_speedup(found))]
        rows += [(trial.stage, trial.name, _format_speedup(trial)) for trial in found.history]
        console.print(ListTable(("stage", "variant", "× the default's steps"), rows))
        for note in found.notes:
            console.print(f"Left open: {note}", markup=False)
        for one in found.warnings:
            console.print(f"warning {one.name}: {one.evidence}", style="yellow", markup=False)
    return bool(every)


def _format_speedup(found: TunedVariant | HistoryEntry) -> str:
    from bench.analysis.statistics import Interval
    from bench.report.tables.number_format import format_interval

    if found.speedup is None:
        return "–"
    return format_interval(Interval(found.speedup, found.low, found.high), lambda value: f"{value:.3f}")


LISTS: dict[str, Callable[[Path], tuple[tuple[str, ...], Rows]]] = {
    "tasks": _list_tasks,
    "backbones": _list_backbones,
    "datasets": _list_datasets,
    "backends": _list_backends,
    "suites": _list_suites,
    "variants": _list_variants,
    "knobs": _list_knobs,
    "warnings": _list_warnings,
    "runs": _list_runs,
}
