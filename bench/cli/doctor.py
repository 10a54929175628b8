"""`bench doctor`: show what is installed, what is found and where, and what would be skipped and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import backends
from bench.cli.option_groups import DataFolder
from bench.cli.system_errors import describe_system_error
from bench.errors import UserError


def doctor(*, data: DataFolder = DataFolder()) -> None:
    """Show what is installed and found, and what a run would skip.

    It checks packages, images, weights and GPUs, and downloads nothing.
    """
    show_machine(data.data_dir)


def show_machine(data_dir: Path | None) -> None:
    """Print a table; nothing is downloaded."""
    from bench import data
    from bench.cache.home import get_home
    from bench.machine import gpu
    from bench.machine.environment import count_usable_cores, describe_cpu, list_packages
    from bench.plan.task_table import TASKS
    from bench.weights import checkpoints

    console = Console()
    table = Table("what", box=None, header_style="bold", show_edge=False)
    table.add_column("state", overflow="fold")
    for name in backends.REGISTRY:
        missing = backends.find_missing_packages(name)
        extra = backends.REGISTRY[name].extra
        skipped = f"[yellow]skipped: {', '.join(missing)} missing, pip install 'head-to-head\\[{extra}]'[/]"
        table.add_row(f"backend {name}", skipped if missing else "ready")
    shown = {name: version for name, version in list_packages().items() if version}
    table.add_row("packages", ", ".join(f"{name} {version}" for name, version in shown.items()))
    table.add_row("CPU", f"{describe_cpu().get('model')}, {count_usable_cores()} cores usable")
    gpus = gpu.list_devices()
    table.add_row("GPU", "; ".join(f"cuda:{g.index} {g.name}, driver {g.driver}" for g in gpus) or "no GPU")
    for what, problem in _list_knob_needs(len(gpu.list_visible(gpus, os.environ))):
        table.add_row(what, _format_state(problem))
    table.add_row("home", _find_location(lambda: f"{get_home()} (HEADTOHEAD_HOME)"))
    table.add_row("cached features", _find_location(_describe_cache))
    for name in dict.fromkeys(task.dataset for task in TASKS.values()):
        table.add_row(f"data {name}", _find_location(data.find_location, name, data_dir))
    for backbone, weights in dict.fromkeys((task.backbone, task.weights) for task in TASKS.values()):
        table.add_row(f"weights {backbone} {weights}", _find_location(checkpoints.find_location, backbone, weights))
    console.print(table)


def _list_knob_needs(gpus: int) -> Iterator[tuple[str, str | None]]:
    """List what knobs need of the machine, and why it is missing; `gpus` is the number of devices that CUDA can see."""
    from backends.knobs import NEEDS
    from bench.plan.knob_support import DEVICE_NEEDS, SUPPORT_CHECKS

    devices = ["cpu", *(f"cuda:{number}" for number in range(gpus))]
    for need, find_problem in SUPPORT_CHECKS.items():
        values = dict.fromkeys(value for (_, _, value), needed in NEEDS.items() if need in needed and value != need)
        what = f"{need} for {', '.join(values)}" if values else need
        if need == "gpu":
            yield what, None if gpus else "no GPU"
        elif need in DEVICE_NEEDS:
            yield from ((f"{device}: {what}", find_problem(device)) for device in devices)
        else:
            yield what, find_problem("cpu")


def _describe_cache() -> str:
    from bench.cache import features
    from bench.records.units import MB

    sizes = [entry.size for entry in features.list_entries()]
    return f"{len(sizes)}, {sum(sizes) / MB:,.0f} MB in {features.get_folder()}"


def _format_state(problem: str | None) -> str:
    return f"[yellow]missing: {problem}[/]" if problem else "ready"


def _find_location(find: Callable[..., str], *names: object) -> str:
    try:
        return escape(find(*names))
    except (UserError, OSError) as error:
        line = describe_system_error(error) if isinstance(error, OSError) else error
        return f"[yellow]missing: {escape(str(line or error))}[/]"
