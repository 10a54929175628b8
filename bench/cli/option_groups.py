"""Options that several commands have, and what `--resume` allows beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import UserError

Suite = Annotated[str, typer.Option(help="Where images and tasks come from: `bench list suites`.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Task to run; repeatable. `bench list tasks`.")]
Backends = Annotated[list[str] | None, typer.Option("--backend", help="Backend; repeatable. All by default.")]
Variants = Annotated[
    list[str] | None, typer.Option("--variant", help="`bench list variants`; repeatable. `default` by default.")
]
Knobs = Annotated[
    list[str] | None,
    typer.Option("--knob", help="`precision=bf16`: `bench list knobs`. A knob given twice makes one case a value."),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder with CIFAR-10's batches (cifar-10-batches-py).")]
CheckpointPath = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Weights on disk: a .pth state dict, or a folder in timm's layout."),
]
Weights = Annotated[str | None, typer.Option(help="Another of the backbone's checkpoints, or `random`.")]
BatchSize = Annotated[int | None, typer.Option(help="Overrides the task's.")]
Epochs = Annotated[int | None, typer.Option(help="Overrides the task's.")]
ImageSize = Annotated[int | None, typer.Option(help="Overrides the task's, in pixels.")]
LearningRate = Annotated[float | None, typer.Option(help="Overrides the task's.")]
TrainLimit = Annotated[int | None, typer.Option(help="Number of training images, drawn from the seed.")]
Trainable = Annotated[
    str | None, typer.Option(help="Overrides the task's: `head`, `last-stage` of the backbone with it, or `all`.")
]
Seed = Annotated[int | None, typer.Option(help="Of the head, the subset and the order of images.")]
Device = Annotated[str, typer.Option(help="`cpu`, `cuda` or `cuda:N`.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of one operation; all usable cores by default.")]
Wait = Annotated[bool, typer.Option(help="Wait for another measurement on this machine to end.")]
Results = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
RelativeTo = Annotated[str, typer.Option(help="Backend that ratios are relative to.")]


def refuse_beside_resume(context: typer.Context, allowed: set[str]) -> None:
    """What is resumed has its options already.

    Raises:
        UserError: others were given.
    """
    given = [n for n in context.params if str(context.get_parameter_source(n)).endswith("COMMANDLINE")]
    if others := [f"--{name.strip('_').replace('_', '-')}" for name in given if name not in allowed]:
        raise UserError(f"--resume takes the options that the run had: leave out {', '.join(others)}")


def given(**fields: Any) -> dict[str, Any]:
    """The task's fields that were given on the command line."""
    return {name: value for name, value in fields.items() if value is not None}
