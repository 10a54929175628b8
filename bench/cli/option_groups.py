"""The options of the command line, each declared once. A command names the groups that it takes.

A group is a frozen value. `request` makes what several of them ask for into one `bench.plan.request.Request`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter, Token

from bench.cli import amounts, completers
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.plan.request import Request

Convert = Callable[[Any, tuple[Token, ...]], Any]
Names = tuple[str, ...]

OWN = Group("Options", sort_key=1)
TASK = Group("Task", sort_key=2)
CASE = Group("Case", sort_key=3)
DATA = Group("Data", sort_key=4)
EFFORT = Group("Effort", sort_key=5)
OUTPUT = Group("Output", sort_key=6)


def parsed(parse: Callable[[str], Any]) -> Convert:
    """A converter of one value; what is wrong with the value stands behind the option's name."""

    def convert(_: Any, tokens: tuple[Token, ...]) -> Any:
        try:
            return parse(tokens[-1].value)
        except UserError as error:
            raise UserError(f"{tokens[-1].keyword}: {error}") from None

    return convert


def numeric(least: float | None = None, kind: type[int] | type[float] = int) -> Parameter:
    """A number; whole unless `kind` is float, and not below `least`."""
    what = "a whole number" if kind is int else "a number"
    what += "" if least is None else f", {least:g} or more"

    def convert(_: Any, tokens: tuple[Token, ...]) -> float:
        option, text = tokens[-1].keyword, tokens[-1].value or "''"
        try:
            value = kind(text)
        except ValueError:
            raise UserError(f"{option} {text}: give {what}") from None
        if least is not None and not value >= least:
            raise UserError(f"{option} {text}: give {what}")
        return value

    return Parameter(converter=convert)


Share = Annotated[float, Parameter(converter=parsed(amounts.share), metavar="PERCENT")]
Seconds = Annotated[float, Parameter(converter=parsed(amounts.seconds), metavar="TIME")]
Suite = Annotated[
    str,
    Parameter(
        metavar="NAME",
        completer=completers.suites,
        show_default=True,
        help="Suite that sets the tasks and how thoroughly to measure: a name of `bench list suites`, or a TOML file.",
    ),
]
#: Backend or case of which others are multiples; a command adds its own default.
Reference = Parameter(
    group=OUTPUT,
    metavar="NAME",
    completer=completers.cases,
    help="Backend or case that ratios are relative to.",
)


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class TaskChoice:
    """Which tasks."""

    suite: Suite = "standard"
    task: Annotated[
        Names,
        Parameter(
            metavar="NAME",
            completer=completers.tasks,
            help="Task to train in place of the suite's; repeatable. See `bench list tasks`.",
        ),
    ] = ()


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class TaskOptions(TaskChoice):
    """Which tasks, and the fields of a task that are to have other values."""

    backbone: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            completer=completers.backbones,
            help="Pretrained network to fine-tune. See `bench list backbones`.",
        ),
    ] = None
    weights: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            completer=completers.weights,
            help="Checkpoint of the backbone; `random` draws the weights from the seed.",
        ),
    ] = None
    trainable: Annotated[
        str | None,
        Parameter(
            metavar="PART",
            completer=completers.trainable,
            help="What is trained: `head`, `last-stage` (of the backbone, and the head) or `all`.",
        ),
    ] = None
    batch_size: Annotated[int | None, numeric(), Parameter(help="Images per training step.")] = None
    epochs: Annotated[int | None, numeric(), Parameter(help="Passes over the training images.")] = None
    image_size: Annotated[
        int | None, numeric(), Parameter(help="Width and height in pixels that images are resized to.")
    ] = None
    learning_rate: Annotated[float | None, numeric(kind=float), Parameter(help="Learning rate of SGD.")] = None
    train_limit: Annotated[
        int | None, numeric(), Parameter(help="Number of training images, drawn from the seed; all by default.")
    ] = None
    seed: Annotated[
        int | None, numeric(), Parameter(help="Seed of the head's initial values, the subset and the order of images.")
    ] = None

    @property
    def overrides(self) -> dict[str, Any]:
        """The fields of the task that were given."""
        chosen = {"suite", "task", "target"}
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in chosen}
        return {name: value for name, value in values.items() if value is not None}


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class DeviceOptions:
    """What a case runs on."""

    device: Annotated[
        str,
        Parameter(
            metavar="NAME",
            completer=completers.devices,
            show_default=True,
            help="Device to train on: `cpu`, `cuda` or `cuda:N`.",
        ),
    ] = "cpu"
    threads: Annotated[
        int | None, numeric(1), Parameter(help="Threads of one operation; all usable cores by default.")
    ] = None


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class VariantChoice:
    """How a backend runs a case."""

    variant: Annotated[
        Names,
        Parameter(
            metavar="NAME",
            completer=completers.variants,
            help="Named variant to measure; repeatable, `default` by default. See `bench list variants`.",
        ),
    ] = ()
    knob: Annotated[
        Names,
        Parameter(
            metavar="KNOB=VALUE",
            completer=completers.knobs,
            help="Knob to set, as `precision=bf16`; repeatable. A knob that is given twice makes a case for each "
            "value. See `bench list knobs`.",
        ),
    ] = ()


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class BackendChoice:
    """Which backends."""

    backend: Annotated[
        Names,
        Parameter(
            metavar="NAME",
            completer=completers.backend_names,
            help="Backend to measure; repeatable, all by default. See `bench list backends`.",
        ),
    ] = ()


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class VariantOptions(DeviceOptions, VariantChoice):
    """How a backend runs a case, and on what."""


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class BackendOptions(DeviceOptions, BackendChoice):
    """Which backends, and on what."""


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class CaseOptions(DeviceOptions, VariantChoice, BackendChoice):
    """Which backends and variants, and on what."""


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataFolder:
    """Where images are."""

    data_dir: Annotated[Path | None, Parameter(help="Folder with the batches of CIFAR-10 (cifar-10-batches-py).")] = (
        None
    )


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataOptions(DataFolder):
    """Where images and weights are."""

    checkpoint: Annotated[
        Path | None, Parameter(help="Weights on disk: a state dict (.pth), or a folder in timm's layout.")
    ] = None


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class CachingDataOptions(DataOptions):
    """Where images and weights are, and how much of the disk cached features may take."""

    cache_limit: Annotated[
        int,
        Parameter(
            converter=parsed(amounts.size),
            metavar="SIZE",
            show_default=lambda size: f"{size // 2**30}GB",
            help="Disk space for cached features, as `500MB` or `4GB`.",
        ),
    ] = 4 * 2**30


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class WaitOption:
    """Whether to wait for the machine."""

    wait: Annotated[bool, Parameter(help="Wait until another measurement on this machine has ended.")] = False


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class EffortOptions(WaitOption):
    """How thoroughly to measure."""

    launches: Annotated[
        int | None, numeric(1), Parameter(help="Starts of a worker for each case; the suite's by default.")
    ] = None
    rounds: Annotated[
        int | None, numeric(2), Parameter(help="Timed rounds of each kind in a launch; the suite's by default.")
    ] = None


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class OutputOptions:
    """Where runs are."""

    results: Annotated[Path, Parameter(show_default=True, help="Folder of runs and baselines.")] = Path("results")


#: How options of the groups are called in a request, where that is another name.
IN_A_REQUEST: Mapping[str, str] = {"task": "tasks", "backend": "backends", "variant": "variants", "knob": "knobs"}


def request(*groups: Any, **own: Any) -> "Request":
    """What the options of several groups, and some of a command's own, ask for."""
    from bench.plan.request import Request

    known = {field.name for field in fields(Request)}
    asked: dict[str, Any] = {}
    for group in groups:
        if isinstance(group, TaskOptions):
            asked["overrides"] = group.overrides
        values = {field.name: getattr(group, field.name) for field in fields(group)}
        asked |= {IN_A_REQUEST.get(name, name): value for name, value in values.items()}
    return Request(**{name: value for name, value in asked.items() if name in known}, **own)


def refuse_beside_resume(_: App, __: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse options beside `--resume`, but for those that decide no figure: what is resumed has its options already.

    Raises:
        UserError: others were given.
    """
    given = [argument.name for argument in arguments if argument.tokens]
    others = [name for name in given if name not in ("--resume", "--results", "--strict", "--wait")]
    if "--resume" in given and others:
        raise UserError(f"--resume takes the options that the run had: leave out {', '.join(others)}")
