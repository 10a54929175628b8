"""The commands that look inside a case: what bounds it, and what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.option_groups import (
    Backends,
    BatchSize,
    CheckpointPath,
    DataDir,
    Device,
    Epochs,
    ImageSize,
    Knobs,
    LearningRate,
    Results,
    Seed,
    Suite,
    Tasks,
    Threads,
    Trainable,
    TrainLimit,
    Variants,
    Wait,
    Weights,
    given,
)

inside = typer.Typer()


@inside.command()
def roofline(
    suite: Suite = "standard",
    task: Tasks = None,
    backend: Backends = None,
    variant: Variants = None,
    knob: Knobs = None,
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
    launches: Annotated[int | None, typer.Option(min=1, help="Starts of a worker per case.")] = None,
    rounds: Annotated[int | None, typer.Option(min=2, help="Timed rounds of each kind per launch.")] = None,
    wait: Wait = False,
) -> None:
    """Show how near each case comes to what this machine can do, and what bounds it."""
    from bench.cli.roofline import show_roofline

    raise typer.Exit(
        show_roofline(
            wait,
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            variants=variant or (),
            knobs=knob or (),
            overrides=given(
                batch_size=batch_size,
                epochs=epochs,
                image_size=image_size,
                learning_rate=learning_rate,
                train_limit=train_limit,
                trainable=trainable,
                seed=seed,
                weights=weights,
            ),
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            launches=launches,
            rounds=rounds,
        )
    )


@inside.command()
def profile(
    case: Annotated[str, typer.Argument(help="`backend`, or `backend/variant`.")],
    steps: Annotated[int, typer.Option(min=1, help="Training steps that are looked at.")] = 20,
    output: Annotated[Path | None, typer.Option(help="Of the trace, .json.gz; in --results by default.")] = None,
    suite: Suite = "standard",
    task: Tasks = None,
    variant: Variants = None,
    knob: Knobs = None,
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
    results: Results = Path("results"),
) -> None:
    """Look at some training steps with the framework's own profiler: top operations, and a trace for Perfetto."""
    from bench.cli.profile import profile as look

    raise typer.Exit(
        look(
            case,
            steps,
            output,
            wait,
            variant or (),
            suite=suite,
            tasks=task or (),
            knobs=knob or (),
            overrides=given(
                batch_size=batch_size,
                epochs=epochs,
                image_size=image_size,
                learning_rate=learning_rate,
                train_limit=train_limit,
                trainable=trainable,
                seed=seed,
                weights=weights,
            ),
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            results=results,
        )
    )
