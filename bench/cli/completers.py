"""What the shell offers for an option's value. It is asked at every TAB: heavy modules stay out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backends
from backends.backbones import BACKBONES
from backends.knob_table import KNOBS

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

SUITES = Path(__file__).parents[1] / "plan" / "suites"


def tasks(_: CompletionContext) -> Iterable[str]:
    """The task table."""
    from bench.plan.task_table import TASKS

    return tuple(TASKS)


def suites(context: CompletionContext) -> Iterator[str]:
    """Suites that come with the project, and TOML files."""
    yield from sorted(path.stem for path in SUITES.glob("*.toml"))
    typed = Path(context.incomplete)
    folder = typed if context.incomplete.endswith("/") else typed.parent
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".toml":
            yield str(path)


def backend_names(_: CompletionContext) -> Iterable[str]:
    """The registry of backends."""
    return tuple(backends.REGISTRY)


def cases(context: CompletionContext) -> Iterator[str]:
    """`backend` and `backend/variant`."""
    for backend in backends.REGISTRY:
        yield backend
        yield from (f"{backend}/{variant}" for variant in variants(context))


def backbones(_: CompletionContext) -> Iterable[str]:
    """The backbone table."""
    return tuple(BACKBONES)


def weights(context: CompletionContext) -> Iterable[str]:
    """The checkpoints of the backbone that was given, or of all."""
    chosen = _typed(context, "--backbone")
    networks = [BACKBONES[name] for name in chosen if name in BACKBONES] or list(BACKBONES.values())
    return tuple(dict.fromkeys([*(name for network in networks for name in network.weights), "random"]))


def trainable(_: CompletionContext) -> Iterable[str]:
    """What of a network can be trained."""
    return ("head", "last-stage", "all")


def variants(_: CompletionContext) -> Iterable[str]:
    """The named variants."""
    return ("default", "matched", "tuned")


def devices(_: CompletionContext) -> Iterator[str]:
    """The processor, and GPUs whose device files there are."""
    yield "cpu"
    found = sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    yield from (["cuda", *(f"cuda:{index}" for index in found)] if found else [])


def knobs(context: CompletionContext) -> Iterator[str]:
    """`knob=`, and behind that the values that one of the chosen backends has."""
    knob, equals, _ = context.incomplete.partition("=")
    if not equals:
        yield from (f"{name}=" for name in (*KNOBS, "threads"))
        return
    wanted = _typed(context, "--backend") or tuple(backends.REGISTRY)
    for backend, values in KNOBS[knob].values.items() if knob in KNOBS else ():
        if backend in wanted:
            yield from (f"{knob}={value}" for value in values)


def runs(context: CompletionContext) -> Iterator[str]:
    """The runs and sweeps in the folder of results, newest first."""
    results = _results(context)
    found = (path for path in results.iterdir() if path.name[:1].isdigit()) if results.is_dir() else ()
    yield from sorted((path.name for path in found if path.is_dir()), reverse=True)


def baselines(context: CompletionContext) -> Iterator[str]:
    """The baselines in the folder of results."""
    yield from sorted(path.stem for path in (_results(context) / "baselines").glob("*.json"))


def metrics(_: CompletionContext) -> Iterable[str]:
    """The metrics of a gate and a trend."""
    from bench.analysis.metrics import METRICS

    return tuple(METRICS)


def margins(context: CompletionContext) -> Iterator[str]:
    """`metric=`, for the margin of one metric."""
    yield from (f"{name}=" for name in metrics(context))


def allowed(_: CompletionContext) -> Iterable[str]:
    """The kinds of differences from a baseline."""
    return ("machine", "versions", "variables", "threads", "precision")


def fields(_: CompletionContext) -> Iterator[str]:
    """`field=`, of a task."""
    from bench.sweep.swept_fields import FIELDS

    yield from (f"{name}=" for name in FIELDS)


def _typed(context: CompletionContext, option: str) -> tuple[str, ...]:
    given: Any = context.get(option)
    return given.raw_tokens if given else ()


def _results(context: CompletionContext) -> Path:
    return Path(next(iter(_typed(context, "--results")), "results")).expanduser()
