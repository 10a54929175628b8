"""A run: every task of a plan, in several launches, from the first worker to the last table."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save_file

import backends
from backends.task import Variant
from bench.analysis.warnings import LEAST_LAUNCHES
from bench.cache import features
from bench.data.dataset import Dataset
from bench.errors import UserError
from bench.measure import conductor, record_builder
from bench.measure.progress import Progress
from bench.parity.tolerances import REFERENCE
from bench.plan.request import Plan, Prepared
from bench.records import store
from bench.records.record import Conditions, Proof, Record
from bench.records.round_kinds import COMPARED, KINDS
from bench.worker.job import Job

#: Rounds of a kind that are made in two halves; of fewer, each half would be one round.
LEAST_IN_HALVES = 4


def case_id(prepared: Prepared, backend: str, variant: Variant) -> str:
    """Readable and stable: `pytorch-default-cifar10-resnet18`, with the task's hash where it was overridden."""
    suffix = f"-{prepared.task.hash}" if prepared.overridden else ""
    return f"{backend}-{variant.name}-{prepared.task.name}{suffix}"


def compare(
    plan: Plan,
    run: Path,
    about: dict[str, object],
    progress: Progress,
    enough: Callable[[Sequence[Record]], bool] = lambda records: True,
) -> Iterator[list[Record]]:
    """Measure everything that is not done yet; yields each launch's records as soon as they are written.

    Args:
        plan: what to measure, and what of it is done.
        run: its folder.
        about: what every record says of the run and its machine.
        progress: is told of everything.
        enough: whether a task's records suffice once it has the suite's launches; otherwise launches are added.
    """
    draw = random.Random()
    for position, prepared in enumerate(plan.tasks):
        began = time.monotonic()
        records = [record for record in plan.done if record.position == position]
        proofs = {record.case: record.proof for record in records if record.proof}
        while launch := _next(plan, prepared, records, enough, time.monotonic() - began):
            with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
                of_launch = [
                    record_builder.record(*parts, run=run.name, suite=plan.suite.name, position=position, about=about)
                    for parts in _launch(plan, prepared, launch, Path(folder), proofs, draw, progress)
                ]
            for record in of_launch:
                store.write_record(run, record)
            records += of_launch
            yield of_launch
            if all(record.failure for record in of_launch):
                break  # what killed every worker would kill the next ones too


@dataclass(frozen=True)
class Next:
    """A launch to make: its number, and the seeds of its fine-tunes."""

    number: int
    seeds: tuple[int, ...]


def _next(
    plan: Plan,
    prepared: Prepared,
    records: Sequence[Record],
    enough: Callable[[Sequence[Record]], bool],
    spent: float,
) -> Next | None:
    """The launch that is to be made next; None when all is done, or after `spent` seconds the suite's time is.

    A launch that was cut off counts for nothing, and its number is not used again. Ratios come from launches of all
    cases, so only those count.
    """
    cases = {case_id(prepared, backend, variant) for backend, variant in plan.cases(prepared)}
    by_launch: dict[int, set[str]] = {}
    for record in records:
        by_launch.setdefault(record.launch, set()).add(record.case)
    whole = sum(found >= cases for found in by_launch.values())
    late = plan.suite.most_minutes is not None and spent > 60 * plan.suite.most_minutes
    missing = 0 if late and whole >= LEAST_LAUNCHES else max(0, plan.suite.launches - whole)
    wanted = range(prepared.task.seed, prepared.task.seed + plan.seeds) if prepared.fine_tune else ()
    tuned = {tune.seed for record in records for tune in record.fine_tunes}
    seeds = [seed for seed in wanted if seed not in tuned]
    if not missing and not seeds and enough(records):
        return None
    share = -(-len(seeds) // max(1, missing))
    return Next(max(by_launch, default=0) + 1, tuple(seeds[:share]))


def prove(
    plan: Plan, proof_images: int, proof_steps: int, progress: Progress, fine_tune: bool = True
) -> Iterator[tuple[Prepared, list[Record]]]:
    """The whole proof of every case, with the fine-tune or without, and without any measuring."""
    for prepared in plan.tasks:
        thorough = plan.suite.model_copy(
            update={"rounds": 0, "launches": 1, "proof_images": proof_images, "proof_steps": proof_steps}
        )
        alone = replace(plan, suite=thorough)
        only = Next(1, (prepared.task.seed,) if fine_tune else ())
        with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
            records = [
                record_builder.record(*parts, run="", suite=thorough.name, position=0, about={})
                for parts in _launch(alone, prepared, only, Path(folder), {}, random.Random(), progress)
            ]
        yield prepared, records


def _launch(
    plan: Plan,
    prepared: Prepared,
    launch: Next,
    folder: Path,
    proofs: dict[str, Proof],
    draw: random.Random,
    progress: Progress,
) -> list[tuple[record_builder.Launched, Proof | None]]:
    """What became of each case that is measured, and the verdict on its sameness; new proofs go into `proofs`."""
    started = datetime.now(UTC)
    jobs = _jobs(plan, prepared, launch, folder, proofs)
    progress.launch(prepared, launch.number, jobs)
    crews = [[job] for job in jobs] if plan.isolated else [jobs]
    outcomes: dict[str, tuple[conductor.Outcome[Job], Conditions | None]] = {}
    for crew in crews:
        done = conductor.launch(crew, plan.suite.round_seconds, draw, progress, reverse_start=launch.number % 2 == 0)
        outcomes |= {outcome.job.case: (outcome, done.conditions) for outcome in done.outcomes}
    reference, _ = outcomes.get(case_id(prepared, REFERENCE[0], plan.default), (None, None))
    measured, made = plan.cases(prepared), []
    for case, (outcome, conditions) in outcomes.items():
        if outcome.job.proof_steps and (verdict := record_builder.proof(outcome, reference, prepared)):
            proofs[case] = verdict
        if (outcome.job.backend, outcome.job.variant) in measured:
            launched = record_builder.Launched(outcome, prepared, conditions, launch.number, started)
            made.append((launched, _verdict(proofs.get(case), outcome)))
    return made


def _verdict(proof: Proof | None, outcome: conductor.Outcome[Job]) -> Proof | None:
    """The proof of a case, which cost its time in just one launch."""
    if proof is None or outcome.job.proof_steps:
        return proof
    return proof.model_copy(update={"seconds": 0.0})


def _jobs(plan: Plan, prepared: Prepared, launch: Next, folder: Path, proofs: Mapping[str, Proof]) -> list[Job]:
    """The jobs of a launch. What needs doing once, the proof, is in the first one."""
    data = write_images(prepared.dataset, folder)
    measured = plan.cases(prepared)
    proving = any(case_id(prepared, backend, variant) not in proofs for backend, variant in measured)
    reference = (REFERENCE[0], plan.default)
    extra = [reference] if proving and reference not in measured and not backends.missing_packages(reference[0]) else []
    jobs = []
    for backend, variant in (*extra, *measured):
        counts = (backend, variant) in measured
        case = case_id(prepared, backend, variant)
        (folder / case).mkdir()
        jobs.append(
            Job(
                case=case,
                backend=backend,
                task=prepared.task,
                variant=variant,
                data=data,
                scratch=folder,
                checkpoint=prepared.checkpoint.folder.absolute(),
                folder=folder / case,
                proof_images=plan.suite.proof_images,
                proof_steps=plan.suite.proof_steps if proving else 0,
                rounds=plan.suite.rounds if counts else 0,
                later=_later(plan.suite.rounds) if counts else 0,
                kinds=_kinds(variant, launch),
                features=cache_entry(prepared, backend, variant),
                cache_limit=plan.cache_limit,
                seeds=launch.seeds if counts or not plan.suite.rounds else (),
                descriptor=-1,
            )
        )
    return jobs


def _later(rounds: int) -> int:
    """Rounds of each kind that follow after those of all kinds, where there are enough for two halves: a slow phase of
    the machine, which lasts for ten seconds and hits one framework more than another, then spoils half of a kind.
    """
    return rounds // 2 if rounds >= LEAST_IN_HALVES else 0


def _kinds(variant: Variant, launch: Next) -> tuple[str, ...]:
    """Rounds that a case has. The head's training on cached features has no input pipeline that could be left out."""
    if variant.features == "cached":
        return ("pipeline",)
    return KINDS if launch.number == 1 else COMPARED


def cache_entry(prepared: Prepared, backend: str, variant: Variant) -> Path | None:
    """Where the case's cached features lie, or will."""
    if variant.features != "cached":
        return None
    digits = features.key(backend, prepared.task, variant, prepared.checkpoint.sha256, prepared.dataset.fingerprint)
    return (features.folder() / f"{digits}{features.ENDING}").absolute()


def write_images(dataset: Dataset, folder: Path) -> Path:
    """The file that workers read the images from, in `folder`.

    Raises:
        UserError: it cannot be written.
    """
    file = folder / "data.safetensors"
    arrays = {name: getattr(dataset, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    try:
        save_file(arrays, file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the images into {folder} ({error}): free space there, or set TMPDIR") from None
    return file
