"""`bench sweep`: one task over all combinations of some fields' values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from bench.cli import amounts, completers
from bench.cli.option_groups import (
    OWN,
    BackendOptions,
    CachingDataOptions,
    Names,
    OutputOptions,
    TaskChoice,
    WaitOption,
    request,
)
from bench.errors import UserError

SWEPT = Group("Swept fields", sort_key=1.5)
Values = Annotated[Names, Parameter(metavar="LIST")]


@Parameter(name="*", group=SWEPT)
@dataclass(frozen=True)
class SweptFields:
    """Values of a task's fields; every combination of them is a fine-tune."""

    learning_rate: Annotated[Values, Parameter(help="Learning rates, as 0.0001,0.001,0.01.")] = ()
    batch_size: Annotated[Values, Parameter(help="Batch sizes, as 4,32,128.")] = ()
    epochs: Annotated[Values, Parameter(help="Numbers of epochs.")] = ()
    image_size: Annotated[Values, Parameter(help="Image sizes in pixels.")] = ()
    trainable: Annotated[Values, Parameter(help="Trained parts: head, last-stage, all.")] = ()
    momentum: Annotated[Values, Parameter(help="Momenta of SGD, from 0 to below 1.")] = ()
    train_limit: Annotated[Values, Parameter(help="Numbers of training images.")] = ()
    seed: Annotated[Values, Parameter(help="Seeds.")] = ()
    backbone: Annotated[Values, Parameter(completer=completers.backbones, help="Pretrained networks.")] = ()
    weights: Annotated[Values, Parameter(completer=completers.weights, help="Checkpoints of the backbone.")] = ()
    set_: Annotated[
        Names,
        Parameter(
            name="--set",
            metavar="FIELD=LIST",
            completer=completers.fields,
            help="Values of any other field of the task; repeatable.",
        ),
    ] = ()


def accuracy(_: Any, tokens: Sequence[Token]) -> float:
    """A test accuracy.

    Raises:
        UserError: it is none.
    """
    try:
        return amounts.share(tokens[-1].value) or 0.0
    except UserError:
        raise UserError(
            f"--target {tokens[-1].value}: give a test accuracy above 0 and below 1, as 0.70 or 70%"
        ) from None


def sweep(
    *,
    resume: Annotated[
        str | None,
        Parameter(group=OWN, metavar="RUN", completer=completers.runs, help="Finish this sweep, with its own options."),
    ] = None,
    target: Annotated[
        float | None,
        Parameter(
            group=OWN,
            metavar="ACCURACY",
            converter=accuracy,
            help="Test accuracy; the time to reach it is shown. As 0.70 or 70%.",
        ),
    ] = None,
    recompute: Annotated[bool, Parameter(group=OWN, help="Use no cached features.")] = False,
    swept: SweptFields = SweptFields(),
    task: TaskChoice = TaskChoice(),
    case: BackendOptions = BackendOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: WaitOption = WaitOption(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Fine-tune every combination of some fields' values.

    It shows the accuracy after each epoch, and the time to a target accuracy. Values are lists with commas.
    Features are computed once if that is proven to be the same fine-tune.
    """
    from bench.sweep.sweep_run import run_sweep

    return run_sweep(
        request(task, case, data, output),
        values={field.name: getattr(swept, field.name) for field in fields(swept) if field.name != "set_"},
        settings=swept.set_,
        target=target,
        recompute=recompute,
        wait=effort.wait,
        resume_run=resume,
    )
