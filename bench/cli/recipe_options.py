"""The options of a task's recipe, beside its learning rate; `bench.cli.option_groups.TaskOptions` takes them."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_values import make_number_parameter


@dataclass(frozen=True)
class RecipeOptions:
    """How a task is trained."""

    momentum: Annotated[
        float | None, make_number_parameter(kind=float), Parameter(help="Momentum of SGD, from 0 to below 1.")
    ] = None
    nesterov: Annotated[bool | None, Parameter(help="Use Nesterov's momentum.")] = None
    weight_decay: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Share of each trained tensor that is added to its gradient."),
    ] = None
    label_smoothing: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Share of each target that is spread over all classes, from 0 to below 1."),
    ] = None
    schedule: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            completer=completers.list_schedules,
            help="Learning rate over the training: `constant`, `cosine`, or `step` (a tenth after each third).",
        ),
    ] = None
    warm_up: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="Steps at the start in which the learning rate rises linearly."),
    ] = None
