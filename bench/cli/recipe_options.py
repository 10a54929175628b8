"""The options of a task's recipe, beside its learning rate; `bench.cli.option_groups.TaskOptions` takes them."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_values import make_number_parameter


@dataclass(frozen=True)
class RecipeOptions:
    """How a task is trained."""

    update_rule: Annotated[
        str | None,
        Parameter(metavar="NAME", completer=completers.list_update_rules, help="What trains: `sgd` or `adamw`."),
    ] = None
    momentum: Annotated[
        float | None, make_number_parameter(kind=float), Parameter(help="Momentum of SGD, from 0 to below 1.")
    ] = None
    nesterov: Annotated[bool | None, Parameter(help="Use Nesterov's momentum.")] = None
    beta1: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(name="--beta1", help="AdamW's decay of the first moment."),
    ] = None
    beta2: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(name="--beta2", help="AdamW's decay of the second moment."),
    ] = None
    epsilon: Annotated[
        float | None, make_number_parameter(kind=float), Parameter(help="AdamW's epsilon, added to the root.")
    ] = None
    weight_decay: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Weight decay: of SGD part of the gradient, of AdamW beside the update."),
    ] = None
    clip_norm: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Largest norm of all gradients together; larger ones are scaled down to it."),
    ] = None
    accumulate: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="Steps whose gradients are averaged for one update; 1 by default."),
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
        Parameter(help="Updates at the start in which the learning rate rises linearly."),
    ] = None
    schedule_steps: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="Updates that warm-up and schedule take together; the whole training by default."),
    ] = None
    flip: Annotated[bool | None, Parameter(help="Flip training images horizontally at random.")] = None
    crop_scale: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Crop training images at random, from this share of the area on, and resize the crops."),
    ] = None
    jitter: Annotated[
        float | None,
        make_number_parameter(kind=float),
        Parameter(help="Change brightness, contrast and saturation at random, by factors so far from 1."),
    ] = None
