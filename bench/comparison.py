"""A run: every task of a plan, in several launches, from the first worker to the last table."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save_file

import backends
from backends.task import Variant
from bench import assemble, conductor, parity, store
from bench.data.dataset import Dataset
from bench.errors import UserError
from bench.progress import Progress
from bench.record import Proof, Record
from bench.request import Plan, Prepared
from bench.worker.job import Job


def case_id(prepared: Prepared, backend: str, variant: Variant) -> str:
    """Readable and stable: `pytorch-default-cifar10-resnet18`, with the task's hash where it was overridden."""
    suffix = f"-{prepared.task.hash}" if prepared.overridden else ""
    return f"{backend}-{variant.name}-{prepared.task.name}{suffix}"


def compare(plan: Plan, run: Path, progress: Progress) -> Iterator[list[Record]]:
    """Measure everything; yields the records of each launch as soon as it is over and written."""
    draw = random.Random()
    for prepared in plan.tasks:
        proofs: dict[str, Proof] = {}
        for launch in range(1, plan.suite.launches + 1):
            with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
                records = _launch(plan, prepared, launch, Path(folder), run, proofs, draw, progress)
            for record in records:
                store.write_record(run, record)
            yield records
            if all(record.failure for record in records):
                break  # what killed every worker would kill the next ones too


def prove(
    plan: Plan, proof_images: int, proof_steps: int, progress: Progress
) -> Iterator[tuple[Prepared, list[Record]]]:
    """The whole proof of every case, with the fine-tune and without any measuring."""
    for prepared in plan.tasks:
        thorough = plan.suite.model_copy(
            update={"rounds": 0, "launches": 1, "proof_images": proof_images, "proof_steps": proof_steps}
        )
        alone = replace(plan, suite=thorough)
        with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
            yield prepared, _launch(alone, prepared, 1, Path(folder), None, {}, random.Random(), progress)


def _launch(
    plan: Plan,
    prepared: Prepared,
    launch: int,
    folder: Path,
    run: Path | None,
    proofs: dict[str, Proof],
    draw: random.Random,
    progress: Progress,
) -> list[Record]:
    started = datetime.now(UTC)
    jobs = _jobs(plan, prepared, launch, folder, proofs)
    progress.launch(prepared, launch, jobs)
    crews = [[job] for job in jobs] if plan.isolated else [jobs]
    outcomes: dict[str, conductor.Outcome] = {}
    for crew in crews:
        done = conductor.launch(crew, plan.suite.round_seconds, draw, progress, reverse_start=launch % 2 == 0)
        outcomes |= {outcome.job.case: outcome for outcome in done.outcomes}
    reference = outcomes.get(case_id(prepared, parity.REFERENCE[0], plan.variant))
    records = []
    for case, outcome in outcomes.items():
        if outcome.job.proof_steps and (verdict := assemble.proof(outcome, reference, prepared)):
            proofs[case] = verdict
        if outcome.job.backend in plan.backends:
            records.append(
                assemble.record(
                    outcome,
                    prepared,
                    _verdict(proofs.get(case), outcome),
                    run=run.name if run else "",
                    suite=plan.suite.name,
                    banner=plan.banner,
                    launch=launch,
                    started=started,
                )
            )
    return records


def _verdict(proof: Proof | None, outcome: conductor.Outcome) -> Proof | None:
    """The proof of a case, which cost its time in just one launch."""
    if proof is None or outcome.job.proof_steps:
        return proof
    return proof.model_copy(update={"seconds": 0.0})


def _jobs(plan: Plan, prepared: Prepared, launch: int, folder: Path, proofs: Mapping[str, Proof]) -> list[Job]:
    """The jobs of a launch. What needs doing once, proof and fine-tune, is in the first one."""
    data = _images(prepared.dataset, folder)
    proving = any(case_id(prepared, backend, plan.variant) not in proofs for backend in plan.backends)
    names = list(plan.backends)
    reference = parity.REFERENCE[0]
    if proving and reference not in names and not backends.missing_packages(reference):
        names.insert(0, reference)
    jobs = []
    for backend in names:
        case = case_id(prepared, backend, plan.variant)
        (folder / case).mkdir()
        jobs.append(
            Job(
                case=case,
                backend=backend,
                task=prepared.task,
                variant=plan.variant,
                data=data,
                checkpoint=prepared.checkpoint.folder.absolute(),
                folder=folder / case,
                proof_images=plan.suite.proof_images,
                proof_steps=plan.suite.proof_steps if proving else 0,
                rounds=plan.suite.rounds if backend in plan.backends else 0,
                fine_tune=prepared.fine_tune and launch == 1 and (not plan.suite.rounds or backend in plan.backends),
                descriptor=-1,
            )
        )
    return jobs


def _images(dataset: Dataset, folder: Path) -> Path:
    """The file that workers read the images from."""
    file = folder / "data.safetensors"
    arrays = {name: getattr(dataset, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    try:
        save_file(arrays, file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the images into {folder} ({error}): free space there, or set TMPDIR") from None
    return file
