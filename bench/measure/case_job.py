"""The job of a case: its id, its files, and what its worker has to do."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save_file

from backends.knobs import reads_files
from backends.task import Variant
from bench.cache import features
from bench.cache.home import check_utf8
from bench.data.dataset import Dataset
from bench.data.image_file import FILE_NUMBERS
from bench.errors import UserError
from bench.plan.prepared_task import PreparedTask
from bench.worker.job import Job


def format_case_id(prepared: PreparedTask, backend: str, variant: Variant) -> str:
    """The readable, stable id of a case: `pytorch-default-cifar10-resnet18`, with the task's hash if overridden."""
    suffix = f"-{prepared.task.hash}" if prepared.overridden else ""
    return f"{backend}-{variant.name}-{prepared.task.name}{suffix}"


def make_case_job(
    prepared: PreparedTask,
    backend: str,
    variant: Variant,
    data: Path,
    folder: Path,
    *,
    proof_images: int = 0,
    proof_steps: int = 0,
    rounds: int = 0,
    later: int = 0,
    kinds: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    profile_steps: int = 0,
    trial_steps: int = 0,
    cache_limit: int = 0,
    nodes: int = 1,
    host: str = "",
) -> Job:
    """Make the job of a case, and its own folder in `folder`. By default the job does nothing but build the case.

    Args:
        data: the file that `write_images` wrote.
        nodes, host: number of machines, and the host of the first; only cases on several devices train on all.
    """
    check_utf8(prepared.checkpoint.folder, "move the checkpoint")
    case = format_case_id(prepared, backend, variant)
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
        image_files=prepared.dataset.image_files if reads_files(variant) else None,
        folder=own,
        proof_images=proof_images,
        proof_steps=proof_steps,
        rounds=rounds,
        later=later,
        kinds=kinds,
        seeds=seeds,
        profile_steps=profile_steps,
        trial_steps=trial_steps,
        features=_find_cache_entry(prepared, backend, variant),
        cache_limit=cache_limit,
        descriptor=-1,
        nodes=nodes if variant.devices else 1,
        host=host if variant.devices else "",
    )


def write_images(dataset: Dataset, folder: Path) -> Path:
    """Write the file in `folder` from which workers read the images, unless there is one; returns its path.

    Raises:
        UserError: it cannot be written.
    """
    file = folder / "data.safetensors"
    file.unlink(missing_ok=True)  # never written through: it may be a link to a file that is kept
    if dataset.file is not None:
        try:
            file.hardlink_to(dataset.file)  # it stays, should the user free the home's space meanwhile
        except OSError:  # on another file system
            return dataset.file.absolute()
        return file
    arrays = {name: getattr(dataset, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    if dataset.image_files is not None and dataset.file_numbers is not None:
        arrays[FILE_NUMBERS] = dataset.file_numbers
    try:
        save_file(arrays, file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write the images into {folder} ({error}): free space there, or set TMPDIR") from None
    return file


def _find_cache_entry(prepared: PreparedTask, backend: str, variant: Variant) -> Path | None:
    """The cache file of the case's features, which may not exist yet; None if the variant recomputes them."""
    if variant.features != "cached":
        return None
    key = features.make_key(backend, prepared.task, variant, prepared.checkpoint.sha256, prepared.dataset.fingerprint)
    return (features.get_folder() / f"{key}{features.ENDING}").absolute()
