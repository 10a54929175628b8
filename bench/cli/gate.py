"""`bench gate`: did this change slow training down? Measured side by side, decided as soon as it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from bench.cli import amounts, completers
from bench.cli.option_groups import (
    EFFORT,
    OUTPUT,
    OWN,
    TASK,
    BackendOptions,
    DataOptions,
    Names,
    OutputOptions,
    Seconds,
    Share,
    Suite,
    TaskOptions,
    WaitOption,
    parsed,
    request,
)

if TYPE_CHECKING:
    from bench.gate.judgement import Judgement

    Found = tuple[list[Judgement], dict[str, object], list[str]]


AGAINST = Group("Compare with", sort_key=0)


@Parameter(name="*", group=AGAINST)
@dataclass(frozen=True)
class Against:
    """What the working tree is compared with."""

    against: Annotated[
        str | None,
        Parameter(metavar="REVISION", help="Git revision, measured side by side with the working tree."),
    ] = None
    baseline: Annotated[
        str | None,
        Parameter(metavar="NAME", completer=completers.baselines, help="Baseline, by name or file: `bench baseline`."),
    ] = None
    against_package: Annotated[
        Names,
        Parameter(
            metavar="PACKAGE", help="The same code with another version of a package, as torch==2.13.0; repeatable."
        ),
    ] = ()
    base_env: Annotated[
        Path | None, Parameter(help="Environment (venv) that the revision runs in; the same one by default.")
    ] = None
    skip_unchanged: Annotated[bool, Parameter(help="Pass at once if nothing that training depends on has changed.")] = (
        False
    )
    allow: Annotated[
        Names,
        Parameter(
            metavar="KIND",
            completer=completers.allowed,
            help="Difference from the baseline to accept; repeatable: machine, versions, variables, threads or "
            "precision.",
        ),
    ] = ()


def several_margins(_: Any, tokens: Sequence[Token]) -> tuple[tuple[str | None, float], ...]:
    """The margins of all metrics and of single ones."""
    return tuple(parsed(amounts.margin)(tuple, (token,)) for token in tokens)


@Parameter(name="*", group=OWN)
@dataclass(frozen=True)
class Decision:
    """How a verdict is reached."""

    margin: Annotated[
        tuple[tuple[str | None, float], ...],
        Parameter(
            metavar="PERCENT",
            converter=several_margins,
            n_tokens=1,
            completer=completers.margins,
            help="Smallest change that matters, as `3%`, or of one metric, as `host-memory=5%`; repeatable.",
        ),
    ] = ()
    alpha: Annotated[
        Share,
        Parameter(
            show_default=lambda share: f"{share:.0%}",
            help="Share of gates that may end with `slower` although nothing has changed.",
        ),
    ] = 0.01
    undecided: Annotated[
        Literal["pass", "fail"] | None, Parameter(help="What an open verdict counts as; exit status 3 by default.")
    ] = None


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class GateEffort(WaitOption):
    """How long a gate may take."""

    max_time: Annotated[Seconds | None, Parameter(help="Time for all cases together: `90s`, `10m` or `1h`.")] = None


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class GateOutput(OutputOptions):
    """Where figures and verdicts are written."""

    json: Annotated[Path | None, Parameter(help="File for the figures, as JSON.")] = None
    markdown: Annotated[Path | None, Parameter(help="File for a table for a pull request's comment.")] = None
    junit: Annotated[Path | None, Parameter(help="File for the verdicts, as JUnit XML.")] = None


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class GateTask(TaskOptions):
    """What is trained in both, or the test of one's own that is measured instead."""

    suite: Suite = "gate"
    target: Annotated[
        str | None,
        Parameter(
            metavar="TEST",
            help="pytest-benchmark test to measure in place of tasks, as tests/test_step.py::test_step, of the "
            "repository in the current folder.",
        ),
    ] = None


def gate(
    *,
    against: Against = Against(),
    decision: Decision = Decision(),
    task: GateTask = GateTask(),
    case: BackendOptions = BackendOptions(),
    data: DataOptions = DataOptions(),
    effort: GateEffort = GateEffort(),
    output: GateOutput = GateOutput(),
) -> int:
    """Find out whether a change made training slower.

    Both versions are measured in the same minutes.
    Exit status: 0 if training is not slower, 1 if it is, 2 if they cannot be compared, 3 if the verdict is open.
    """
    from bench.gate.gate_options import GateOptions
    from bench.gate.gate_report import ReportFiles
    from bench.gate.gate_run import decide

    ask = GateOptions(
        against=against.against,
        baseline=against.baseline,
        packages=against.against_package,
        target=task.target,
        margin=decision.margin,
        alpha=decision.alpha,
        max_time=effort.max_time,
        base_env=against.base_env,
        skip_unchanged=against.skip_unchanged,
        allow=against.allow,
        results=output.results,
    )
    asked = request(task, case, data, output)
    files = ReportFiles(output.json, output.markdown, output.junit)
    return decide(ask, asked, undecided=decision.undecided, files=files, wait=effort.wait)
