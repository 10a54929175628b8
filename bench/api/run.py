"""`bench.run`: measures a comparison from Python, and returns it as `RunResults`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from bench.api.load import load
from bench.api.run_results import RunResults
from bench.cache.home import expand_user
from bench.errors import UserError, make_unknown_error
from bench.plan.amounts import parse_seconds, parse_share, parse_size
from bench.plan.request import CACHE_LIMIT, Request

Names = str | Iterable[str]
AnyPath = str | PathLike[str]


def run(
    task: Names = (),
    backends: Names = (),
    *,
    suite: str = "standard",
    backbone: str | None = None,
    weights: str | None = None,
    trainable: str | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    learning_rate: float | None = None,
    train_limit: int | None = None,
    seed: int | None = None,
    variants: Names = (),
    knobs: Names | Mapping[str, str] = (),
    device: str = "cpu",
    threads: int | None = None,
    data_dir: AnyPath | None = None,
    checkpoint: AnyPath | None = None,
    cache_limit: int | str = CACHE_LIMIT,
    launches: int | None = None,
    rounds: int | None = None,
    until: float | str | None = None,
    max_time: float | str | None = None,
    seeds: int = 1,
    isolated: bool = False,
    wait: bool = False,
    relative_to: str = "pytorch",
    results: AnyPath = "results",
    resume: str | None = None,
    quiet: bool = False,
    **unknown: object,
) -> RunResults:
    """Measure a comparison as `bench run` does: same options, progress, tables and files.

    Ctrl-C, or interrupting a notebook's kernel, keeps what is finished: KeyboardInterrupt is raised, `bench.load()`
    returns it, and `resume` goes on.

    Args:
        task: one or several; the suite's by default.
        backends, variants, knobs: one or several names; knobs as `precision=bf16`, or as a mapping.
        suite: the name of a suite, or a TOML file.
        backbone, weights, trainable, batch_size, epochs, image_size, learning_rate, train_limit, seed: fields of the
            task that are replaced.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: of an operation; see `bench run --help`.
        data_dir, checkpoint: images and weights on disk.
        cache_limit: bytes that cached features may take, or a text as `4GB`.
        launches, rounds: the suite's by default.
        until: add launches until all ratios are known to within this, as 0.02 or `2%`.
        max_time: limit of `until`, in seconds, or a text as `10m`.
        seeds: fine-tunes of each case.
        isolated: one worker at a time.
        wait: for another measurement on this machine to end.
        relative_to: the backend or case that ratios are relative to.
        results: the folder of runs.
        resume: the name or folder of an interrupted run; it keeps the options that it had.
        quiet: print nothing.

    Raises:
        UserError: a mistake in the call, or something on the machine that can be remedied; one line says what to do.
        KeyboardInterrupt: it was stopped.
    """
    given = {name: value for name, value in locals().items() if name != "unknown"}
    for name in unknown:
        raise make_unknown_error("option", name, given)
    from rich.console import Console

    from bench.comparison.comparison_run import measure_comparison

    _refuse_options_beside_resume(given)
    outcome = measure_comparison(
        make_request(given),
        Console(quiet=quiet),
        command=format_arguments(given),
        wait=wait,
        resume_run=resume,
    )
    if outcome.stopped:
        raise KeyboardInterrupt
    return load(outcome.run)


#: Options of which several values may be given: the keyword, and the option of the command line.
SEVERAL = {"task": "task", "backends": "backend", "variants": "variant", "knobs": "knob"}
#: Fields of the task.
FIELDS = (
    "backbone",
    "weights",
    "trainable",
    "batch_size",
    "epochs",
    "image_size",
    "learning_rate",
    "train_limit",
    "seed",
)
#: The least value of whole numbers.
LEAST = {"threads": 1, "launches": 1, "rounds": 2, "seeds": 1}
#: What may be given beside `resume`.
BESIDE_RESUME = ("resume", "results", "wait", "quiet")
DEFAULTS: Mapping[str, Any] = dict(run.__kwdefaults__ or {}) | {"task": (), "backends": ()}


def make_request(given: Mapping[str, Any]) -> Request:
    """Make the request of the keywords of a call.

    Raises:
        UserError: a value is not one that its option takes.
    """
    for name, least in LEAST.items():
        value = given[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise UserError(f"{name}={value!r}: give a whole number, {least} or more")
    lists = {name: list_names(name, given[name]) for name in SEVERAL}
    return Request(
        suite=given["suite"],
        tasks=lists["task"],
        backends=lists["backends"],
        overrides={name: given[name] for name in FIELDS if given[name] is not None},
        variants=lists["variants"],
        knobs=lists["knobs"],
        data_dir=_read_path("data_dir", given["data_dir"]),
        checkpoint=_read_path("checkpoint", given["checkpoint"]),
        device=given["device"],
        threads=given["threads"],
        launches=given["launches"],
        rounds=given["rounds"],
        until=None if given["until"] is None else parse_share(str(given["until"])),
        max_time=None if given["max_time"] is None else parse_seconds(str(given["max_time"])),
        seeds=given["seeds"],
        cache_limit=given["cache_limit"] if isinstance(given["cache_limit"], int) else parse_size(given["cache_limit"]),
        isolated=bool(given["isolated"]),
        relative_to=given["relative_to"],
        results=_read_path("results", given["results"]) or Request.results,
    )


def list_names(option: str, value: Names | Mapping[str, str]) -> tuple[str, ...]:
    """List the names of an option that takes one or several; a mapping is `name=value` of each.

    Raises:
        UserError: a name is no text.
    """
    if isinstance(value, Mapping):
        return tuple(f"{name}={chosen}" for name, chosen in value.items())
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"{option}: {name!r} is no name: give a text, or a list of texts")
    return tuple(dict.fromkeys(names))


def format_arguments(given: Mapping[str, Any]) -> list[str]:
    """Format the arguments of the command line that measures the same, behind `bench`."""
    arguments = ["run"]
    for name, value in given.items():
        if name == "quiet" or value is None or value is False or value == DEFAULTS[name]:
            continue
        option = f"--{SEVERAL.get(name, name).replace('_', '-')}"
        if name in SEVERAL:
            arguments += [part for one in list_names(name, value) for part in (option, one)]
        elif value is True:
            arguments.append(option)
        else:
            arguments += [
                option,
                f"{value / 2**20:g}MB" if name == "cache_limit" and isinstance(value, int) else str(value),
            ]
    return arguments


def _read_path(option: str, value: AnyPath | None) -> Path | None:
    if value is None:
        return None
    try:
        text = fspath(value)
    except TypeError:
        raise UserError(f"{option}={value!r} is no path: give a text or a pathlib.Path") from None
    if not text:
        raise UserError(f"{option}: the path is empty: give one, or leave it out")
    return expand_user(Path(text))


def _refuse_options_beside_resume(given: Mapping[str, Any]) -> None:
    others: Sequence[str] = [
        name for name, value in given.items() if name not in BESIDE_RESUME and value != DEFAULTS[name]
    ]
    if given["resume"] is not None and others:
        raise UserError(f"resume keeps the options that the run had: leave out {', '.join(others)}")
