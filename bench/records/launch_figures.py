"""The figures of one launch that the gate compares: by metric, and for each metric more is worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backends.task import Task, Variant
from bench.records.record import Record, Rounds

#: Phases that only some launches have; the host's peak leaves them out.
OCCASIONAL_PHASES = ("fine-tune", "evaluation")


@dataclass(frozen=True)
class LaunchFigures:
    """The figures of one launch of a case.

    Attributes:
        case: its name in verdicts, for example `pytorch/default cifar10-resnet18`.
        values: by metric of `bench.analysis.metrics`. Where rounds are timed: seconds per step of each round, in order;
            else one figure, in seconds or bytes. A metric that was not measured is left out.
        right: (correct predictions, test images) by the seed of the fine-tune.
    """

    case: str
    values: Mapping[str, tuple[float, ...]]
    right: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def extract_figures(record: Record, proving: bool) -> LaunchFigures:
    """Extract the figures of a record.

    Args:
        record: one launch.
        proving: whether the launch also computed the evidence for the proof of sameness. The process keeps that
            memory, which changes its peaks by some per cent, so no memory figures are taken from this launch.
    """
    memory = None if proving else record.memory
    phases = [phase for phase in memory.host if phase.name not in OCCASIONAL_PHASES] if memory else []
    host = [phase.peak + phase.children for phase in phases if phase.peak]
    once = {
        "first-step": record.start_up.first_step_s if record.start_up else None,
        "host-memory": max(host, default=None),
        "device-memory": memory.device_allocated if memory else None,
    }
    return LaunchFigures(
        case=format_case_name(record.backend, record.variant, record.task),
        values={
            **{rounds.kind: seconds_per_step(rounds) for rounds in (record.pipeline, record.compute) if rounds},
            **{name: (float(figure),) for name, figure in once.items() if figure},
        },
        right={tune.seed: (tune.correct, tune.test_images) for tune in record.fine_tunes if tune.correct is not None},
    )


def format_case_name(backend: str, variant: Variant, task: Task) -> str:
    """Format the name of a case for verdicts, for example `pytorch/default cifar10-resnet18`."""
    return f"{backend}/{variant.name} {task.name}"


def seconds_per_step(rounds: Rounds) -> tuple[float, ...]:
    """Compute the seconds per step of each round."""
    return tuple(seconds / rounds.steps for seconds in rounds.seconds)
