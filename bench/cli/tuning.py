"""The commands that find a backend's fastest variant, and tell what makes it fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.amounts import seconds
from bench.cli.option_groups import (
    Backends,
    BatchSize,
    CheckpointPath,
    DataDir,
    Device,
    Epochs,
    ImageSize,
    LearningRate,
    Results,
    Seed,
    Suite,
    Tasks,
    Threads,
    Trainable,
    TrainLimit,
    Wait,
    Weights,
    given,
)

tuning = typer.Typer()


@tuning.command()
def tune(
    budget: Annotated[str, typer.Option(help="For each backend and task, the proof included: `90s`, `5m`.")] = "5m",
    suite: Suite = "standard",
    task: Tasks = None,
    backend: Backends = None,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    learning_rate: LearningRate = None,
    train_limit: TrainLimit = None,
    trainable: Trainable = None,
    seed: Seed = None,
    weights: Weights = None,
    data_dir: DataDir = None,
    checkpoint: CheckpointPath = None,
    device: Device = "cpu",
    threads: Threads = None,
    wait: Wait = False,
) -> None:
    """Find the knobs that make a backend's step fastest on this machine, prove them, and keep them as `tuned`."""
    from bench.cli.tune import tune as find

    fields = given(
        batch_size=batch_size,
        epochs=epochs,
        image_size=image_size,
        learning_rate=learning_rate,
        train_limit=train_limit,
        trainable=trainable,
        seed=seed,
        weights=weights,
    )
    raise typer.Exit(
        find(
            seconds(budget) or 0.0,
            wait,
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            overrides=fields,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
        )
    )


@tuning.command()
def explain(
    suite: Suite = "standard",
    task: Tasks = None,
    backend: Backends = None,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    learning_rate: LearningRate = None,
    train_limit: TrainLimit = None,
    trainable: Trainable = None,
    seed: Seed = None,
    weights: Weights = None,
    data_dir: DataDir = None,
    checkpoint: CheckpointPath = None,
    device: Device = "cpu",
    threads: Threads = None,
    wait: Wait = False,
    output: Annotated[Path | None, typer.Option(help="File of the plot: .png, .svg or .pdf.")] = None,
    results: Results = Path("results"),
) -> None:
    """Show which of the knobs that `bench tune` turned makes a step how much faster, and when that has paid."""
    from bench.cli.explain import explain as show_steps

    fields = given(
        batch_size=batch_size,
        epochs=epochs,
        image_size=image_size,
        learning_rate=learning_rate,
        train_limit=train_limit,
        trainable=trainable,
        seed=seed,
        weights=weights,
    )
    raise typer.Exit(
        show_steps(
            wait,
            output,
            results,
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            overrides=fields,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
        )
    )
