"""`bench profile`: some training steps of one case under its framework's own profiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_groups import (
    OUTPUT,
    OWN,
    DataOptions,
    OutputOptions,
    TaskOptions,
    VariantOptions,
    WaitOption,
    numeric,
    request,
)


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class TraceOutput(OutputOptions):
    """Where the trace goes."""

    output: Annotated[
        Path | None, Parameter(help="File for the trace, .json.gz or .json; in --results by default.")
    ] = None


def profile(
    case: Annotated[
        str, Parameter(completer=completers.cases, help="Case to profile: `backend` or `backend/variant`.")
    ],
    /,
    *,
    steps: Annotated[int, numeric(1), Parameter(group=OWN, show_default=True, help="Training steps to profile.")] = 20,
    task: TaskOptions = TaskOptions(),
    variant: VariantOptions = VariantOptions(),
    data: DataOptions = DataOptions(),
    effort: WaitOption = WaitOption(),
    output: TraceOutput = TraceOutput(),
) -> int:
    """Profile some training steps with the framework's own profiler.

    It prints the operations that take most time, and writes a trace for Perfetto.
    """
    from bench.roofline.profile_run import profile_case

    backend, _, named = case.partition("/")
    asked = request(task, variant, data, output, backends=(backend,))
    if named:
        asked = replace(asked, variants=(named, *asked.variants))
    return profile_case(asked, steps, output.output, effort.wait)
