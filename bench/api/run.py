"""`bench.run`: measures a comparison from Python, and returns it as `RunResults`."""

from __future__ import annotations

from collections.abc import Mapping

from bench.api.load import load
from bench.api.run_options import (
    AnyPath,
    Channels,
    Names,
    Numbers,
    format_arguments,
    make_request,
    refuse_options_beside_resume,
)
from bench.api.run_results import RunResults
from bench.errors import make_unknown_error
from bench.plan.request import CACHE_LIMIT


def run(
    task: Names = (),
    backends: Names = (),
    *,
    suite: str = "standard",
    backbone: object | None = None,
    weights: str | None = None,
    trainable: str | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    learning_rate: float | None = None,
    update_rule: str | None = None,
    momentum: float | None = None,
    nesterov: bool | None = None,
    beta1: float | None = None,
    beta2: float | None = None,
    epsilon: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    accumulate: int | None = None,
    label_smoothing: float | None = None,
    schedule: str | None = None,
    warm_up: int | None = None,
    schedule_steps: int | None = None,
    flip: bool | None = None,
    crop_scale: float | None = None,
    jitter: float | None = None,
    train_limit: int | None = None,
    seed: int | None = None,
    variants: Names = (),
    knobs: Names | Mapping[str, str] = (),
    device: str = "cpu",
    devices: Numbers = (),
    threads: int | None = None,
    data_dir: AnyPath | None = None,
    images: AnyPath | None = None,
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
        backbone, weights, trainable, batch_size, epochs, image_size, train_limit, seed: fields of the task that are
            replaced. The backbone may be a `torch.nn.Module` that computes features (n, d) of images (n, 3, s, s): it
            is exported with its present weights, and `image_size` says which s.
        learning_rate, update_rule, momentum, nesterov, beta1, beta2, epsilon, weight_decay: fields of its recipe.
        clip_norm, accumulate, label_smoothing, schedule, warm_up, schedule_steps: further ones.
        flip, crop_scale, jitter: how training images are augmented.
        resize, crop, mean, std: fields about how images are prepared.
        device: `cpu`, `cuda` or `cuda:N`.
        devices: one or several numbers of devices that train a case together; each makes a case.
        threads: of an operation; see `bench run --help`.
        data_dir, checkpoint: images and weights on disk.
        images: your own images: class folders, an `.npz` file, Parquet files, or CIFAR-100.
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

    from bench.head_to_head.whole_run import measure_run

    defaults = {"task": (), "backends": (), **(run.__kwdefaults__ or {})}
    refuse_options_beside_resume(given, defaults)
    request = make_request(given)
    # A command can name a module only as the program that it is kept as.
    command = format_arguments(given | {"backbone": request.overrides.get("backbone")}, defaults)
    outcome = measure_run(
        request,
        Console(quiet=quiet),
        command=command,
        wait=wait,
        resume_run=resume,
    )
    if outcome.stopped:
        raise KeyboardInterrupt
    return load(outcome.run)
