"""The rows of launches: their columns, its units, and its content where nothing was measured."""

from __future__ import annotations

import math

import pytest

from bench.records.launch_rows import COLUMNS, build_row
from bench.records.record import Phase
from tests.bench.example_records import MB, NOISY, died, record


def test_columns_are_these_in_this_order():
    expected = (
        "run task backend variant batch_size image_size launch rounds images_per_second "
        "compute_images_per_second first_step_s import_s build_s peak_host_mb import_host_mb peak_device_mb "
        "nvml_device_mb train_loss test_accuracy finetune_s parity warnings epoch_seconds epoch_accuracy"
    )
    assert " ".join(COLUMNS) == expected
    assert tuple(build_row(record())) == COLUMNS


def test_a_row_holds_a_launch_in_the_units_that_are_documented():
    made = record("keras", 3, warnings=[NOISY, NOISY])
    pipeline = made.pipeline.model_copy(update={"seconds": (0.5, 0.25, 9.0), "images": 100})
    row = build_row(made.model_copy(update={"pipeline": pipeline}))

    assert row["images_per_second"] == 200
    assert row["rounds"] == 3
    assert row["peak_host_mb"] == 930
    assert row["import_host_mb"] == 400
    assert math.isnan(row["peak_device_mb"])
    assert math.isnan(row["nvml_device_mb"])
    assert row["train_loss"] == 0.9876
    assert row["test_accuracy"] == pytest.approx(0.7012)
    assert (row["import_s"], row["finetune_s"]) == (2.3, 133)
    assert (row["parity"], row["warnings"]) == ("proven", "unsteady-rounds;unsteady-rounds")


def test_the_epochs_of_a_fine_tune_are_joined_and_empty_where_they_are_not_known():
    made = record()
    assert (build_row(made)["epoch_seconds"], build_row(made)["epoch_accuracy"]) == ("", "")
    epochs = {"epoch_seconds": (60.25, 130.0), "epoch_correct": (90, 150), "epoch_test_images": 200}
    tune = made.fine_tunes[0].model_copy(update=epochs)
    row = build_row(made.model_copy(update={"fine_tunes": (tune,)}))
    assert (row["epoch_seconds"], row["epoch_accuracy"]) == ("60.25;130", "0.45;0.75")


def test_the_host_peak_is_that_of_the_highest_phase():
    made = record()
    build = Phase(name="build", peak=1990 * MB, live=0, children=10 * MB)
    phases = [build if phase.name == "build" else phase for phase in made.memory.host]
    memory = made.memory.model_copy(update={"host": tuple(phases), "device_allocated": 3 * MB})
    row = build_row(made.model_copy(update={"memory": memory}))
    assert (row["peak_host_mb"], row["peak_device_mb"]) == (2000, 3)


def test_a_launch_that_died_keeps_its_row():
    row = build_row(died(record(), "import", "killed", []))
    assert (row["rounds"], row["parity"]) == (0, "")
    assert math.isnan(row["images_per_second"])
    assert math.isnan(row["test_accuracy"])
