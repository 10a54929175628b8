"""`bench profile`: profile some training steps of one case with its framework's own profiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_groups import (
    OPTIONS,
    OUTPUT,
    DataOptions,
    OutputOptions,
    SpreadVariantOptions,
    TaskOptions,
    WaitOption,
    make_request,
)
from bench.cli.option_values import UserPath, make_number_parameter
from bench.errors import UserError


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class TraceOutput(OutputOptions):
    """Where the trace goes."""

    output: Annotated[
        UserPath | None, Parameter(help="File for the trace (.json.gz or .json); in --results by default.")
    ] = None


def profile(
    case: Annotated[
        str, Parameter(completer=completers.list_cases, help="Case to profile, as `keras` or `keras/tuned`.")
    ],
    /,
    *,
    steps: Annotated[
        int, make_number_parameter(1), Parameter(group=OPTIONS, show_default=True, help="Training steps to profile.")
    ] = 20,
    task: TaskOptions = TaskOptions(),
    variant: SpreadVariantOptions = SpreadVariantOptions(),
    data: DataOptions = DataOptions(),
    effort: WaitOption = WaitOption(),
    output: TraceOutput = TraceOutput(),
) -> int:
    """Profile some training steps with the framework's own profiler.

    It prints the operations that take most time, and writes a trace for ui.perfetto.dev.
    """
    from bench.roofline.profile_run import profile_case

    backend, _, variant_name = case.partition("/")
    request = make_request(task, variant, data, output, backends=(backend,))
    if variant_name and request.knobs:
        options = " ".join(f"--knob {setting}" for setting in request.knobs)
        raise UserError(f"{case} is a variant with its own knobs: bench profile {backend} {options}")
    if variant_name:
        request = replace(request, variants=(variant_name, *request.variants))
    return profile_case(request, steps, output.output, effort.wait)
