"""The options of `bench sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.amounts import share, size
from bench.cli.option_groups import (
    Backends,
    CheckpointPath,
    DataDir,
    Device,
    Results,
    Suite,
    Tasks,
    Threads,
    Wait,
    refuse_beside_resume,
)
from bench.errors import UserError

Values = list[str] | None
FIELDS = (
    "learning_rate",
    "batch_size",
    "epochs",
    "image_size",
    "trainable",
    "momentum",
    "train_limit",
    "seed",
    "weights",
)


def sweep(
    context: typer.Context,
    learning_rate: Annotated[Values, typer.Option(metavar="LIST", help="As 0.0001,0.001,0.01.")] = None,
    batch_size: Annotated[Values, typer.Option(metavar="LIST", help="As 4,32,128.")] = None,
    epochs: Annotated[Values, typer.Option(metavar="LIST", help="Values of the task's field, as above.")] = None,
    image_size: Annotated[Values, typer.Option(metavar="LIST", help="The same, in pixels.")] = None,
    trainable: Annotated[Values, typer.Option(metavar="LIST", help="The same: head, last-stage, all.")] = None,
    momentum: Annotated[Values, typer.Option(metavar="LIST", help="The same.")] = None,
    train_limit: Annotated[
        Values, typer.Option(metavar="LIST", help="The same: training images, from the seed.")
    ] = None,
    seed: Annotated[Values, typer.Option(metavar="LIST", help="The same: of head, subset and order of images.")] = None,
    weights: Annotated[Values, typer.Option(metavar="LIST", help="The same: the backbone's checkpoints.")] = None,
    set_: Annotated[
        Values, typer.Option("--set", metavar="FIELD=LIST", help="Any other field of the task; repeatable.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Test accuracy whose time is told, as 0.70 or 70%.")] = None,
    recompute: Annotated[bool, typer.Option(help="Do without cached features.")] = False,
    suite: Suite = "standard",
    task: Tasks = None,
    backend: Backends = None,
    data_dir: DataDir = None,
    checkpoint: CheckpointPath = None,
    device: Device = "cpu",
    threads: Threads = None,
    cache_limit: Annotated[str, typer.Option(help="What cached features may take on disk: `500MB`, `4GB`.")] = "4GB",
    wait: Wait = False,
    resume: Annotated[str | None, typer.Option(help="Finish this sweep, with the options that it had.")] = None,
    results: Results = Path("results"),
) -> None:
    """Fine-tune every combination of some fields' values: accuracy by epoch, and the time to a target accuracy.

    Values are lists with commas. Features are computed once where that is proven to be the same fine-tune.
    """
    from bench.cli.sweep import sweep as run

    if resume is not None:
        refuse_beside_resume(context, {"resume", "results", "wait"})
    given = {name: context.params[name] for name in FIELDS}
    raise typer.Exit(
        run(
            fields=given,
            settings=set_ or (),
            target=_target(target),
            recompute=recompute,
            wait=wait,
            resume_run=resume,
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            cache_limit=size(cache_limit),
            results=results,
        )
    )


def _target(text: str | None) -> float | None:
    try:
        return share(text)
    except UserError:
        raise UserError(f"--target {text}: give a test accuracy above 0 and below 1, as 0.70 or 70%") from None
