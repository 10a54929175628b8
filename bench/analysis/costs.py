"""Where the time goes: the wall time of one whole fine-tune in parts, and how much of loading is hidden."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.record import FineTune, Record


@dataclass(frozen=True)
class Costs:
    """Seconds of a fine-tune from the process' start to the end of the evaluation, part by part.

    `wall` is by a clock of its own, and the parts are measured one after the other. `rest` is the process' start, the
    harness, reading images and checkpoint, and closing the input pipeline.
    """

    wall: float
    imported: float
    build: float
    extraction: float
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
            + self.extraction
            + self.first_step
            + self.input_pipeline
            + self.compute
            + self.evaluation
            + self.rest
        )


def costs(record: Record, tune: FineTune, compute_share: float) -> Costs | None:
    """The costs of a fine-tune that `record` made; None where its start was not measured.

    Args:
        record: the launch.
        tune: one of its fine-tunes.
        compute_share: of a training step, what a step on batches that are on the device already takes; the rest is
            the input pipeline's. It is the case's, over all launches: one launch's rounds would not tell it well.
    """
    start = record.start_up
    if start is None:
        return None
    return Costs(
        wall=start.elapsed_s + tune.elapsed_s,
        imported=start.import_s,
        build=start.build_s,
        extraction=start.extraction_s,
        first_step=start.first_step_s,
        input_pipeline=(1 - compute_share) * tune.seconds,
        compute=compute_share * tune.seconds,
        evaluation=tune.evaluation_s,
        rest=start.process_s + start.data_s + sum(part.closing_s + part.harness_s for part in (start, tune)),
    )


def hidden(loading: float, compute: float, both: float) -> float:
    """The share of loading that compute hides, 0 to 1.

    Were nothing hidden, a step would take loading and compute together: what it takes less is hidden.

    Args:
        loading, compute, both: seconds per image of the input pipeline alone, of steps without it, and with it.
    """
    return min(1.0, max(0.0, (loading + compute - both) / loading))
