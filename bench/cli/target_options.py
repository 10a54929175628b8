"""The options of `bench run` that compare tests of the user, and the refusal of those that do not go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter

from bench.cli import completers
from bench.cli.option_groups import TASK
from bench.cli.option_values import Names, make_number_parameter
from bench.errors import UserError

TARGET, SAME_OUTPUT, TOLERANCE = "--target", "--same-output", "--same-output-tolerance"
#: The options of `bench run` that mean the same for tests as for tasks.
BESIDE_TARGET = (
    *(TARGET, SAME_OUTPUT, TOLERANCE, "--suite", "--device", "--threads", "--launches", "--rounds", "--until"),
    *("--max-time", "--isolated", "--wait", "--strict", "--results", "--full", "--quiet", "--json"),
)


@Parameter(name="*", group=TASK)
@dataclass(frozen=True)
class TargetChoice:
    """Tests that are compared in place of backends."""

    target: Annotated[
        Names,
        Parameter(
            metavar="TEST",
            completer=completers.list_tests,
            help="pytest-benchmark test of yours to compare with others, in place of tasks, as "
            "`tests/test_steps.py::test_torch`; repeatable.",
        ),
    ] = ()
    same_output: Annotated[
        bool, Parameter(help="Compare what the tests of --target return before their speed, and stop if it differs.")
    ] = False
    same_output_tolerance: Annotated[
        float | None,
        make_number_parameter(0, kind=float),
        Parameter(help="Largest relative difference of outputs that count as the same; 0.0001 by default."),
    ] = None


def check_target_options(_: App, __: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Check the options beside `--target`, and that those which need it have it.

    Raises:
        UserError: there is one that makes no sense.
    """
    given = {argument.name: argument.tokens for argument in arguments if argument.tokens}
    positional = [token.value for name, tokens in given.items() if not name.startswith("-") for token in tokens]
    options = [name for name in given if name.startswith("-")]
    if TOLERANCE in given and SAME_OUTPUT not in given:
        raise UserError(f"{TOLERANCE} goes with {SAME_OUTPUT}: give both")
    if TARGET not in given:
        if SAME_OUTPUT in given:
            raise UserError(f"{SAME_OUTPUT} goes with {TARGET}: of tasks, what they compute is proven anyway")
        if positional:
            raise UserError(f"unexpected argument {positional[0]!r}: leave it out, or see bench run --help")
    elif others := [name for name in options if name not in BESIDE_TARGET]:
        raise UserError(f"{TARGET} measures tests in place of tasks: leave out {', '.join(others)}")
