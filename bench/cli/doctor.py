"""`bench doctor`: show what is installed, what is found and where, what can be run now, and what the rest needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

import backends
from bench.cli.option_groups import DataFolder
from bench.cli.system_errors import describe_system_error
from bench.errors import UserError
from bench.report.list_table import ListTable

if TYPE_CHECKING:
    from bench.machine.gpu import Gpu
    from bench.plan.suite import Suite


def doctor(*, data: DataFolder = DataFolder()) -> None:
    """Show what is installed and found, what can be run now, and what the rest needs.

    It checks packages, images, weights and GPUs, and downloads nothing.
    """
    show_machine(data.data_dir, data.images)


def show_machine(data_dir: Path | None, images: Path | None = None) -> None:
    """Print a table, and what it means for the suites; nothing is downloaded."""
    from bench import data
    from bench.cache.home import get_home
    from bench.data import images as own_images
    from bench.machine import gpu
    from bench.machine.backend_packages import list_left_out
    from bench.machine.environment import count_usable_cores, describe_cpu, list_packages
    from bench.plan.task_table import TASKS
    from bench.weights import checkpoints

    rows: list[tuple[str, str | Text]] = []
    installed = {name: backends.find_missing_packages(name) for name in backends.REGISTRY}
    for name, missing in installed.items():
        rows.append((f"backend {name}", _describe_backend(name, missing)))
    rows += [(f"backend {name}", _warn(f"left out: {reason}")) for name, reason in list_left_out().items()]
    shown = {name: version for name, version in list_packages().items() if version}
    rows.append(("packages", ", ".join(f"{name} {version}" for name, version in shown.items())))
    rows.append(("CPU", f"{describe_cpu().get('model')}, {count_usable_cores()} cores usable"))
    gpus = gpu.list_devices()
    rows.append(("GPU", "; ".join(f"cuda:{g.index} {g.name}, driver {g.driver}" for g in gpus) or "no GPU"))
    listed = gpu.list_visible(gpus, os.environ)
    visible, blind = len(listed), []
    for name, answer, problem in _ask_frameworks(installed, listed):
        rows.append((f"GPU in {name}", _warn(f"missing: {problem}") if problem else answer))
        blind += [problem] if problem else []
    for need, purpose, problem in _list_knob_needs(visible):
        rows.append((need, _warn(f"missing: {problem}{purpose}") if problem else f"ready{purpose}"))
    rows.append(("home", _find_location(lambda: f"{get_home()} (HEADTOHEAD_HOME)")))
    rows.append(("cached features", _find_location(_describe_cache)))
    rows.append(("decoded images", _find_location(_describe_decoded_images)))
    if images is not None:
        rows.append(("images", _find_location(own_images.describe, images)))
    for name in dict.fromkeys(task.dataset for task in TASKS.values()):
        rows.append((f"data {name}", _find_location(data.find_location, name, data_dir)))
    for backbone, weights in dict.fromkeys((task.backbone, task.weights) for task in TASKS.values()):
        found = _find_location(checkpoints.find_location, backbone, weights)
        rows.append((f"weights {backbone} {weights}", found))
    console = Console(highlight=False)
    console.print(ListTable(("what", "state"), rows, wrap_first=True))
    console.print()
    for line in summarise(installed, data_dir, visible, blind, images):
        console.print(line, markup=False)


def _ask_frameworks(
    installed: Mapping[str, Sequence[str]], gpus: Sequence[Gpu]
) -> Iterator[tuple[str, str, str | None]]:
    """Ask the frameworks of the backends that lack nothing which GPUs they see; of each the name, what it sees, and why
    it sees none. Nothing is asked without a GPU.
    """
    from bench.measure.framework_gpus import ask_frameworks, explain_blindness

    usable = [name for name, missing in installed.items() if not missing]
    for name, seen in ask_frameworks(usable if gpus else ()).items():
        yield name, f"sees {', '.join(seen)}", explain_blindness(name, seen, gpus)


def _describe_backend(name: str, missing: Sequence[str]) -> str | Text:
    from bench.machine.backend_packages import advise_installation, describe_origin, find_untried_versions

    if missing:
        return _warn(f"skipped: {', '.join(missing)} missing, {advise_installation(name)}")
    if untried := [one.describe() for one in find_untried_versions(name)]:
        return _warn(f"ready, but untried-version: {', '.join(untried)}")
    return f"ready, from {describe_origin(name)}" if backends.REGISTRY[name].distribution else "ready"


def summarise(
    installed: Mapping[str, Sequence[str]],
    data_dir: Path | None,
    gpus: int,
    blind: Sequence[str] = (),
    images: Path | None = None,
) -> Iterator[str]:
    """Say what can be run now, and what is missing for the rest.

    Args:
        installed: the packages that each backend lacks.
        data_dir: the user's folder of images.
        gpus: the number of devices that CUDA can see.
        blind: why frameworks do not see them.
        images: the user's own, with which no suite needs others.
    """
    from bench.machine.backend_packages import advise_installation
    from bench.plan import suite

    usable = [name for name, missing in installed.items() if not missing]
    suites = {name: suite.load(name) for name in suite.list_names()}
    needs = {name: _list_missing_files(one, data_dir, images) for name, one in suites.items()}
    ready = [name for name, missing in needs.items() if not missing and not suites[name].devices]
    on_several = [name for name, missing in needs.items() if not missing and suites[name].devices]
    if not usable:
        yield "Nothing can be run yet: every backend lacks packages."
    elif ready:
        where = "on the GPU (--device cuda) or the CPU" if gpus else "on the CPU"
        yield (
            f"Ready: bench run --suite {join_names(ready, 'or')}, with {join_names(usable, 'and')}, {where}. "
            "bench parity, tune, roofline and gate take the same suites."
        )
    elif not on_several:
        yield "No suite has all of its images and weights here."
    if usable and on_several:
        yield from _summarise_several_devices(join_names(on_several, "or"), usable, gpus)
    for what in dict.fromkeys(what for missing in needs.values() for what in missing):
        lacking = [name for name, missing in needs.items() if what in missing]
        option = "--data-dir" if what.startswith("data") else "--checkpoint"
        yield (
            f"Missing for {'suite' if len(lacking) == 1 else 'suites'} {join_names(lacking, 'and')}: {what}. The first "
            f"run downloads it, or give it with bench run {option}."
        )
    for name, missing in installed.items():
        if missing:
            yield f"Missing for backend {name}: {', '.join(missing)}. Install: {advise_installation(name)}"
    if not gpus:
        yield "Missing for --device cuda: a GPU."
    yield from (f"Missing for --device cuda: {line}" for line in dict.fromkeys(blind))


def _summarise_several_devices(suites: str, usable: Sequence[str], gpus: int) -> Iterator[str]:
    """Say which backends can measure suites that need several devices, and on how many."""
    from bench.machine.environment import count_usable_cores

    cores = count_usable_cores() or 1
    devices = (("cuda", gpus, " --device cuda", "GPUs"), ("cpu", cores, "", "cores"))
    for kind, number, option, what in devices:
        able = [name for name in usable if kind in backends.REGISTRY[name].several_devices]
        if able and number > 1:
            yield (
                f"Ready: bench run --suite {suites}{option}, with {join_names(able, 'and')}, on up to {number} {what}."
            )
    if max(cores, gpus) == 1:
        yield f"Missing for suite {suites}: a second core or GPU."
    if alone := [name for name in usable if not backends.REGISTRY[name].several_devices]:
        train = "trains" if len(alone) == 1 else "train"
        yield f"Not for suite {suites}: {join_names(alone, 'and')}, which {train} on one device only."


def _list_missing_files(of: Suite, data_dir: Path | None, images: Path | None) -> list[str]:
    """List the data and weights of a suite that are not on this machine."""
    from bench import data
    from bench.plan.prepared_task import override_task
    from bench.weights import checkpoints

    missing = {}
    for entry in of.entries:
        task, _ = override_task(entry.task, entry.override)
        if images is None:
            missing[f"data {task.dataset}"] = _find_problem(data.find_location, task.dataset, data_dir)
        if task.weights != "random":
            found = _find_problem(checkpoints.find_location, task.backbone, task.weights)
            missing[f"weights {task.backbone} {task.weights}"] = found
    return [what for what, problem in missing.items() if problem]


def join_names(names: Sequence[str], word: str) -> str:
    """Join names with commas, and with a word before the last one."""
    return " ".join(filter(None, (", ".join(names[:-1]), word if len(names) > 1 else "", names[-1])))


def _list_knob_needs(gpus: int) -> Iterator[tuple[str, str, str | None]]:
    """List what knobs need of the machine, for which values, and why it is missing.

    `gpus` is the number of devices that CUDA can see.
    """
    from backends.knobs import NEEDS
    from bench.plan.knob_support import DEVICE_NEEDS, SUPPORT_CHECKS

    devices = ["cpu", *(f"cuda:{number}" for number in range(gpus))]
    for need, find_problem in SUPPORT_CHECKS.items():
        values = dict.fromkeys(value for (_, _, value), needed in NEEDS.items() if need in needed and value != need)
        purpose = f" (for {', '.join(values)})" if values else ""
        if need == "gpu":
            yield need, purpose, None if gpus else "no GPU"
        elif need in DEVICE_NEEDS:
            yield from ((f"{device}: {need}", purpose, find_problem(device)) for device in devices)
        else:
            yield need, purpose, find_problem("cpu")


def _describe_cache() -> str:
    from bench.cache import features
    from bench.records.units import MB

    sizes = [entry.size for entry in features.list_entries()]
    return f"{len(sizes)}, {sum(sizes) / MB:,.0f} MB in {features.get_folder()}"


def _describe_decoded_images() -> str:
    from bench.data.images import kept_images
    from bench.records.units import MB

    sizes = [file.stat().st_size for file in kept_images.get_folder().glob(f"*{kept_images.ENDING}")]
    return f"{len(sizes)}, {sum(sizes) / MB:,.0f} MB in {kept_images.get_folder()}"


def _warn(line: str) -> Text:
    return Text(line, style="yellow")


def _find_location(find: Callable[..., str], *names: object) -> str | Text:
    problem = _find_problem(find, *names)
    return find(*names) if problem is None else _warn(f"missing: {problem}")


def _find_problem(find: Callable[..., str], *names: object) -> str | None:
    """Say why something is not there; None if it is."""
    try:
        find(*names)
    except (UserError, OSError) as error:
        line = describe_system_error(error) if isinstance(error, OSError) else error
        return str(line or error)
    return None
