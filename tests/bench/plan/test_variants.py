"""Variants that users ask for, by name or by turning knobs; what this machine cannot do; divisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.task import Variant
from bench.errors import UserError
from bench.machine import gpu
from bench.plan import knob_support, variants
from bench.plan.plan import make_plan
from bench.plan.request import Request
from bench.plan.task_table import TASKS
from bench.report.tables import build_tables
from tests.bench.example_records import launches
from tests.bench.processes import Bench, suite_file

TASK = TASKS["cifar10-resnet18"]


def parse(*settings: str, names=()) -> tuple[Variant, ...]:
    return variants.parse_variants(names, settings, threads=2, device="cpu")


def test_without_names_and_knobs_it_is_the_default():
    assert parse() == (Variant(threads=2),)


def test_a_knob_given_twice_makes_one_case_for_each_value():
    assert [v.name for v in parse("precision=bf16", "precision=fp32")] == ["bf16", "fp32"]
    made = parse("precision=bf16", "layout=nhwc", "layout=nchw")
    assert [(v.name, v.precision, v.layout) for v in made] == [
        ("bf16+nhwc", "bf16", "nhwc"),
        ("bf16+nchw", "bf16", "nchw"),
    ]


def test_threads_are_a_knob_too():
    one, two = parse("threads=1", "threads=2", "threads=02")
    assert (one.name, one.threads, two.threads) == ("1threads", 1, 2)


def test_names_and_knobs_may_be_combined():
    assert [v.name for v in parse("folding=conv_bn", names=("default", "matched"))] == [
        "default",
        "matched",
        "conv_bn",
    ]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("precison=bf16", "unknown knob 'precison': did you mean 'precision'?"),
        ("precision=bf61", "unknown value of the knob precision 'bf61': did you mean 'bf16'?"),
        ("precision", "--knob precision: write knob=value, as in --knob precision=bf16"),
        ("threads=0", "--knob threads=0: use a whole number from 1 on"),
        ("threads=many", "--knob threads=many: use a whole number from 1 on"),
        ("optimizer=fusd", "unknown value of the knob optimizer 'fusd': did you mean 'fused'?"),
        ("gradients=outside_tape", "unknown value of the knob gradients 'outside_tape': use one of no_grad, "),
    ],
)
def test_an_unknown_knob_or_value_is_one_line(settings, line):
    with pytest.raises(UserError) as error:
        parse(settings)
    assert str(error.value).startswith(line)
    assert "outside_tape" not in str(error.value).removeprefix(line), "a refused value is not recommended"


def test_an_unknown_variant_is_one_line():
    with pytest.raises(UserError, match="unknown variant 'matchd': did you mean 'matched'"):
        parse(names=("matchd",))


def test_what_the_machine_cannot_do_is_refused_with_the_reason(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor: 0\nflags\t\t: fpu avx2\n")
    monkeypatch.setattr(knob_support, "CPUINFO", tmp_path / "cpuinfo")
    assert "this CPU has no bfloat16" in variants.explain_unsupported("keras", Variant(precision="bf16"), TASK)
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx512_bf16 avx2\n")
    assert variants.explain_unsupported("keras", Variant(precision="bf16"), TASK) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    compiled = Variant(execution="compiled")
    assert "needs a C++ compiler" in variants.explain_unsupported("pytorch", compiled, TASK)
    assert variants.explain_unsupported("tensorflow", compiled, TASK) is None
    assert variants.explain_unsupported("pytorch", Variant(), TASK) is None
    needing = "pytorch's execution 'cuda_graphs' needs a GPU: use --device cuda"
    assert variants.explain_unsupported("pytorch", Variant(execution="cuda_graphs"), TASK) == needing


def test_allocators_that_are_not_installed_are_refused_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(knob_support, "find_library", lambda name: None)
    monkeypatch.setattr(knob_support, "HUGE_PAGES", tmp_path / "enabled")
    for allocator, line in (
        ("jemalloc", "libjemalloc is not installed: apt-get install libjemalloc2"),
        ("tcmalloc", "libtcmalloc_minimal is not installed: apt-get install libtcmalloc-minimal4"),
        ("hugepages", "the kernel provides no huge pages"),
    ):
        assert variants.explain_unsupported("keras", Variant(allocator=allocator), TASK).startswith(line)
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    monkeypatch.setattr(knob_support, "find_library", lambda name: f"lib{name}.so.2")
    monkeypatch.setattr(knob_support.platform, "libc_ver", lambda: ("glibc", "2.36"))
    for allocator in ("jemalloc", "tcmalloc", "hugepages"):
        assert variants.explain_unsupported("keras", Variant(allocator=allocator), TASK) is None
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    assert "is never): set it to madvise" in variants.explain_unsupported("keras", Variant(allocator="hugepages"), TASK)
    monkeypatch.setattr(knob_support.platform, "libc_ver", lambda: ("glibc", "2.31"))
    assert "need glibc 2.35, and this is glibc 2.31" in variants.explain_unsupported(
        "keras", Variant(allocator="hugepages"), TASK
    )


def test_what_the_gpu_cannot_do_is_refused_with_the_reason(monkeypatch, tmp_path):
    old = gpu.Gpu(0, "NVIDIA T4", "GPU-0", 16 * 2**30, "580", "13.0", 70.0, capability=(7, 5))
    monkeypatch.setattr(gpu, "list_devices", lambda: [old])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for precision, name in (("bf16", "bfloat16"), ("tf32", "TF32")):
        reason = f"NVIDIA T4 has no {name} (compute capability 7.5, 8.0 is needed): use precision fp32"
        assert variants.explain_unsupported("keras", Variant(precision=precision, device="cuda"), TASK) == reason
    assert variants.explain_unsupported("keras", Variant(precision="fp16", device="cuda:0"), TASK) is None
    compiled = Variant(execution="reduce_overhead", device="cuda")
    assert "torch.compile needs a C compiler" in variants.explain_unsupported("pytorch", compiled, TASK)
    monkeypatch.setattr(gpu, "list_devices", lambda: [replace(old, capability=(8, 0))])
    assert variants.explain_unsupported("keras", Variant(precision="tf32", device="cuda"), TASK) is None


def test_a_backend_that_cannot_run_a_variant_is_left_out_and_named():
    made = make_plan(Request(tasks=["embedded"], overrides={"weights": "random"}, knobs=["layout=nchw"]))
    assert [(backend, variant.name) for backend, variant in made.cases(made.tasks[0])] == [("pytorch", "nchw")]
    assert made.skipped["tensorflow/nchw"] == "tensorflow has no layout 'nchw': use nhwc"


def test_a_table_says_which_knobs_its_variants_turn():
    assert variants.get_knob_settings(Variant(threads=1)) == {}
    assert variants.get_knob_settings(Variant(precision="bf16", folding="conv_bn")) == {
        "precision": "bf16",
        "folding": "conv_bn",
    }
    made = [
        one.model_copy(update={"variant": parse(names=["matched"])[0]})
        for one in launches("keras", 4, variant="matched")
    ]
    assert "keras/matched: execution compiled, layout nhwc" in build_tables(made)[0].notes


def test_a_variant_that_no_backend_can_run_is_refused():
    request = Request(tasks=["embedded"], overrides={"weights": "random"}, knobs=["layout=nchw"], backends=["keras"])
    with pytest.raises(UserError, match="no backend can run variant nchw: keras has no layout 'nchw': use nhwc"):
        make_plan(request)


def test_divisions_have_tables_of_their_own():
    records = [
        *launches("pytorch", 6, step_ms=3.0),
        *launches("pytorch", 6, step_ms=2.0, variant="matched"),
        *launches("keras", 6, step_ms=2.5),
        *launches("keras", 6, step_ms=2.5, variant="bf16"),
    ]
    shown = [table for table in build_tables(records) if table.title.startswith("Throughput")]
    assert [[row[0].text for row in table.rows] for table in shown] == [
        ["pytorch/default", "keras/default"],
        ["pytorch/matched"],
        ["keras/bf16"],
    ]
    assert ["division" in table.title for table in shown] == [False, True, True]


@pytest.mark.slow
def test_knobs_are_run_beside_the_default_and_a_resumed_run_still_has_them(tmp_path):
    arguments = ("run", "--suite", suite_file(tmp_path), "--backend", "pytorch", "--variant", "default")
    with Bench(*arguments, "--knob", "threads=1", "--results", tmp_path / "results", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr
    assert "pytorch/default" in bench.stdout
    assert "pytorch/1threads" in bench.stdout
    assert "division knobs" in bench.stdout
    run = next((tmp_path / "results").iterdir())
    with Bench("run", "--resume", run.name, "--results", tmp_path / "results", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr
    assert len(list((run / "records").iterdir())) == 2
