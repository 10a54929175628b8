"""The wall time of one whole fine-tune, split into parts, and the share of loading that is hidden."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.record import FineTune, Record


@dataclass(frozen=True)
class WallTimeParts:
    """Seconds of a fine-tune from the start of the process to the end of the evaluation, by part.

    `wall` is measured by a separate clock, so the sum of the parts can differ from it. `rest` is the start of the
    process, the harness, reading images and checkpoint, and closing the input pipeline.
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


def split_wall_time(record: Record, tune: FineTune, compute_share: float) -> WallTimeParts | None:
    """Split the wall time of a fine-tune into parts; None where the launch's start-up was not measured.

    Args:
        record: the launch.
        tune: one of its fine-tunes.
        compute_share: time of a step on batches that are already on the device, as a share of the time of a step with
            the input pipeline. Take it from all launches of the case: the rounds of one launch are too noisy.
    """
    start = record.start_up
    if start is None:
        return None
    return WallTimeParts(
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


def compute_hidden_share(loading: float, compute: float, both: float) -> float:
    """Compute the share of loading that costs no time because it overlaps with the computation, 0 to 1.

    Without any overlap a step would take the sum of loading and compute; the time that it saves is hidden.

    Args:
        loading, compute, both: seconds per image of the input pipeline alone, of steps without it, and of steps with
            it.
    """
    return min(1.0, max(0.0, (loading + compute - both) / loading))
