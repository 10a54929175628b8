"""The command line. Heavy modules are imported by the command that needs them, so that `--help` is quick."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.amounts import margin as margin_of
from bench.cli.amounts import seconds, share, size
from bench.cli.cli_sweep import sweep
from bench.cli.inside import inside
from bench.cli.kept import baselines, caches
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
    RelativeTo,
    Results,
    Seed,
    Tasks,
    Threads,
    Trainable,
    TrainLimit,
    Variants,
    Wait,
    Weights,
    given,
    refuse_beside_resume,
)
from bench.cli.tuning import tuning
from bench.errors import UserError

#: click's; Typer carries a click of its own from 0.26 on, so it is found by way of Typer.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Which framework should I fine-tune with, on this machine?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[
        str, typer.Option(help="How thoroughly to measure: `bench list suites`, or a TOML file.")
    ] = "standard",
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
    until: Annotated[
        str | None, typer.Option(help="Add launches until every ratio's interval reaches no further, as `2%`.")
    ] = None,
    max_time: Annotated[str | None, typer.Option(help="Until then: `90s`, `10m` or `1h`.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Fine-tunes, each from a seed of its own.")] = 1,
    cache_limit: Annotated[str, typer.Option(help="What cached features may take on disk: `500MB`, `4GB`.")] = "4GB",
    isolated: Annotated[bool, typer.Option(help="One worker at a time, where memory cannot hold all.")] = False,
    relative_to: RelativeTo = "pytorch",
    strict: Annotated[bool, typer.Option(help="Exit status 1 where there is a warning.")] = False,
    wait: Wait = False,
    resume: Annotated[str | None, typer.Option(help="Finish this run, with the options that it had.")] = None,
    results: Results = Path("results"),
) -> None:
    """Compare the frameworks: prove that they run the same fine-tune, measure, print and store the tables."""
    from bench.cli.run import compare

    if resume is not None:
        refuse_beside_resume(context, {"resume", "results", "strict", "wait"})
    fields = given(
        batch_size=batch_size,
        epochs=epochs,
        image_size=image_size,
        learning_rate=learning_rate,
        train_limit=train_limit,
        trainable=trainable,
        seed=seed,
        weights=weights,
    )
    raise typer.Exit(
        compare(
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            variants=variant or (),
            knobs=knob or (),
            overrides=fields,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            launches=launches,
            rounds=rounds,
            until=share(until),
            max_time=seconds(max_time),
            seeds=seeds,
            cache_limit=size(cache_limit),
            isolated=isolated,
            relative_to=relative_to,
            strict=strict,
            wait=wait,
            resume_run=resume,
            results=results,
        )
    )


@app.command()
def parity(
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
) -> None:
    """Prove that the backends run the same fine-tune: the whole proof, with the fine-tune, without measuring."""
    from bench.cli.parity import prove

    fields = given(
        batch_size=batch_size,
        epochs=epochs,
        image_size=image_size,
        learning_rate=learning_rate,
        train_limit=train_limit,
        trainable=trainable,
        seed=seed,
        weights=weights,
    )
    raise typer.Exit(
        prove(
            tasks=task or (),
            backends=backend or (),
            variants=variant or (),
            knobs=knob or (),
            overrides=fields,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
        )
    )


@app.command()
def show(
    run: Annotated[
        str | None, typer.Argument(help="Name or folder of a run or a sweep; the newest by default.")
    ] = None,
    relative_to: Annotated[str | None, typer.Option(help="Backend that ratios are relative to.")] = None,
    results: Results = Path("results"),
) -> None:
    """Print the tables of a run, or of a sweep, again."""
    from bench.cli.show import show as show_run

    raise typer.Exit(show_run(run, relative_to, results))


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help="tasks, backends, suites, runs, warnings, variants, knobs or tuned.")],
    results: Results = Path("results"),
) -> None:
    """List tasks, backends, suites, runs, warnings, variants, knobs, or what was tuned and how."""
    from bench.cli.list import show_list

    show_list(what, results)


@app.command()
def selftest(
    backend: Annotated[str | None, typer.Option(help="Whose workers are used; the first one by default.")] = None,
    wait: Wait = False,
) -> None:
    """Check the harness on this machine: does it show what is planted, and nothing that is not there?"""
    from bench.cli.selftest import selftest as test

    raise typer.Exit(test(backend, wait))


@app.command()
def gate(
    against: Annotated[
        str | None, typer.Option(help="Revision that the working tree is compared with, side by side.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Or a baseline, by name or file: `bench baseline`.")] = None,
    against_package: Annotated[
        list[str] | None,
        typer.Option(help="Or the same code with another version, as torch==2.13.0; repeatable."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="A pytest-benchmark test of the repository you are in, as tests/test_step.py::test_step."),
    ] = None,
    task: Tasks = None,
    backend: Backends = None,
    suite: Annotated[str, typer.Option(help="Rounds, their length and the tasks: a suite, or a TOML file.")] = "gate",
    margin: Annotated[
        list[str] | None,
        typer.Option(help="Smallest change that matters, as `3%`, or of one metric, as `host-memory=5%`; repeatable."),
    ] = None,
    alpha: Annotated[str, typer.Option(help="Share of gates without a change that may end slower.")] = "1%",
    max_time: Annotated[str | None, typer.Option(help="For all cases: `90s`, `10m` or `1h`.")] = None,
    undecided: Annotated[
        str | None, typer.Option(help="Count it as `pass` or `fail`; exit status 3 otherwise.")
    ] = None,
    base_env: Annotated[Path | None, typer.Option(help="Environment (venv) that the base runs in.")] = None,
    skip_unchanged: Annotated[
        bool, typer.Option(help="Pass at once where nothing that training depends on differs.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Accept a difference from the baseline: machine, versions, variables, threads, precision."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a table for a pull request's comment there.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML there.")] = None,
    data_dir: DataDir = None,
    checkpoint: CheckpointPath = None,
    device: Device = "cpu",
    threads: Threads = None,
    wait: Wait = False,
    results: Results = Path("results"),
) -> None:
    """Did training become slower? Compare the working tree with a revision, both measured in the same minutes.

    Exit status: 0 no, 1 yes, 2 it cannot be compared, 3 undecided.
    """
    from bench.cli.gate import gate as decide
    from bench.gate.gate_options import Ask
    from bench.gate.gate_report import Files

    if undecided not in (None, "pass", "fail"):
        raise UserError(f"--undecided {undecided}: use pass or fail")
    ask = Ask(
        against=against,
        baseline=baseline,
        packages=tuple(against_package or ()),
        target=target,
        margin=[margin_of(text) for text in margin or ()],
        alpha=share(alpha) or 0.0,
        max_time=seconds(max_time),
        base_env=base_env,
        skip_unchanged=skip_unchanged,
        allow=tuple(allow or ()),
        results=results,
    )
    raise typer.Exit(
        decide(
            ask,
            undecided=undecided,
            files=Files(json, markdown, junit),
            wait=wait,
            suite=suite,
            tasks=task or (),
            backends=backend or (),
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
        )
    )


app.add_typer(tuning)
app.add_typer(inside)
app.command()(sweep)
app.add_typer(baselines, name="baseline")
app.add_typer(caches, name="cache")


@app.command(name="gate-selftest")
def gate_selftest(
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="To spend; about an hour and a half if it is left out.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Show how often the gate is right on this machine: a revision with itself, and commits that slow training down."""
    from bench.cli.gate_selftest import selftest as test

    raise typer.Exit(test(hours, wait))


@app.command()
def trend(
    case: Annotated[list[str] | None, typer.Option(help="Part of a case's name; repeatable. All by default.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Repeatable; all by default.")] = None,
    history: Annotated[str | None, typer.Option(help="A baseline, over its git history, in place of the runs.")] = None,
    results: Results = Path("results"),
) -> None:
    """Show figures over all runs, and where they changed for good."""
    from bench.cli.trend import show as show_trend

    show_trend(case or (), metric or (), history, results)


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say what is installed, which data and weights are found and where, which GPUs, and what would be skipped."""
    from bench.cli.doctor import examine

    examine(data_dir)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    # A termination stops workers as Ctrl-C does, also in a background job, whose SIGINT is ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        status = _refuse(str(error))
    except UsageError as error:
        status = _refuse(error.format_message())  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        status = _refuse(f"the disk is full: {error.filename or 'a file'} could not be written: free space there")
    except (KeyboardInterrupt, typer.Abort):
        print("bench: stopped", file=sys.stderr)
        status = 130
    sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str) -> int:
    print(f"bench: {' '.join(message.split())}", file=sys.stderr)
    return 2
