"""Rates and shares, computed from invented seconds whose answers are known."""

from __future__ import annotations

import pytest

from backends.task import Variant
from bench.plan.task_table import TASKS
from bench.roofline import roofline_tables
from bench.roofline.achieved_rates import compute_roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.rate_measurement import CaseMeasurement, list_round_kinds
from bench.worker.kernels import ARRAY, CHAIN, GEMM_SIDE
from bench.worker.step_work import Step, count_convolution_work

STEP = Step(TASKS["cifar10-resnet18"], Variant(threads=1))
LAYER = next(layer for layer in STEP.layers if layer.name == "layer1.0.conv1")


@pytest.fixture
def measured() -> CaseMeasurement:
    """GEMMs at 100 GFLOP/s, a convolution at 200, memory at 10 GB/s; a step waits for its input pipeline."""
    made = CaseMeasurement("keras", STEP.variant)
    made.seconds |= {
        "gemm fp32": [[2 * GEMM_SIDE["cpu"] ** 3 / 100e9] * 2],
        "memory": [[3 * ARRAY["cpu"] / 10e9] * 2],
        "small operations": [[CHAIN * 5e-6] * 2],
        "convolutions": [[0.007, 0.007]],
        "pipeline": [[0.010, 0.010]],
        "compute": [[0.008, 0.008]],
        "loader": [[0.009, 0.009]],
    }
    made.layers = [{"layer1.0.conv1 forward": count_convolution_work(LAYER, 4, 4).flop / 200e9}]
    return made


def test_a_rate_is_an_amount_per_second(measured):
    case = compute_roofline(STEP, measured)
    assert case.rates["gemm fp32"].estimate == pytest.approx(100e9)
    assert case.rates["memory"].estimate == pytest.approx(10e9)
    assert case.rates["small operations"].estimate == pytest.approx(200e3)
    assert case.rates["convolutions"].estimate == pytest.approx(STEP.parts["convolutions"].flop / 0.007)
    assert (case.best.flops, case.best.kernel) == (pytest.approx(200e9), "layer1.0.conv1")
    assert case.ridge == pytest.approx(20)
    assert case.bound.name == "input"
    assert case.bound.shares["input"] == pytest.approx(0.2)
    taken = case.seconds
    assert (taken.pipeline, taken.compute, taken.loader) == pytest.approx((0.010, 0.008, 0.009))
    assert (taken.convolutions, taken.dispatch) == pytest.approx((0.007, 20 * 5e-6))
    works = [STEP.count_work(layer) for layer in STEP.layers]
    by_limit = sum(max(work.flop_padded / 200e9, work.bytes_padded / 10e9) for work in works)
    assert taken.arithmetic + taken.traffic == pytest.approx(by_limit)
    assert taken.traffic == pytest.approx(
        sum(work.bytes_padded / 10e9 for work in works if work.flop_padded / work.bytes_padded < case.ridge)
    )


def test_a_step_is_a_share_of_the_best_and_of_the_peak(measured):
    case = compute_roofline(STEP, measured)
    flop = STEP.compute.flop
    table = roofline_tables.build_roofline_table([case], Peak({"fp32": 400e9}, None, "made"), gpu=True)
    row = dict(zip((column.name for column in table.columns), table.rows[0], strict=True))
    assert row["of measured best"].text == f"{100 * flop / 0.008 / 200e9:.1f} %"
    assert row["MFU"].text == f"{100 * flop / 0.008 / 400e9:.1f} %"
    assert row["MFU, with input pipeline"].text == f"{100 * flop / 0.010 / 400e9:.1f} %"
    assert row["bound by"].text == "input"
    unknown = roofline_tables.build_roofline_table([case], "not in the table", gpu=False)
    assert "theoretical peak: not known: not in the table" in unknown.notes
    assert not any("peak" in column.name for column in unknown.columns)


def test_a_part_that_was_not_measured_gives_no_verdict(measured):
    del measured.seconds["memory"]
    case = compute_roofline(STEP, measured)
    assert (case.bound, case.ridge) == (None, None)
    assert roofline_tables.build_evidence_table([case]).rows == ()


def test_the_gradients_of_what_is_trained_are_among_the_convolutions(measured):
    trained = Step(STEP.task.model_copy(update={"trainable": "all"}), STEP.variant)
    frozen, whole = (compute_roofline(step, measured).rates["convolutions"].estimate for step in (STEP, trained))
    assert 2.9 * frozen < whole < 3 * frozen


def test_matrix_products_are_measured_in_the_precisions_of_the_device_and_the_variant(monkeypatch):
    monkeypatch.setattr("bench.roofline.rate_measurement.explain_missing_bf16", lambda device: "none")
    assert [k for k in list_round_kinds(Variant()) if k.startswith("gemm")] == ["gemm fp32"]
    assert [k for k in list_round_kinds(Variant(precision="tf32", device="cuda")) if k.startswith("gemm")] == [
        "gemm tf32"
    ]
    monkeypatch.setattr("bench.roofline.rate_measurement.explain_missing_bf16", lambda device: None)
    assert [k for k in list_round_kinds(Variant()) if k.startswith("gemm")] == ["gemm fp32", "gemm bf16"]
    assert {"gemm fp16", "gemm bf16"} < set(list_round_kinds(Variant(precision="fp16", device="cuda")))
    assert "convolutions" not in list_round_kinds(Variant(features="cached"))
