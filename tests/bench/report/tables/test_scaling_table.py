"""The scaling tables, their sentences in the verdict, and their plots."""

from __future__ import annotations

from bench.report.figures.scaling_figure import build_scaling_plots
from bench.report.tables import build_tables
from bench.report.tables.scaling_table import build_scaling_tables, describe_scaling
from bench.report.verdict import build_verdict
from tests.bench.analysis.test_scaling import on_devices

SLOWER = [
    *on_devices(1, 10.0, threads=2),
    *on_devices(2, 12.5, threads=1),
    *on_devices(2, 11.0, threads=1, exchange="none"),
]


def test_a_row_has_throughput_efficiency_and_communication():
    (table,) = build_scaling_tables(SLOWER)
    assert table.title == "Strong scaling: the global batch stays the same"
    one, two = [[cell.text for cell in row] for row in table.rows]
    assert one[:3] == ["PyTorch", "1", "64"]
    assert two[:3] == ["PyTorch", "2", "64 (32)"]
    assert two[4].startswith("0.80 [")
    assert two[5].startswith("80 [")
    assert two[6].startswith("1.2")
    assert two[7] == "12 %"


def test_processes_that_share_the_cores_of_one_are_said_to_gain_nothing():
    ((case, sentence),) = describe_scaling(SLOWER)
    assert "default-x2" in case
    assert "2 processes on the same cores gain nothing" in sentence
    assert "one process already uses all of them" in sentence
    assert sentence in build_verdict(SLOWER).text


def test_two_gpus_are_said_to_be_faster_and_what_the_hardware_allows():
    ((_, sentence),) = describe_scaling(on_devices(1, 10.0, device="cuda") + on_devices(2, 6.25, device="cuda"))
    assert "1.60" in sentence
    assert "the hardware allows 2 ×" in sentence


def test_processes_without_exchange_are_in_no_other_table():
    texts = [cell.text for table in build_tables(SLOWER) for row in table.rows for cell in row]
    assert not [text for text in texts if "no-exchange" in text]


def test_a_run_on_one_device_has_no_scaling_table_and_no_plot():
    assert build_scaling_tables(on_devices(1, 10.0)) == []
    assert build_scaling_plots(on_devices(1, 10.0)) == []


def test_a_plot_has_the_efficiency_by_number_of_devices():
    (plot,) = build_scaling_plots(SLOWER)
    (line,) = plot.lines
    assert [(point.x, round(point.y)) for point in line.points] == [(1, 100), (2, 80)]
