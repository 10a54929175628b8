"""The options that commands share, in groups; a command names the groups that it takes.

A group is a frozen dataclass. `make_request` combines the values of several groups in a `bench.plan.request.Request`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter

from bench.cli import completers
from bench.cli.option_values import Channels, Names, Numbers, Suite, UserPath, make_converter, make_number_parameter
from bench.cli.recipe_options import RecipeOptions
from bench.errors import UserError
from bench.plan import amounts

if TYPE_CHECKING:
    from bench.plan.request import Request

OPTIONS = Group("Options", sort_key=1)
TASK = Group("Task", sort_key=2)
CASE = Group("Case", sort_key=3)
DATA = Group("Data", sort_key=4)
EFFORT = Group("Effort", sort_key=5)
OUTPUT = Group("Output", sort_key=6)

#: An interrupted run or sweep, or a run to save; a command adds its own help.
Run = Parameter(group=OPTIONS, metavar="RUN", completer=completers.list_runs)
#: The backend or case that the others are compared with; each command adds its default.
Reference = Parameter(
    group=OUTPUT,
    metavar="NAME",
    completer=completers.list_cases,
    help="Backend or case that ratios are relative to, as `keras` or `keras/tuned`.",
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
            completer=completers.list_tasks,
            help="Task to train in place of the suite's (see `bench list tasks`); repeatable.",
        ),
    ] = ()


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class TaskOptions(RecipeOptions, TaskChoice):
    """Which tasks, and new values for their fields."""

    backbone: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            completer=completers.list_backbones,
            help="Pretrained network (see `bench list backbones`), one of timm, as `timm/vit_tiny_patch16_224`, or "
            "a `.pt2` file of `torch.export.save`.",
        ),
    ] = None
    weights: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            completer=completers.list_weights,
            help="Checkpoint of the backbone, or `random` for random weights.",
        ),
    ] = None
    trainable: Annotated[
        str | None,
        Parameter(
            metavar="PART",
            completer=completers.list_trainable_parts,
            help="Part to train: `head`, `last-stage` (with the head) or `all`.",
        ),
    ] = None
    batch_size: Annotated[int | None, make_number_parameter(), Parameter(help="Images per training step.")] = None
    epochs: Annotated[int | None, make_number_parameter(), Parameter(help="Passes over the training images.")] = None
    image_size: Annotated[
        int | None, make_number_parameter(), Parameter(help="Width and height of the images in pixels.")
    ] = None
    resize: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="With --images: pixels of the shorter side, before the crop; by default as many as the crop."),
    ] = None
    crop: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="With --images: width and height of the centre that is kept; the image size by default."),
    ] = None
    mean: Annotated[
        Channels | None,
        Parameter(help="Mean of each channel, of pixels from 0 to 1, as `0.485,0.456,0.406`; or one for all."),
    ] = None
    std: Annotated[
        Channels | None, Parameter(help="Standard deviation of each channel, as `0.229,0.224,0.225`; or one for all.")
    ] = None
    learning_rate: Annotated[
        float | None, make_number_parameter(kind=float), Parameter(help="Learning rate, before a schedule changes it.")
    ] = None
    train_limit: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="Number of training images, a random subset; the suite's limit by default, or all."),
    ] = None
    seed: Annotated[
        int | None,
        make_number_parameter(),
        Parameter(help="Seed of all that is random: initial values, order of images, subsets, augmentation."),
    ] = None

    @property
    def overrides(self) -> dict[str, Any]:
        """The fields of the task that were given."""
        others = {"suite", "task", "target"}
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}
        return {name: value for name, value in values.items() if value is not None}


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class DeviceOptions:
    """What a case runs on."""

    device: Annotated[
        str,
        Parameter(
            metavar="NAME",
            completer=completers.list_devices,
            show_default=True,
            help="Device to train on: `cpu`, `cuda` or `cuda:N`.",
        ),
    ] = "cpu"
    threads: Annotated[
        int | None,
        make_number_parameter(1),
        Parameter(help="Threads of an operation; by default OMP_NUM_THREADS, the CPU quota or all usable cores."),
    ] = None


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class VariantChoice:
    """How a backend runs a case."""

    variant: Annotated[
        Names,
        Parameter(
            metavar="NAME",
            completer=completers.list_variants,
            help="Variant to run: `default`, `matched` or `tuned` (see `bench list variants`); repeatable; "
            "`default` if neither this nor a knob is given.",
        ),
    ] = ()
    knob: Annotated[
        Names,
        Parameter(
            metavar="KNOB=VALUE",
            completer=completers.list_knobs,
            help="Knob to set, as `precision=bf16` (see `bench list knobs`); repeatable: two values make two cases.",
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
            completer=completers.list_backends,
            help="Backend to run (see `bench list backends`); repeatable, the suite's by default.",
        ),
    ] = ()


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class SeveralDevices:
    """On how many devices."""

    devices: Annotated[
        Numbers,
        Parameter(
            metavar="INT",
            help="Number of devices that train a case together, with one process each; they share each batch; "
            "repeatable: two numbers make two cases.",
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


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class SpreadCaseOptions(SeveralDevices, CaseOptions):
    """Which backends and variants, on what, and on how many devices."""


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class SpreadVariantOptions(SeveralDevices, VariantOptions):
    """How a backend runs a case, on what, and on how many devices."""


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataFolder:
    """Where images are."""

    data_dir: Annotated[
        UserPath | None,
        Parameter(help="CIFAR-10 on disk: its folder (`cifar-10-batches-py`), one that it is in, or its archive."),
    ] = None
    images: Annotated[
        UserPath | None,
        Parameter(
            help="Your own images, in place of the task's: a folder of class folders, an .npz file, Parquet files, or "
            "CIFAR-100."
        ),
    ] = None


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataOptions(DataFolder):
    """Where images and weights are."""

    checkpoint: Annotated[
        UserPath | None,
        Parameter(
            help="Weights on disk: a checkpoint of PyTorch (.pth, .ckpt, …), a .safetensors file, or its folder."
        ),
    ] = None


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class CachingDataOptions(DataOptions):
    """Where images and weights are, and how much of the disk cached features may take."""

    cache_limit: Annotated[
        int,
        Parameter(
            converter=make_converter(amounts.parse_size),
            allow_leading_hyphen=True,
            metavar="SIZE",
            show_default=lambda size: f"{size // 2**30}GB",
            help="Disk space for cached features, as `500MB` or `4GB`.",
        ),
    ] = 4 * 2**30


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class WaitOption:
    """Whether to wait for the machine."""

    wait: Annotated[bool, Parameter(help="Wait for another measurement on this machine to end.")] = False


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class EffortOptions(WaitOption):
    """How thoroughly to measure."""

    launches: Annotated[
        int | None,
        make_number_parameter(1),
        Parameter(help="Number of times that each case is started; the suite's by default."),
    ] = None
    rounds: Annotated[
        int | None,
        make_number_parameter(2),
        Parameter(help="Timed rounds in each launch, 2 or more; the suite's by default."),
    ] = None


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class OutputOptions:
    """Where runs are."""

    results: Annotated[UserPath, Parameter(show_default=True, help="Folder of runs, baselines, plots and traces.")] = (
        Path("results")
    )


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class ProgressOptions:
    """What is printed, and for whom."""

    quiet: Annotated[bool, Parameter(help="Print the result and where it is, and nothing else.")] = False
    json: Annotated[
        bool, Parameter(help="Write one JSON object a line to stdout for each event, for programs; and nothing else.")
    ] = False

    def __post_init__(self) -> None:
        if self.quiet and self.json:
            raise UserError("--quiet is for people and --json for programs: leave one of them out")


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class ReportOptions(OutputOptions):
    """Where runs are, and how much of one is printed."""

    full: Annotated[bool, Parameter(help="Print all tables, not only one for each task.")] = False


#: The names in a request of options that have another name in a group.
REQUEST_NAMES: Mapping[str, str] = {"task": "tasks", "backend": "backends", "variant": "variants", "knob": "knobs"}


def make_request(*groups: Any, **own: Any) -> "Request":
    """Make a request from the options of several groups, and from values of the command itself."""
    from bench.plan.request import Request

    known = {field.name for field in fields(Request)}
    values: dict[str, Any] = {}
    for group in groups:
        if isinstance(group, TaskOptions):
            values["overrides"] = group.overrides
        values |= {REQUEST_NAMES.get(field.name, field.name): getattr(group, field.name) for field in fields(group)}
    return Request(**{name: value for name, value in values.items() if name in known}, **own)


#: The options on which no figure depends.
FREE_BESIDE_RESUME = ("--results", "--strict", "--wait", "--quiet", "--json", "--full")


def refuse_options_beside_resume(_: App, __: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse options beside `--resume` on which a figure depends: a resumed run keeps the options that it had.

    Raises:
        UserError: there are some.
    """
    given = [argument.name for argument in arguments if argument.tokens]
    others = [name for name in given if name not in (*FREE_BESIDE_RESUME, "--resume")]
    if "--resume" in given and others:
        raise UserError(f"--resume keeps the options that the run had: leave out {', '.join(others)}")
