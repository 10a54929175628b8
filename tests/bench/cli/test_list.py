"""`bench list`: no word is broken, and a list of runs says what each has measured and whether it ended."""

from __future__ import annotations

import json

import pytest

from bench.cli import list as list_module
from bench.machine.environment import describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.networks import processes
from bench.plan import suite, tuned_variants
from bench.plan.tuned_variants import HistoryEntry, TunedVariant
from bench.records import store
from bench.records.record import MeasurementWarning
from tests.bench.example_records import died, launches, record
from tests.bench.processes import PROJECT
from tests.bench.stored_runs import write_run

REFERENCE = PROJECT / "results/reference"


@pytest.fixture
def list_runs(command_line, tmp_path, monkeypatch):
    """Returns the lines of `bench list runs` on a wide terminal."""

    def run() -> list[str]:
        monkeypatch.setenv("COLUMNS", "160")
        ended = command_line("list", "runs", "--results", tmp_path)
        assert ended.status == 0
        return [" ".join(row.split()) for row in ended.out.splitlines()]

    return run


def test_a_run_is_finished_or_says_how_it_can_be(list_runs, tmp_path):
    both = [*launches("pytorch", 4), *launches("keras", 4)]
    write_run(tmp_path, "20260101T000000Z-a", both)
    write_run(tmp_path, "20260102T000000Z-b", [*both[:3], *both[4:6]])
    write_run(tmp_path, "20260103T000000Z-c", [])
    write_run(tmp_path, "20260104T000000Z-d", [*both[:-1], died(both[-1], "training", "SIGKILL", [])])
    (write_run(tmp_path, "20260105T000000Z-e", both[:2]) / "request.json").unlink()
    heading, *rows = list_runs()
    assert heading == "run task cases launches state"
    task = "cifar10-resnet18 pytorch, keras"
    assert rows == [
        f"20260101T000000Z-a {task} 4 finished",
        f"20260102T000000Z-b {task} 2 of 4 resumable",
        "20260103T000000Z-c – – 0 nothing yet, resumable",
        f"20260104T000000Z-d {task} 4 finished, 1 died",
        "20260105T000000Z-e cifar10-resnet18 pytorch 2 of 4 unfinished",
    ]


def test_a_record_that_cannot_be_read_is_said_with_its_reason(list_runs, tmp_path):
    run = write_run(tmp_path, "20260101T000000Z-a", launches("pytorch", 4))
    first, second, third, fourth = sorted((run / store.RECORDS).iterdir())
    first.write_text(first.read_text()[:100])
    second.write_text(second.read_text().replace("pytorch", "keras"))
    newer = json.loads(third.read_text())["record"] | {"schema_version": 99}
    third.write_text(json.dumps({"record": newer, "sha256": store_checksum(newer)}))
    (row,) = list_runs()[1:]
    assert row.startswith("20260101T000000Z-a cifar10-resnet18 pytorch 1 of 4 resumable, 3 records unreadable: ")
    assert all(reason in row for reason in ("cut off", "edited", "of a newer version"))
    fourth.unlink()
    assert list_runs()[1].startswith("20260101T000000Z-a – – 0 3 records unreadable: ")


def store_checksum(content: dict[str, object]) -> str:
    from bench.records.checksummed_json import compute_checksum

    return compute_checksum(content)


def test_a_second_task_that_was_not_begun_is_missing(list_runs, tmp_path):
    two = suite.load("offline").model_copy(update={"launches": 4}).model_dump(mode="json")
    write_run(tmp_path, "20260101T000000Z-a", launches("pytorch", 4), suite=two)
    assert list_runs()[1].endswith("resumable")


@pytest.mark.parametrize(("minutes", "count", "state"), [(10, 4, "resumable"), (7, 4, "finished"), (4, 3, "resumable")])
def test_a_time_limit_ends_a_run_with_enough_launches_for_an_interval(list_runs, tmp_path, minutes, count, state):
    limited = suite.load("quick").model_copy(update={"launches": 9, "most_minutes": minutes}).model_dump(mode="json")
    timed = [
        record("pytorch", number).model_copy(update={"started": f"2026-01-02T03:{2 * number:02}:00+00:00"})
        for number in range(count)
    ]
    write_run(tmp_path, "20260101T000000Z-a", timed, suite=limited)
    assert list_runs()[1].endswith(f"{count} of 9 {state}")


def test_wide_intervals_are_more_to_measure_until_a_time_limit(list_runs, tmp_path):
    noisy = [*launches("pytorch", 4, noise=0.3), *launches("keras", 4, noise=0.3)]
    write_run(tmp_path, "20260101T000000Z-a", noisy, until=0.01)
    write_run(tmp_path, "20260102T000000Z-b", noisy, until=0.01, command="bench run --until 1% --max-time 5m")
    rows = list_runs()[1:]
    assert [row.rpartition(" ")[2] for row in rows] == ["resumable", "finished"]


def test_the_reference_run_is_listed_as_finished(command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    ended = command_line("list", "runs", "--results", REFERENCE)
    line = " ".join(ended.out.splitlines()[1].split())
    assert line == "20261126T164841Z-quick cifar10-lite0 pytorch, tensorflow, keras 3 finished"


def test_an_empty_folder_of_results_says_how_to_make_a_run(list_runs):
    (line,) = list_runs()
    assert line.startswith("There is no run in ")
    assert line.endswith("bench run --suite quick makes one in about five minutes.")


def test_at_80_columns_the_list_of_runs_fits(command_line, tmp_path, monkeypatch):
    write_run(tmp_path, "20260101T000000Z-standard", [*launches("pytorch", 4), *launches("tensorflow", 3)])
    monkeypatch.setenv("COLUMNS", "80")
    lines = command_line("list", "runs", "--results", tmp_path).out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(word in " ".join(lines).split() for word in ("20260101T000000Z-standard", "pytorch,", "tensorflow"))


def test_the_name_of_a_task_is_no_markup(list_runs, tmp_path):
    strange = record("pytorch")
    strange = strange.model_copy(update={"task": strange.task.model_copy(update={"name": "[red]<script>"})})
    write_run(tmp_path, "20260101T000000Z-[bold]", [strange])
    write_run(tmp_path, "20260102T000000Z-\x1b[31m\u202e", [strange])
    first, second = list_runs()[1:]
    assert first.startswith("20260101T000000Z-[bold] [red]<script> pytorch")
    assert second.startswith("20260102T000000Z-⟨U+001B⟩[31m⟨U+202E⟩ [red]<script>"), "no name commands the terminal"


@pytest.mark.parametrize("what", sorted(set(list_module.LISTS) - {"runs"}))
@pytest.mark.parametrize("width", [80, 120])
def test_no_list_breaks_a_word_that_fits(what, width, command_line, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = command_line("list", what).out
    assert all(len(line) <= width for line in shown.splitlines())
    _, rows = list_module.LISTS[what](tmp_path)
    words = {word for row in rows for cell in row for word in cell.split() if len(word) < width - 4}
    assert {word for word in words if word not in shown} == set()


def test_tasks_of_one_name_say_what_differs(tmp_path):
    tasks = {name: text for name, text, *_ in list_module.LISTS["suites"](tmp_path)[1]}
    assert tasks["attribution"] == "cifar10-resnet18 (batch_size=128; batch_size=4)"
    assert tasks["engines"] == (
        "cifar10-resnet18 (weights=random, dataset=digits; weights=IMAGENET1K_V1, dataset=cifar10)"
    )
    assert tasks["offline"] == "cifar10-resnet18, embedded"


def test_a_tuned_variant_stands_above_its_search_and_what_was_left_open_below(command_line, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    assert command_line("list", "tuned").out.startswith("Nothing is tuned on this machine yet: bench tune")
    tuned_variants.save(
        TunedVariant(
            backend="keras",
            task="embedded",
            task_hash="0123456789ab",
            device="cpu",
            threads=2,
            measured="2026-11-26T12:00:00+00:00",
            machine=make_fingerprint(describe_environment())["machine"],
            versions={},
            knobs={"folding": "conv_bn"},
            speedup=1.1,
            low=1.05,
            high=1.15,
            proof="proven",
            history=(HistoryEntry(stage="one knob", name="product", speedup=None),),
            notes=("no time left to try bf16: use a larger --budget",),
            warnings=(MeasurementWarning(name="few-launches", evidence="only 2", advice="run it again"),),
        )
    )
    monkeypatch.setenv("COLUMNS", "80")
    assert [" ".join(line.split()) for line in command_line("list", "tuned").out.splitlines()] == [
        "keras, embedded (0123456789ab), cpu, 2 threads",
        "stage variant × the default's steps",
        "tuned conv_bn 1.100 [1.050–1.150]",
        "one knob product –",
        "Left open: no time left to try bf16: use a larger --budget",
        "warning few-launches: only 2",
    ]


def test_networks_of_timm_are_found_by_name_and_by_weights(command_line, monkeypatch):
    known = {"vit_tiny": ["augreg", "dino"], "resnet18": ["a1"], "resnet18d": []}
    monkeypatch.setattr(processes, "list_timm_networks", lambda: known)
    for search, lines in {
        "timm/ViT": ["timm/vit_tiny  weights: augreg, dino"],
        "resnet": ["timm/resnet18  weights: a1", "timm/resnet18d"],
        "vit_tiny.dino": ["timm/vit_tiny  weights: augreg, dino"],
        "a1": ["timm/resnet18  weights: a1"],
    }.items():
        ended = command_line("list", "backbones", "--search", search)
        assert (ended.status, ended.out.splitlines()) == (0, lines)
    ended = command_line("list", "backbones", "--search", "timm/resnet81")
    assert ended.status == 2
    assert "timm has no network 'resnet81': did you mean resnet18, resnet18d, vit_tiny?" in ended.err


@pytest.mark.thorough
def test_timm_is_asked_for_its_networks():
    known = processes.list_timm_networks()
    assert len(known) > 1000
    assert "augreg_in21k" in known["vit_tiny_patch16_224"]
    assert known["maxvit_tiny_rw_256"] == []
