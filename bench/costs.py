"""Where the time goes: the wall time of one whole fine-tune in parts, and how much of loading is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from bench.record import FineTune, Record, Rounds


@dataclass(frozen=True)
class Costs:
    """Seconds of a fine-tune from the process' start to the end of the evaluation, part by part.

    `wall` is by clocks of its own, and the parts are measured one by one: they add up to it but for what lies
    between them. `rest` is the process' start, the harness, and reading images and checkpoint.
    """

    wall: float
    imported: float
    build: float
    first_step: float
    input_pipeline: float
    compute: float
    evaluation: float
    rest: float

    @property
    def parts(self) -> float:
        """The sum of the parts."""
        return (
            self.imported
            + self.build
            + self.first_step
            + self.input_pipeline
            + self.compute
            + self.evaluation
            + self.rest
        )


def costs(record: Record, tune: FineTune) -> Costs | None:
    """The costs of a fine-tune that `record` made; None where its rounds were not measured.

    Training is split by the rounds of the same launch: a step on batches that are on the device already is `compute`,
    and what a step through the input pipeline takes longer is `input_pipeline`.
    """
    start = record.start_up
    end_to_end, alone = _per_image(record.pipeline), _per_image(record.compute)
    if start is None or end_to_end is None or alone is None:
        return None
    share = min(1.0, alone / end_to_end)
    return Costs(
        wall=start.elapsed_s + tune.elapsed_s,
        imported=start.import_s,
        build=start.build_s,
        first_step=start.first_step_s,
        input_pipeline=(1 - share) * tune.seconds,
        compute=share * tune.seconds,
        evaluation=tune.evaluation_s,
        rest=start.process_s + start.data_s,
    )


def hidden(record: Record) -> float | None:
    """The share of loading that compute hides, 0 to 1; None where the three kinds of rounds were not measured.

    Were nothing hidden, a step would take loading and compute together: what it takes less is hidden.
    """
    loading, compute, both = (_per_image(rounds) for rounds in (record.loader, record.compute, record.pipeline))
    if loading is None or compute is None or both is None:
        return None
    return min(1.0, max(0.0, (loading + compute - both) / loading))


def _per_image(rounds: Rounds | None) -> float | None:
    return median(rounds.seconds) / rounds.images if rounds and rounds.seconds else None
