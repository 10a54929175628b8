"""Records as rows, one for each timed round."""

from __future__ import annotations

from collections.abc import Iterator

from bench.records.record import Record

COLUMNS = (
    "run",
    "task",
    "backend",
    "variant",
    "batch_size",
    "launch",
    "kind",
    "round",
    "steps",
    "images",
    "seconds",
    "seconds_per_step",
    "images_per_second",
)


def build_round_rows(record: Record) -> Iterator[dict[str, object]]:
    """Build a row for each round of a launch, in order, with the columns `COLUMNS`.

    `kind` is `pipeline`, `compute` or `loader`, `round` counts from 1 within its kind, `steps` and `images` are those
    of one round, and `seconds` is its wall time.
    """
    for rounds in filter(None, (record.pipeline, record.compute, record.loader)):
        for number, seconds in enumerate(rounds.seconds, start=1):
            yield {
                "run": record.run,
                "task": record.task.name,
                "backend": record.backend,
                "variant": record.variant.name,
                "batch_size": record.task.batch_size,
                "launch": record.launch,
                "kind": rounds.kind,
                "round": number,
                "steps": rounds.steps,
                "images": rounds.images,
                "seconds": seconds,
                "seconds_per_step": seconds / rounds.steps,
                "images_per_second": rounds.images / seconds,
            }
