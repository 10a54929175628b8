"""`bench coverage`: export networks of timm, build them in each engine, and prove that they are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.option_values import Names, make_number_parameter
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.coverage.coverage_record import CoverageRecord

#: In millions: a network of this size is exported and built in about a minute on two cores.
MOST_PARAMETERS = 60


def coverage(
    *names: Annotated[str, Parameter(metavar="NAME", help="Network of timm, as resnet18 or timm/resnet18.")],
    sample: Annotated[
        int | None,
        make_number_parameter(least=1),
        Parameter(help="So many networks, drawn at random, in place of names."),
    ] = None,
    seed: Annotated[int | None, make_number_parameter(least=0), Parameter(help="Of the sample (0).")] = None,
    most_parameters: Annotated[
        int | None,
        make_number_parameter(least=1),
        Parameter(metavar="MILLION", help="Of a network in the sample, at most (60)."),
    ] = None,
    backend: Annotated[
        Names, Parameter(metavar="NAME", help="Backend that builds the networks (all that are installed); repeatable.")
    ] = (),
    again: Annotated[bool, Parameter(help="Build networks again that an earlier command has proven.")] = False,
) -> int:
    """Which networks can every engine build, and are they the same?

    Each network is exported from PyTorch with random weights. Each backend builds it with its own operations, and its
    features are compared with PyTorch's. The command may be stopped, and goes on where it was.
    """
    if sample is None:
        for option, value in (("seed", seed), ("most-parameters", most_parameters)):
            if value is not None:
                raise UserError(f"--{option} {value}: it is of a sample, which --sample 20 draws")
    most = MOST_PARAMETERS if most_parameters is None else most_parameters
    return show_coverage(names, sample, seed or 0, most * 1_000_000, backend, again)


def show_coverage(
    names: tuple[str, ...], sample: int | None, seed: int, most_parameters: int, chosen: tuple[str, ...], again: bool
) -> int:
    """Print a line for each network, and a table by family; after Ctrl-C one of what was found until then.

    The exit status is 0; 1 if a network could not be exported, or is another one in a backend.

    Raises:
        UserError: an unknown network or backend, or what is needed is not installed.
    """
    from rich.console import Console

    from bench.coverage.coverage_run import choose_backends, choose_names, cover
    from bench.coverage.coverage_table import build_table, describe_network
    from bench.report.terminal import render_table

    console = Console(highlight=False)
    engines = choose_backends(chosen)
    networks = choose_names(names, sample, seed, most_parameters)

    records: list[CoverageRecord] = []

    def say(record: CoverageRecord, kept: bool) -> None:
        records.append(record)
        line = f"{len(records)} of {len(networks)}: {describe_network(record, engines)}"
        console.print(f"{line} (kept)" if kept else line, markup=False, soft_wrap=True)

    try:
        cover(networks, engines, again, say)
    finally:
        if records:
            console.print(render_table(build_table(records, engines)))
    return 0 if records and all(one.is_proven(engine) for one in records for engine in engines) else 1
