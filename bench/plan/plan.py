"""Plan: what a run measures. It is made from a request, and all mistakes of the user are reported here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import backends
from backends.knobs import has_values, reads_files
from backends.task import Variant
from bench.data import images as own_images
from bench.errors import Unavailable, UserError, make_unknown_error
from bench.machine.backend_packages import advise_installation, list_left_out, refuse_unknown_backend
from bench.machine.environment import choose_threads
from bench.machine.gpu import find_device
from bench.networks import exported_checkpoints
from bench.plan import several_devices, suite, tuned_variants, variants
from bench.plan.offline_fallback import fall_back_to_offline
from bench.plan.prepared_task import PreparedTask, prepare_tasks
from bench.plan.request import CACHE_LIMIT, Request
from bench.plan.suite import Suite
from bench.plan.tuned_variants import TunedVariant
from bench.plan.variants import is_tuned
from bench.records.record import Record


@dataclass(frozen=True)
class Plan:
    """All that a run needs to know before the first worker starts.

    Attributes:
        suite: with the request's numbers of launches and rounds.
        variants: as requested; `tuned` stands for the variant that was found for each backend and task.
        default: the variant that the proof compares others with.
        tuned: the tuned variants of this machine, by backend and the task's hash.
        skipped: reasons, by backend or `backend/variant`; by variant if it is the suite's and no backend here has it.
        banner: a line about a fallback to the offline suite; None without a fallback.
        threads_note: a line about the number of threads; None if it is requested, or all usable cores.
        relative_to: the backend, or the case, that ratios are relative to.
        nodes, host: see `Request`.
        done: records of launches that a resumed run has measured already.
    """

    suite: Suite
    tasks: tuple[PreparedTask, ...]
    backends: tuple[str, ...]
    variants: tuple[Variant, ...]
    default: Variant
    tuned: Mapping[tuple[str, str], TunedVariant]
    skipped: dict[str, str]
    banner: str | None
    threads_note: str | None
    isolated: bool
    relative_to: str
    until: float | None = None
    max_time: float | None = None
    seeds: int = 1
    cache_limit: int = CACHE_LIMIT
    done: tuple[Record, ...] = ()
    nodes: int = 1
    host: str = ""

    def cases(self, prepared: PreparedTask) -> list[tuple[str, Variant]]:
        """The backends and variants of a task that are measured."""
        cases = []
        for requested in filter(prepared.is_trained_as, self.variants):
            for backend in self.backends:
                variant = _resolve_tuned(requested, self.tuned.get((backend, prepared.task.hash)))
                if variant is not None and _explain_unsupported(backend, variant, prepared) is None:
                    cases.append((backend, variant))
        return cases


def make_plan(request: Request) -> Plan:
    """Check a request, and obtain its images and weights. A suite that is unavailable falls back to the offline suite,
    unless the user has named it or a task.

    Raises:
        UserError: one line that says what is wrong and what to do.
    """
    chosen_suite = request.suite if isinstance(request.suite, Suite) else suite.load(request.suite)
    usable, skipped = find_usable_backends(request.backends or chosen_suite.backends)
    refuse_unknown_backend(request.relative_to.partition("/")[0])
    check_time_limit(request)
    default = make_default_variant(request)
    source: Request | Suite = request if request.variants or request.knobs else chosen_suite
    requested = variants.parse_variants(source.variants, source.knobs, default.threads or 1, default.device)
    devices, too_many = several_devices.choose_numbers(request, chosen_suite, default.device)
    requested = variants.spread(requested, devices)
    if chosen_suite.communication:
        requested = variants.add_without_exchange(requested)
    banner = None
    try:
        tasks = prepare_tasks(request, chosen_suite)
    except Unavailable as error:
        if request.tasks or request.suite != Request.suite:
            raise
        chosen_suite, banner, tasks = fall_back_to_offline(error, request, prepare_tasks)
    tasks = tuple(task for task in tasks if any(map(task.is_trained_as, requested)))
    needs_tuned = any(is_tuned(variant) for variant in requested)
    if any(one.graph == "exported" for one in requested):
        for prepared in tasks:
            exported_checkpoints.add_graph(prepared.task, prepared.checkpoint)
    if request.images and any(map(reads_files, requested)):
        tasks = tuple(_keep_files(prepared, request.images) for prepared in tasks)
    tuned = _load_tuned_variants(usable, tasks, default) if needs_tuned else {}
    skipped |= too_many
    skipped |= list_left_out()
    skipped |= _find_skipped_cases(usable, requested, tasks, tuned, source is not request)
    plan = Plan(
        suite=resize(chosen_suite, request),
        tasks=tasks,
        backends=usable,
        variants=requested,
        default=default,
        tuned=tuned,
        skipped=skipped,
        banner=banner,
        threads_note=explain_threads(request),
        isolated=request.isolated,
        relative_to=_choose_reference(request.relative_to, usable),
        until=request.until,
        max_time=request.max_time,
        seeds=request.seeds,
        cache_limit=request.cache_limit,
        nodes=request.nodes,
        host=request.host,
    )
    _check_reference(plan)
    return plan


def find_usable_backends(names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The backends of `names` whose packages are installed, and why the others cannot run.

    Without names they are those that a suite measures by default.

    Raises:
        UserError: an unknown name, or no backend can run.
    """
    for name in names:
        refuse_unknown_backend(name)
    requested = tuple(dict.fromkeys(names)) or suite.DEFAULT_BACKENDS
    skipped = {}
    for name in requested:
        if missing := backends.find_missing_packages(name):
            skipped[name] = f"{', '.join(missing)} not installed: {advise_installation(name)}"
    usable = tuple(name for name in requested if name not in skipped)
    if not usable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise UserError(f"no backend can run here: {reasons}")
    return usable, skipped


def check_time_limit(request: Request) -> None:
    """Check that a limit of time limits something.

    Raises:
        UserError: it does not.
    """
    if request.max_time is not None and request.until is None:
        raise UserError("--max-time limits the launches that bench run --until adds: use both")


def resize(chosen: Suite, request: Request) -> Suite:
    """The suite with the request's numbers of launches and rounds; a number of launches replaces its limit of time."""
    sizes = {"launches": request.launches, "rounds": request.rounds}
    resized = chosen.model_copy(update={name: size for name, size in sizes.items() if size})
    return resized.model_copy(update={"most_minutes": None}) if request.launches else resized


def make_default_variant(request: Request) -> Variant:
    """The default variant, with the requested device and threads; without a number, see `choose_threads`.

    Raises:
        UserError: there is no such device.
    """
    find_device(request.device)
    return Variant(device=request.device, threads=request.threads or choose_threads(os.environ).number)


def explain_threads(request: Request) -> str | None:
    """Explain the number of threads if neither the request sets it nor all usable cores are used; None otherwise."""
    chosen = choose_threads(os.environ)
    if request.threads or chosen.reason is None:
        return None
    return f"Threads: {chosen.number}, because of {chosen.reason}; --threads sets another number."


def _choose_reference(requested: str, usable: Sequence[str]) -> str:
    """What ratios are relative to: in place of a backend that is not measured, the first one that is."""
    return usable[0] if requested in backends.REGISTRY and requested not in usable else requested


def _check_reference(plan: Plan) -> None:
    """Check that ratios can be relative to the plan's reference: a backend, or a case that is measured.

    Raises:
        UserError: it is neither.
    """
    cases = [f"{backend}/{variant.name}" for task in plan.tasks for backend, variant in plan.cases(task)]
    if plan.relative_to not in (*backends.REGISTRY, *cases):
        raise make_unknown_error("backend or case", plan.relative_to, dict.fromkeys((*backends.REGISTRY, *cases)))


def _resolve_tuned(requested: Variant, tuned: TunedVariant | None) -> Variant | None:
    """A requested variant with the knobs of a backend's tuned variant, if it is `tuned`; None if nothing was found."""
    if not is_tuned(requested):
        return requested
    return tuned.variant(requested) if tuned else None


def _keep_files(prepared: PreparedTask, path: Path) -> PreparedTask:
    """The task with the files of its images, which are kept undecoded, if there are any."""
    framing = own_images.Framing(*prepared.task.framing)
    return replace(prepared, dataset=own_images.keep_files(prepared.dataset, path, framing, prepared.task.seed))


def _explain_unsupported(backend: str, variant: Variant, prepared: PreparedTask) -> str | None:
    """Explain why a backend cannot run a variant of a task with its images; None if it can."""
    if reads_files(variant) and prepared.dataset.image_files is None:
        return "images 'encoded' decodes image files, and there are none: give class folders or Parquet with --images"
    return variants.explain_unsupported(backend, variant, prepared.task) or several_devices.explain_last_batch(
        variant, prepared.task, len(prepared.dataset.train_images)
    )


def _load_tuned_variants(
    names: Sequence[str], tasks: Sequence[PreparedTask], default: Variant
) -> dict[tuple[str, str], TunedVariant]:
    """The tuned variants for this machine and the default's device and threads, by backend and the task's hash."""
    loaded = {}
    for prepared in tasks:
        for backend in names:
            if tuned := tuned_variants.load(backend, prepared.task.hash, default):
                loaded[backend, prepared.task.hash] = tuned
    return loaded


def _find_skipped_cases(
    names: Sequence[str],
    requested: Sequence[Variant],
    tasks: Sequence[PreparedTask],
    tuned: Mapping[tuple[str, str], TunedVariant],
    of_suite: bool,
) -> dict[str, str]:
    """The cases that cannot run, as `backend/variant`, and why.

    Args:
        names: of the backends.
        requested: variants.
        tasks: to train.
        tuned: see `Plan`.
        of_suite: whether the suite sets the variants. It means a value for the backends that have it: the others are no
            cases that are missing, unless none of them is measured.

    Raises:
        UserError: a variant that no backend can run.
    """
    skipped: dict[str, str] = {}
    for variant in requested:
        for prepared in tasks:
            if not prepared.is_trained_as(variant):
                continue
            task = prepared.task
            reasons: dict[str, str | None] = {}
            meant = [name for name in names if has_values(name, variant)] if of_suite else names
            if not meant:
                able = [name for name in backends.REGISTRY if has_values(name, variant)]
                skipped[variant.name] = f"no backend here has it, only {' and '.join(able)}"
                continue
            for name in meant:
                resolved = _resolve_tuned(variant, tuned.get((name, task.hash)))
                if resolved is None:
                    reasons[name] = tuned_variants.explain_missing(name, task.name, task.hash, variant)
                else:
                    reasons[name] = _explain_unsupported(name, resolved, prepared)
            if all(reasons.values()):
                raise UserError(
                    f"no backend can run variant {variant.name}: {'; '.join(filter(None, reasons.values()))}"
                )
            skipped |= {f"{name}/{variant.name}": reason for name, reason in reasons.items() if reason}
    if all(variant.name in skipped for variant in requested):
        raise UserError("; ".join(f"variant {variant.name}: {skipped[variant.name]}" for variant in requested))
    return skipped
