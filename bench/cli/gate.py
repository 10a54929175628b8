"""`bench gate`: find out whether a change made training slower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from bench.cli import completers
from bench.cli.option_groups import (
    EFFORT,
    OPTIONS,
    OUTPUT,
    TASK,
    BackendOptions,
    DataOptions,
    OutputOptions,
    TaskOptions,
    WaitOption,
    make_request,
)
from bench.cli.option_values import Names, Seconds, Share, Suite, UserPath, make_converter, parse_name_or_file
from bench.plan import amounts

#: The value of --json for events on stdout, in place of a file.
EVENTS_ON_STDOUT = Path("-")
COMPARE_WITH = Group("Compare with", sort_key=0)


@Parameter(name="*", group=COMPARE_WITH)
@dataclass(frozen=True)
class AgainstOptions:
    """What the working tree is compared with."""

    against: Annotated[
        str | None,
        Parameter(metavar="REVISION", help="Git revision to compare the working tree with, side by side."),
    ] = None
    repository: Annotated[
        UserPath | None,
        Parameter(help="Folder of the repository whose working tree is compared; by default the current folder."),
    ] = None
    baseline: Annotated[
        str | None,
        Parameter(
            metavar="NAME",
            converter=make_converter(parse_name_or_file),
            completer=completers.list_baselines,
            help="Baseline to compare with, by name or file; see `bench baseline`.",
        ),
    ] = None
    against_package: Annotated[
        Names,
        Parameter(metavar="PACKAGE", help="Package version to compare with, as `torch==2.13.0`; repeatable."),
    ] = ()
    base_env: Annotated[
        UserPath | None,
        Parameter(help="Python environment (venv) for the base; by default the one that `bench` runs in."),
    ] = None
    skip_unchanged: Annotated[bool, Parameter(help="Pass at once if no file that training depends on has changed.")] = (
        False
    )
    allow: Annotated[
        Names,
        Parameter(
            metavar="KIND",
            completer=completers.list_allowable_differences,
            help="Difference from the baseline to accept: `machine`, `versions`, `variables`, `threads` or "
            "`precision`; repeatable.",
        ),
    ] = ()


def parse_margins(_: Any, tokens: Sequence[Token]) -> tuple[tuple[str | None, float], ...]:
    """Parse the margins of all metrics and of single metrics."""
    return tuple(make_converter(amounts.parse_margin)(tuple, (token,)) for token in tokens)


@Parameter(name="*", group=OPTIONS)
@dataclass(frozen=True)
class DecisionOptions:
    """How a verdict is reached."""

    margin: Annotated[
        tuple[tuple[str | None, float], ...],
        Parameter(
            metavar="PERCENT",
            converter=parse_margins,
            allow_leading_hyphen=True,
            n_tokens=1,
            completer=completers.list_margins,
            help="Smallest change that matters, as `3%`, or for one metric, as `host-memory=5%`; repeatable.",
        ),
    ] = ()
    alpha: Annotated[
        Share,
        Parameter(
            show_default=lambda share: f"{share:.0%}",
            help="Highest probability of a false alarm: unchanged training is called slower.",
        ),
    ] = 0.01
    undecided: Annotated[
        Literal["pass", "fail"] | None,
        Parameter(help="Exit with the status of this verdict if it is undecided; with 3 by default."),
    ] = None


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class GateEffort(WaitOption):
    """How long a gate may take."""

    max_time: Annotated[
        Seconds | None, Parameter(help="Time limit for all cases together, as `90s`, `10m` or `1h`.")
    ] = None


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class GateOutput(OutputOptions):
    """Where figures and verdicts are written."""

    json: Annotated[
        UserPath | None,
        Parameter(
            allow_leading_hyphen=True,
            help="File for the figures, as JSON; with `-`, one JSON object a line for each event, on stdout.",
        ),
    ] = None
    quiet: Annotated[bool, Parameter(help="Print the verdicts and where they are, and nothing else.")] = False
    markdown: Annotated[UserPath | None, Parameter(help="File for a table to post in a pull request, as Markdown.")] = (
        None
    )
    junit: Annotated[UserPath | None, Parameter(help="File for the verdicts, as JUnit XML.")] = None


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class GateTask(TaskOptions):
    """What is trained in both versions, or the test that is measured in place of training."""

    suite: Suite = "gate"
    target: Annotated[
        str | None,
        Parameter(
            metavar="TEST",
            completer=completers.list_tests,
            help="pytest-benchmark test to measure in place of tasks, as `tests/test_step.py::test_step`.",
        ),
    ] = None


def gate(
    *pytest_arguments: Annotated[
        str,
        Parameter(
            group=OPTIONS,
            help="After `--`: options of pytest for --target, as `-- -p my_plugin`.",
        ),
    ],
    against: AgainstOptions = AgainstOptions(),
    decision: DecisionOptions = DecisionOptions(),
    task: GateTask = GateTask(),
    case: BackendOptions = BackendOptions(),
    data: DataOptions = DataOptions(),
    effort: GateEffort = GateEffort(),
    output: GateOutput = GateOutput(),
) -> int:
    """Find out whether a change made training slower.

    Give one of --against, --baseline and --against-package.
    Exit status: 0 not slower, 1 slower or failed, 2 cannot be compared, 3 undecided.
    """
    from bench.gate.gate_options import GateOptions
    from bench.gate.gate_progress import GateProgress
    from bench.gate.gate_report import ReportFiles
    from bench.gate.gate_run import run_gate
    from bench.report.live.json_events import JsonEvents, report_errors

    options = GateOptions(
        against=against.against,
        baseline=against.baseline,
        packages=against.against_package,
        repository=against.repository,
        target=task.target,
        pytest_arguments=pytest_arguments,
        margin=decision.margin,
        alpha=decision.alpha,
        max_time=effort.max_time,
        base_env=against.base_env,
        skip_unchanged=against.skip_unchanged,
        allow=against.allow,
        results=output.results,
    )
    gate_request = make_request(task, case, data, output)
    events = JsonEvents("gate") if output.json == EVENTS_ON_STDOUT else None
    files = ReportFiles(None if events else output.json, output.markdown, output.junit)
    with report_errors(events):
        return run_gate(
            options,
            gate_request,
            undecided=decision.undecided,
            files=files,
            wait=effort.wait,
            progress=GateProgress(output.quiet, events),
        )
