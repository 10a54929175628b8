"""What one launch measured, as far as it is gated: figures by metric, of which more is worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backends.task import Task, Variant
from bench.records.record import Record, Rounds

#: Phases that not every launch has.
ONCE = ("fine-tune", "evaluation")


@dataclass(frozen=True)
class Figures:
    """One launch of one arm.

    Attributes:
        case: as verdicts call it, `pytorch/default cifar10-resnet18`.
        values: by metric of `bench.analysis.metrics`: seconds a step of each round, in their order; one figure in
            seconds or bytes of what is measured once a launch. A metric that was not measured is left out.
        right: correct predictions and test images, by the seed of the fine-tune.
    """

    case: str
    values: Mapping[str, tuple[float, ...]]
    right: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def of_record(record: Record, proving: bool) -> Figures:
    """A record's figures.

    Args:
        record: of one launch.
        proving: whether the launch also gave the evidence for the proof of sameness. What that allocates stays with
            the process and moves its peaks by some per cent, so such a launch tells nothing of memory.
    """
    memory = None if proving else record.memory
    phases = [phase for phase in memory.host if phase.name not in ONCE] if memory else []
    host = [phase.peak + phase.children for phase in phases if phase.peak]
    once = {
        "first-step": record.start_up.first_step_s if record.start_up else None,
        "host-memory": max(host, default=None),
        "device-memory": memory.device_allocated if memory else None,
    }
    return Figures(
        case=name_of(record.backend, record.variant, record.task),
        values={
            **{rounds.kind: a_step(rounds) for rounds in (record.pipeline, record.compute) if rounds},
            **{name: (float(figure),) for name, figure in once.items() if figure},
        },
        right={tune.seed: (tune.correct, tune.test_images) for tune in record.fine_tunes if tune.correct is not None},
    )


def name_of(backend: str, variant: Variant, task: Task) -> str:
    """A case as verdicts call it."""
    return f"{backend}/{variant.name} {task.name}"


def a_step(rounds: Rounds) -> tuple[float, ...]:
    """Seconds a step, of each round."""
    return tuple(seconds / rounds.steps for seconds in rounds.seconds)
