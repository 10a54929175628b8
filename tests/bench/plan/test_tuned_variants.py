"""What was found, kept and used."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backends.task import Variant
from bench.cli.list import show_list
from bench.errors import UserError
from bench.machine.environment import count_usable_cores, describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.measure import resume
from bench.plan import tuned_variants
from bench.plan.plan import make_plan
from bench.plan.request import Request
from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.tune import tuning as command
from tests.bench.example_records import record

ALL_CORES = Variant(threads=count_usable_cores())


@pytest.fixture
def kept(tmp_path, monkeypatch) -> TunedVariant:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    task = make_plan(Request(tasks=["embedded"], overrides={"weights": "random"})).tasks[0].task
    about = make_fingerprint(describe_environment())
    return TunedVariant(
        backend="keras",
        task=task.name,
        task_hash=task.hash,
        device="cpu",
        threads=ALL_CORES.threads,
        measured="2026-11-26T12:00:00+00:00",
        machine=about["machine"],
        versions=about["versions"],
        knobs={"folding": "conv_bn"},
        speedup=1.1,
        low=1.05,
        high=1.15,
        proof="proven",
        history=(),
    )


def test_what_decided_nothing_does_not_replace_what_was_found_before(kept):
    tuned_variants.save(kept)
    undecided = kept.model_copy(update={"knobs": {}, "speedup": None, "low": None, "high": None, "notes": ("no time",)})
    assert command._save(undecided).endswith("2026-11-26T12:00:00+00:00 is kept: conv_bn")
    assert tuned_variants.load(kept.backend, kept.task_hash, ALL_CORES) == kept
    nothing_gains = undecided.model_copy(update={"notes": ()})
    assert command._save(nothing_gains).startswith("Saved in ")
    assert tuned_variants.load(kept.backend, kept.task_hash, ALL_CORES) == nothing_gains


def plan_with(**options):
    return make_plan(Request(tasks=["embedded"], overrides={"weights": "random"}, variants=["tuned"], **options))


def test_what_was_found_is_run_as_tuned_and_who_has_not_been_is_left_out(kept):
    tuned_variants.save(kept)
    made = plan_with()
    ((backend, variant),) = made.cases(made.tasks[0])
    assert (backend, variant.name, variant.folding) == ("keras", "tuned", "conv_bn")
    assert made.skipped["pytorch/tuned"] == "embedded was not tuned here: run bench tune --backend pytorch"


def test_a_run_is_not_resumed_with_what_was_tuned_anew_since(kept, tmp_path):
    tuned_variants.save(kept)
    request = Request(tasks=["embedded"], overrides={"weights": "random"}, variants=["tuned"], backends=["keras"])
    chosen = make_plan(request)
    ((_, variant),) = chosen.cases(chosen.tasks[0])
    run = store.create_run(tmp_path / "results", "small", datetime.now(UTC))
    same = {
        "task": chosen.tasks[0].task,
        "task_hash": kept.task_hash,
        "variant": variant,
        "dataset_fingerprint": chosen.tasks[0].dataset.fingerprint,
        "checkpoint_hash": chosen.tasks[0].checkpoint.sha256,
        "about": {"run": {}},
    }
    store.write_record(run, record("keras").model_copy(update=same))
    assert len(resume.plan_remaining(run, request, {}).done) == 1
    tuned_variants.save(kept.model_copy(update={"knobs": {"execution": "xla"}}))
    with pytest.raises(UserError, match=r"cannot be resumed, .*: another tuned variant was found since"):
        resume.plan_remaining(run, request, {})


def test_what_was_kept_is_listed_and_a_damaged_file_with_its_reason(kept, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    tuned_variants.save(kept)
    other = tuned_variants.save(kept.model_copy(update={"backend": "pytorch"}))
    other.write_text("{")
    show_list("tuned", other.parent)
    assert "folding" not in (shown := capsys.readouterr().out)
    assert "conv_bn" in shown
    assert "1.100 [1.050–1.150]" in shown
    show_list("variants", other.parent)
    shown = " ".join(capsys.readouterr().out.split())
    assert "folding conv_bn; 1.100 [1.050–1.150] × the default's steps; found 2026-11-26 12:00 UTC by 0 trials" in shown
    assert "it is cut off or not JSON): run bench tune again" in shown


def test_the_variant_tuned_is_refused_without_a_tuned_file(kept):
    with pytest.raises(UserError, match="no backend can run variant tuned: embedded was not tuned here"):
        plan_with()


def test_a_file_from_another_machine_is_refused(kept):
    other = kept.model_copy(update={"machine": {**kept.machine, "CPU": "another"}})
    tuned_variants.save(other).rename(tuned_variants.get_file("keras", kept.task_hash, kept.machine, ALL_CORES))
    with pytest.raises(UserError, match="is from another machine: run bench tune on this one"):
        plan_with()


def test_a_file_that_another_machine_left_in_a_home_of_both_is_not_taken(kept):
    tuned_variants.save(kept.model_copy(update={"machine": {**kept.machine, "CPU": "another"}}))
    with pytest.raises(UserError, match="embedded was tuned on another machine, but not on this one: run bench tune"):
        plan_with(backends=["keras"])


def test_what_was_found_in_other_threads_or_on_another_device_is_not_taken(kept):
    tuned_variants.save(kept.model_copy(update={"threads": ALL_CORES.threads + 1}))
    here = f"embedded was tuned here, but not on cpu in {ALL_CORES.threads} threads: run bench tune --backend keras"
    with pytest.raises(UserError, match=here):
        plan_with(backends=["keras"])
    assert plan_with(backends=["keras"], threads=ALL_CORES.threads + 1).tuned
    on_gpu = kept.model_copy(update={"device": "cuda:1"})
    tuned_variants.save(kept)
    assert tuned_variants.save(on_gpu).name != tuned_variants.save(kept).name
    assert tuned_variants.load("keras", kept.task_hash, ALL_CORES.model_copy(update={"device": "cuda:1"})) == on_gpu
    assert tuned_variants.load("keras", kept.task_hash, ALL_CORES) == kept


def test_a_package_version_that_has_changed_is_named(kept):
    assert kept.describe(kept.versions).endswith("UTC by 0 trials")
    now = {**kept.versions, "keras": "9.9", "torch": "9.9", "pandas": "9.9"}
    assert kept.describe(now).endswith(f"; with keras {kept.versions['keras']}, not with the installed version")


def test_a_file_that_was_edited_is_refused(kept):
    path = tuned_variants.save(kept)
    path.write_text(path.read_text().replace("conv_bn", "none"))
    with pytest.raises(UserError, match="its checksum does not fit"):
        plan_with(backends=["keras"])


def test_a_file_with_a_knob_that_no_longer_exists_is_refused(kept):
    tuned_variants.save(kept.model_copy(update={"knobs": {"folding": "by hand"}}))
    with pytest.raises(UserError, match="sets knobs that no longer exist: run bench tune again"):
        plan_with(backends=["keras"])
