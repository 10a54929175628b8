"""Jobs that look into a case: they prove nothing and fine-tune nothing."""

from __future__ import annotations

from pathlib import Path

from backends.task import Variant
from bench.measure.run import cache_entry, case_id
from bench.plan.request import Prepared
from bench.worker.job import Job


def job(
    prepared: Prepared,
    backend: str,
    variant: Variant,
    data: Path,
    folder: Path,
    *,
    rounds: int = 0,
    kinds: tuple[str, ...] = (),
    profile_steps: int = 0,
    cache_limit: int = 0,
) -> Job:
    """The job of a case; its own folder is made in `folder`.

    Args:
        data: as `bench.measure.run.write_images` left it.
    """
    case = case_id(prepared, backend, variant)
    own = folder / case
    own.mkdir()
    return Job(
        case=case,
        backend=backend,
        task=prepared.task,
        variant=variant,
        data=data,
        scratch=folder,
        checkpoint=prepared.checkpoint.folder.absolute(),
        folder=own,
        proof_images=0,
        proof_steps=0,
        rounds=rounds,
        kinds=kinds,
        seeds=(),
        profile_steps=profile_steps,
        features=cache_entry(prepared, backend, variant),
        cache_limit=cache_limit,
        descriptor=-1,
    )
