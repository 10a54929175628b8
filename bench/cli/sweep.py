"""`bench sweep`: fine-tune a task with every combination of some fields' values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from bench.cli import completers
from bench.cli.option_groups import (
    OPTIONS,
    BackendOptions,
    CachingDataOptions,
    OutputOptions,
    ProgressOptions,
    Run,
    TaskChoice,
    WaitOption,
    make_request,
)
from bench.cli.option_values import Names
from bench.errors import UserError
from bench.plan import amounts

SWEPT_FIELDS = Group("Swept fields", sort_key=1.5)
Values = Annotated[Names, Parameter(metavar="LIST")]


@Parameter(name="*", group=SWEPT_FIELDS)
@dataclass(frozen=True)
class SweptFields:
    """Values of a task's fields; each combination of them is a fine-tune."""

    learning_rate: Annotated[Values, Parameter(help="Learning rates, as `0.001,0.01`.")] = ()
    batch_size: Annotated[Values, Parameter(help="Batch sizes, as `4,32,128`.")] = ()
    epochs: Annotated[Values, Parameter(help="Numbers of epochs.")] = ()
    image_size: Annotated[Values, Parameter(help="Image sizes in pixels.")] = ()
    trainable: Annotated[Values, Parameter(help="Parts to train: `head`, `last-stage`, `all`.")] = ()
    update_rule: Annotated[
        Values, Parameter(completer=completers.list_update_rules, help="What trains: `sgd`, `adamw`.")
    ] = ()
    momentum: Annotated[Values, Parameter(help="Momenta of SGD, from 0 to below 1.")] = ()
    nesterov: Annotated[Values, Parameter(help="Nesterov's momentum or not: `true`, `false`.")] = ()
    weight_decay: Annotated[Values, Parameter(help="Weight decays, as `0,0.0001`.")] = ()
    clip_norm: Annotated[Values, Parameter(help="Largest norms of all gradients, as `0.5,1`.")] = ()
    accumulate: Annotated[Values, Parameter(help="Numbers of steps that make an update.")] = ()
    label_smoothing: Annotated[Values, Parameter(help="Shares of label smoothing, as `0,0.1`.")] = ()
    schedule: Annotated[
        Values,
        Parameter(completer=completers.list_schedules, help="Schedules of the rate: `constant`, `cosine`, `step`."),
    ] = ()
    warm_up: Annotated[Values, Parameter(help="Updates of warm-up.")] = ()
    flip: Annotated[Values, Parameter(help="Random horizontal flips or not: `true`, `false`.")] = ()
    crop_scale: Annotated[Values, Parameter(help="Least shares of the area in random crops, as `0.5,1`.")] = ()
    jitter: Annotated[Values, Parameter(help="Jitter of the colours, as `0,0.2`.")] = ()
    train_limit: Annotated[Values, Parameter(help="Numbers of training images.")] = ()
    seed: Annotated[Values, Parameter(help="Seeds.")] = ()
    backbone: Annotated[Values, Parameter(completer=completers.list_backbones, help="Pretrained networks.")] = ()
    weights: Annotated[Values, Parameter(completer=completers.list_weights, help="Checkpoints of the backbone.")] = ()
    set_: Annotated[
        Names,
        Parameter(
            name="--set",
            metavar="FIELD=LIST",
            completer=completers.list_fields,
            help="Values of any other field of a task, as `batch_norm=frozen,batch_stats`; repeatable.",
        ),
    ] = ()


def parse_target(_: Any, tokens: Sequence[Token]) -> float:
    """Parse a test accuracy.

    Raises:
        UserError: it is no share.
    """
    try:
        return amounts.parse_share(tokens[-1].value) or 0.0
    except UserError:
        raise UserError(
            f"--target {tokens[-1].value}: give a test accuracy above 0 and below 1, as 0.70 or 70%"
        ) from None


def sweep(
    *,
    resume: Annotated[
        str | None, Run, Parameter(help="Finish this interrupted sweep, with the options that it had.")
    ] = None,
    target: Annotated[
        float | None,
        Parameter(
            group=OPTIONS,
            metavar="ACCURACY",
            converter=parse_target,
            help="Show the time to this test accuracy, as `0.70` or `70%`.",
        ),
    ] = None,
    recompute: Annotated[
        bool, Parameter(group=OPTIONS, help="Compute features at every step, without the cache.")
    ] = False,
    swept: SweptFields = SweptFields(),
    task: TaskChoice = TaskChoice(),
    case: BackendOptions = BackendOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: WaitOption = WaitOption(),
    output: OutputOptions = OutputOptions(),
    progress: ProgressOptions = ProgressOptions(),
) -> int:
    """Fine-tune with all combinations of some settings.

    Give a list of values for each, as --batch-size 4,32. It shows the accuracy after each epoch.
    Features are computed once and kept, if the proof shows that cached features give the same fine-tune.
    """
    from bench.report.live.json_events import JsonEvents, report_errors
    from bench.sweep.sweep_run import run_sweep

    events = JsonEvents("sweep") if progress.json else None
    with report_errors(events):
        return run_sweep(
            make_request(task, case, data, output),
            values={field.name: getattr(swept, field.name) for field in fields(swept) if field.name != "set_"},
            settings=swept.set_,
            target=target,
            recompute=recompute,
            wait=effort.wait,
            resume_run=resume,
            quiet=progress.quiet,
            events=events,
        )
