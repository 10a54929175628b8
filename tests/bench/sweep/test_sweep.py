"""The sweep: every combination once and none dropped, the time to a target, and resuming after a kill."""

from __future__ import annotations

import json
import signal

import pandas as pd
import pytest

from backends.backbones import BACKBONES
from backends.task import Task
from bench.errors import UserError
from bench.plan.request import Request
from bench.plan.task_table import TASKS
from bench.records.record import Failure
from bench.sweep import sweep_frames, sweep_launches, sweep_record
from bench.sweep.grid import build_grid
from bench.sweep.sweep_options import SweepOptions
from bench.sweep.sweep_record import Epoch, SweepRecord, find_target_epoch
from bench.sweep.sweep_table import build_seeds_table, build_sweep_table
from bench.sweep.swept_fields import FIELDS, parse_axes
from bench.weights import random_weights
from bench.weights.checkpoint_folder import MODEL, write_config, write_model
from tests.bench.processes import Bench, living, wait_until
from tests.bench.report.live.documented_events import read_documented_fields

SMALL = {"weights": ["random"], "dataset": ["digits"], "train_limit": ["64"], "epochs": ["1"]}


def make_options(target=None, task="cifar10-resnet18", **given) -> SweepOptions:
    return SweepOptions(Request(tasks=[task]), parse_axes({**SMALL, **given}, ()), target)


def test_every_field_of_one_value_can_be_swept():
    assert set(FIELDS) == set(Task.model_fields) - {"name", "mean", "std"}


def test_values_are_lists_with_commas_in_the_order_of_the_tasks_fields():
    found = parse_axes({"batch_size": ["4, 32", "4"], "seed": None}, ["learning-rate=0.1,1e-3"])
    assert found == {"learning_rate": ("0.1", "1e-3"), "batch_size": ("4", "32")}


@pytest.mark.parametrize(
    ("options", "settings", "line"),
    [
        ({}, [], "a sweep needs values of a field"),
        ({"epochs": ["1"]}, ["epochs=2"], "--set epochs=2: epochs has values already"),
        ({"batch_size": ["4,,8"]}, [], "--batch-size 4,,8: a value is missing"),
        ({}, ["momentum="], "--set momentum=: a value is missing"),
        ({}, ["momentum"], "--set momentum: write field=value,value"),
        ({}, ["momentun=1"], "unknown field of a task that can be swept 'momentun': did you mean 'momentum'?"),
        ({}, ["mean=0.5"], "--set mean=0.5: mean cannot be swept"),
    ],
)
def test_invalid_values_are_refused(options, settings, line):
    with pytest.raises(UserError) as error:
        parse_axes(options, settings)
    assert str(error.value).startswith(line)


def test_every_combination_is_there_once_and_shares_its_images():
    made = build_grid(make_options(learning_rate=["0.01,0.1,0.010"], batch_size=["4,32"]))
    found = [(one.prepared.task.learning_rate, one.prepared.task.batch_size) for one in made.combinations]
    assert found == [(0.01, 4), (0.01, 32), (0.1, 4), (0.1, 32)]
    assert [one.number for one in made.combinations] == [1, 2, 3, 4]
    assert made.varied == ("learning_rate", "batch_size")
    assert len({id(one.prepared.dataset) for one in made.combinations}) == 1
    assert len(made.group_by_data()) == 1, "one worker does them all"
    assert len(made.fine_tunes) == 4 * len(made.backends)


def test_combinations_of_other_images_or_weights_are_groups_of_their_own():
    made = build_grid(make_options(train_limit=["32,64"], learning_rate=["0.01,0.1"]))
    assert [[len(one.prepared.dataset.train_images) for one in group] for group in made.group_by_data()] == [
        [32] * 2,
        [64] * 2,
    ]


def test_the_suites_limit_holds_for_every_combination(tmp_path):
    suite = tmp_path / "own.toml"
    suite.write_text(
        'description = "d"\nlaunches = 1\nrounds = 2\nround_seconds = 1\nmost_training_images = 50\n'
        '[[entries]]\ntask = "cifar10-resnet18"\noverride = { weights = "random", dataset = "digits" }\n'
    )
    made = build_grid(SweepOptions(Request(suite=str(suite)), parse_axes({"learning_rate": ["0.1,0.2"]}, ())))
    assert [one.prepared.task.train_limit for one in made.combinations] == [50, 50]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"learning_rate": ["abc,0.1,-1"], "batch_size": ["4,32"]},
            "--learning-rate abc: input should be a valid number, unable to parse string as a number; "
            "--learning-rate -1: input should be greater than 0",
        ),
        (
            {"batch_size": ["32,65,66"]},
            "--batch-size 65: the task has 64 training images: use a batch size of 64 or less; "
            "--batch-size 66: the task has 64 training images: use a batch size of 64 or less",
        ),
        (
            {"batch_norm": ["frozen,batch_stats"], "batch_size": ["1,2"], "learning_rate": ["0.1,0.2"]},
            "batch_norm batch_stats, batch_size 1: batch norm 'batch_stats' would see one value per channel at",
        ),
        ({"target": 0.5}, "--target: with random weights there is no accuracy"),
        ({"task": "cifar10-resnet"}, "unknown task 'cifar10-resnet'"),
    ],
)
def test_every_wrong_combination_is_named_before_anything_starts(given, line):
    with pytest.raises(UserError) as error:
        build_grid(make_options(**given))
    assert line in str(error.value)


def make_record(number=1, correct=(50, 70, 69), failure=None, **more) -> SweepRecord:
    task = TASKS["embedded"]
    epochs = tuple(Epoch(train_loss=1 / n, correct=c, train_s=1.5 * n) for n, c in enumerate(correct, start=1))
    fields = {
        "number": number,
        "backend": "keras",
        "task": task,
        "task_hash": task.hash,
        "overridden": (),
        "dataset_fingerprint": "d",
        "checkpoint_hash": "c",
        "train_images": 1000,
        "test_images": 100,
        "started": "2026-11-26T12:00:00+00:00",
        "resolved": {},
        "features": "recomputed",
        "recomputed_because": None,
        "extraction_s": None,
        "epochs": epochs,
        "evaluation_s": 9.0,
        "closing_s": 0.0,
        "elapsed_s": 20.0,
        "proof": None,
        "warnings": (),
        "failure": failure,
    }
    return SweepRecord(**(fields | more))


DEAD = Failure(phase="build", reason="killed by SIGKILL", last_lines=())


def test_the_target_is_reached_at_the_end_of_the_first_epoch_that_is_as_good():
    assert find_target_epoch(make_record(), 0.7) == (2, make_record().epochs[1])
    assert find_target_epoch(make_record(), 0.5)[0] == 1
    assert find_target_epoch(make_record(), 0.71) is None
    assert find_target_epoch(make_record(correct=(None, None)), 0.1) is None


def test_a_row_for_each_epoch_with_its_interval():
    frame = sweep_frames.build_epoch_frame([make_record(), make_record(2, (10,)), make_record(3, (), failure=DEAD)])
    assert frame[["combination", "epoch", "train_s"]].values.tolist() == [
        [1, 1, 1.5],
        [1, 2, 3.0],
        [1, 3, 4.5],
        [2, 1, 1.5],
    ]
    assert frame.test_accuracy.tolist() == [0.5, 0.7, 0.69, 0.1]
    assert (frame.low < frame.test_accuracy).all()
    assert (frame.high > frame.test_accuracy).all()


def test_fine_tunes_that_miss_the_target_or_fail_are_not_dropped():
    records = [make_record(), make_record(2, (10,)), make_record(3, (), failure=DEAD)]
    frame = sweep_frames.build_summary_frame(records, 0.7)
    assert frame.seconds_to_target.tolist() == [3.0, "not reached", None]
    assert frame.epochs_to_target.tolist() == [2, "not reached", None]
    assert frame.failure.fillna("").tolist() == ["", "", "killed by SIGKILL"]
    assert frame.test_accuracy.tolist()[:2] == [0.69, 0.1]
    table = build_sweep_table(records, ("learning_rate",), 0.7)
    cells = [[cell.text for cell in row] for row in table.rows]
    assert cells[0] == ["1 keras", "0.001", "69.00 % [59.37–77.22]", "2", "3.00", "4.50"]
    assert cells[1][3:5] == ["not reached", "not reached"]
    assert cells[2][2:] == ["failed", "–", "–", "–"]
    drawn = make_record(4, (None, None), task=TASKS["embedded"].model_copy(update={"weights": "random"}))
    assert sweep_frames.build_summary_frame([drawn], 0.7).seconds_to_target.tolist() == ["no accuracy"]
    assert [cell.text for cell in build_sweep_table([drawn], ("weights",), 0.7).rows[0]][3:5] == ["no accuracy"] * 2
    assert "warning failed, 3 keras: killed by SIGKILL" in table.notes


def test_seeds_are_one_row_with_the_interval_over_them():
    def of(number, seed, rate, correct):
        task = TASKS["embedded"].model_copy(update={"seed": seed, "learning_rate": rate})
        return make_record(number, correct, task=task, task_hash=task.hash)

    records = [of(n, n, 0.1, (correct,)) for n, correct in ((1, 70), (2, 74), (3, 72))]
    records += [of(4, 1, 0.2, (69,)), of(5, 2, 0.2, (71,))]
    table = build_seeds_table(records, ("learning_rate", "seed"), 0.7)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["1, 2, 3 keras", "0.1", "3", "72.00 % [67.03–76.97]", "3 of 3", "1.50"],
        ["4, 5 keras", "0.2", "2", "70.00 %", "1 of 2", "not by all"],
    ]


def test_the_proof_of_large_batches_is_short_but_has_momentum_in_it():
    assert [sweep_launches.count_proof_steps(size) for size in (4, 32, 128, 4096)] == [6, 4, 2, 2]


def test_a_record_comes_back_and_an_edited_one_does_not(tmp_path):
    (tmp_path / sweep_record.FOLDER).mkdir()
    sweep_record.write_record(tmp_path, make_record())
    sweep_record.write_record(tmp_path, make_record(2))
    assert sweep_record.read_records(tmp_path) == ([make_record(), make_record(2)], [])
    path = tmp_path / sweep_record.FOLDER / "0002-keras.json"
    path.write_text(path.read_text().replace("70", "80"))
    found, problems = sweep_record.read_records(tmp_path)
    assert found == [make_record()]
    assert problems[0].startswith("combinations/0002-keras.json is left out: its checksum does not fit")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights that are not called random, so that accuracies are reported."""
    folder = tmp_path_factory.mktemp("weights")
    network = BACKBONES["resnet18"]
    write_model(folder / MODEL, random_weights.draw_weights(network, 0), "drawn for a test")
    write_config(folder, network)
    return folder


@pytest.fixture
def command(weights, tmp_path):
    """A sweep of arithmetic: digits, two learning rates, three epochs."""
    fields = ["--set", "dataset=digits", "--train-limit", "256", "--epochs", "3", "--learning-rate", "0.0001,0.01"]
    where = ["--checkpoint", weights, "--results", tmp_path / "results"]
    return ["sweep", "--task", "cifar10-resnet18", *fields, *where]


def read_results(tmp_path) -> tuple[pd.DataFrame, pd.DataFrame]:
    (run,) = (tmp_path / "results").iterdir()
    return pd.read_csv(run / "sweep.csv"), pd.read_csv(run / "summary.csv")


@pytest.mark.thorough
def test_a_killed_sweep_is_finished_and_nothing_finished_is_fine_tuned_again(
    tmp_path, command, command_line, monkeypatch
):
    planted = {"PLANTED_KERAS": "sleep 10"}
    command = [*command, "--backend", "keras", "--backend", "pytorch", "--target", "45%", "--recompute"]
    with Bench(*command, cwd=tmp_path, **planted) as bench:
        bench.until(lambda: "keras, learning rate 0.0001: " in bench.stdout)
        workers = bench.workers()
        bench.process.send_signal(signal.SIGKILL)
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5)
    (run,) = (tmp_path / "results").iterdir()
    before = {path.name: path.read_bytes() for path in (run / sweep_record.FOLDER).iterdir()}
    assert "0001-keras.json" in before
    assert "0002-keras.json" not in before

    resume = ("sweep", "--resume", run.name, "--results", run.parent)
    with Bench(*resume, cwd=tmp_path, OMP_WAIT_POLICY="passive") as bench:
        assert bench.end() == 2
    assert "cannot be resumed, conditions have changed: variables.OMP_WAIT_POLICY was None and is" in bench.stderr
    with Bench(*resume, "--epochs", "2", cwd=tmp_path) as bench:
        assert bench.end() == 2
    assert bench.stderr == "bench: --resume keeps the options that the run had: leave out --epochs\n"

    with Bench(*resume, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert f"4 fine-tunes, {len(before)} are done already" in bench.stdout
    assert {name: (run / sweep_record.FOLDER / name).read_bytes() for name in before} == before
    epochs, summary = read_results(tmp_path)
    assert len(epochs) == 2 * 2 * 3
    assert summary[["combination", "backend"]].values.tolist() == [
        [number, backend] for number in (1, 2) for backend in ("keras", "pytorch")
    ]
    assert summary.seconds_to_target.tolist()[:2] == ["not reached"] * 2
    assert summary.epochs_to_target.astype(str).tolist()[2:] != ["not reached"] * 2
    assert set(summary.features) == {"recomputed"}
    assert summary.proof.tolist() == ["proven", "reference"] * 2
    assert summary.test_accuracy[0] == summary.test_accuracy[1]
    assert "not reached" in bench.stdout

    monkeypatch.setenv("COLUMNS", "120")
    files = {path: path.read_bytes() for path in run.glob("*.csv")}
    for path in files:
        path.unlink()
    shown = command_line("show", "--results", run.parent)
    assert shown.status == 0, shown.err
    assert f"{run.name}" in command_line("list", "runs", "--results", run.parent).out
    assert shown.out.strip()
    assert shown.out.strip() in bench.stdout
    assert {path: path.read_bytes() for path in run.glob("*.csv")} == files
    assert command_line("show", run.name, "--results", run.parent, "--relative-to", "keras").status == 2
    (run / sweep_record.FOLDER / "0001-keras.json").write_text("{}")
    shown = command_line("show", run.name, "--results", run.parent)
    assert shown.status == 1
    assert "0001-keras.json is left out" in shown.out
    assert {path: path.read_bytes() for path in run.glob("*.csv")} == files, "the files stay as they were"


@pytest.mark.slow
def test_ctrl_c_keeps_finished_fine_tunes_and_says_how_to_resume(tmp_path, command):
    with Bench(*command, "--backend", "keras", "--recompute", cwd=tmp_path, PLANTED_KERAS="sleep 10") as bench:
        bench.until(lambda: "keras, learning rate 0.0001: " in bench.stdout)
        bench.process.send_signal(signal.SIGINT)
        assert bench.end(30) == 130
    (run,) = (tmp_path / "results").iterdir()
    output = " ".join(bench.stdout.split())
    assert "Stopped: 1 of 2 fine-tunes are finished and kept in" in output
    assert f"Resume with: bench sweep --resume {run.name}" in output
    assert len(read_results(tmp_path)[0]) == 3
    assert "Traceback" not in bench.stderr


@pytest.mark.slow
def test_features_are_cached_if_the_proof_passes_and_recomputed_otherwise(tmp_path, command):
    """Batch statistics forbid caching, and the head of keras trains on other features than its backbone computes."""
    more = ["--set", "batch_norm=frozen,batch_stats", "--backend", "keras", "--backend", "pytorch"]
    planted = {"PLANTED_KERAS": "other features", "PLANTED_PYTORCH": "slow look"}
    with Bench(*command, *more, cwd=tmp_path, **planted) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    _, summary = read_results(tmp_path)
    frozen = summary[summary.batch_norm == "frozen"]
    assert frozen.features.tolist() == ["recomputed", "cached"] * 2
    assert frozen.recomputed_because[frozen.backend == "keras"].str.startswith("pipeline order: ").all()
    assert frozen.extraction_s.notna().tolist() == [False, True] * 2
    assert not summary.warnings.fillna("").str.contains("knob-without-effect").any(), "no knob asks for features"
    assert frozen.test_accuracy.tolist()[::2] == frozen.test_accuracy.tolist()[1::2]
    pytorch = frozen[frozen.backend == "pytorch"]
    assert (pytorch.evaluation_s > 3 * 0.05).all(), "three epochs, and all features of the test images at once"
    assert (pytorch.train_s < 3 * 0.05).all(), "evaluation on the test set is not in the time of training"
    moving = summary[summary.batch_norm == "batch_stats"]
    assert set(moving.features) == {"recomputed"}
    assert moving.recomputed_because.str.contains("batch norm is 'batch_stats'").all()


@pytest.mark.slow
def test_quiet_prints_the_answer_and_json_the_documented_events(tmp_path, command):
    with Bench(*command, "--backend", "pytorch", "--recompute", "--quiet", cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr
    answer, path = bench.stdout.splitlines()
    assert answer
    assert path.startswith("Results: ")
    with Bench(*command, "--backend", "pytorch", "--recompute", "--json", cwd=tmp_path) as bench:
        assert bench.end() == 0
    events = [json.loads(line) for line in bench.stdout.splitlines()]
    documented = read_documented_fields("sweep")
    for event in events:
        assert event.keys() == documented[event["event"]], event["event"]
    first, *tuned, last = events
    assert [first["event"], last["event"]] == ["started", "finished"]
    assert len(tuned) == first["fine_tunes"] > 1
    assert last["answers"]


@pytest.mark.slow
def test_a_worker_that_dies_fails_only_its_own_fine_tunes_and_they_are_not_dropped(tmp_path, command):
    more = ["--backend", "keras", "--backend", "pytorch", "--target", "0.2"]
    with Bench(*command, *more, cwd=tmp_path, PLANTED_KERAS="raise in build") as bench:
        assert bench.end() == 1
    _, summary = read_results(tmp_path)
    assert summary.failure.notna().tolist() == [True, False] * 2
    assert summary.failure[0] == "ValueError: planted: raised in build"
    assert summary.test_accuracy.notna().tolist() == [False, True] * 2


@pytest.mark.slow
@pytest.mark.thorough
def test_with_a_real_framework_one_extraction_serves_many_combinations(tmp_path):
    fields = [f"--{name.replace('_', '-')}={value[0]}" for name, value in SMALL.items() if name != "dataset"]
    command = ["sweep", "--task", "cifar10-resnet18", "--backend", "pytorch", *fields, "--set", "dataset=digits"]
    command += ["--batch-size", "8,32", "--results", tmp_path / "results"]
    with Bench(*command, cwd=tmp_path, REAL="yes") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    epochs, summary = read_results(tmp_path)
    assert set(summary.features) == {"cached"}
    assert set(summary.proof) == {"reference"}
    assert epochs[["combination", "batch_size", "epoch"]].values.tolist() == [[1, 8, 1], [2, 32, 1]]
    assert (epochs.train_s > 0).all()
    assert summary.extraction_s.nunique() == 1
    assert summary.test_accuracy.isna().all(), "random weights"
