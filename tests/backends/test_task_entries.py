"""What packages add to the tables of tasks, backbones, data sets and checkpoints, and what is left out of them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from backends import task_entries
from backends.backbones import BACKBONES
from backends.task import STORED, Task
from backends.task_entries import CHECKPOINTS, DATASETS, EntryTable
from bench import data
from bench.errors import UserError
from bench.plan.prepared_task import override_task
from bench.plan.task_table import TASKS
from bench.weights import checkpoints, random_weights
from bench.weights.checkpoint_folder import write_model
from tests.backends.packages import ENTRIES, install
from tests.bench.processes import PROJECT

TABLES = (TASKS, BACKBONES, DATASETS, CHECKPOINTS)


def forget() -> None:
    """Forget what was looked up: the tests change what is installed within a process."""
    task_entries.find_packages.cache_clear()
    for table in TABLES:
        table.__init__(table.kind, table._own, table._check)


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Callable[..., None]:
    """Installs a package for this process."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def run(distribution: str = "our-tasks", *arguments: str) -> None:
        install(tmp_path, distribution, *arguments)
        importlib.invalidate_caches()  # the folder may have changed within the resolution of its time
        forget()

    yield run
    forget()
    for name in set(sys.modules) - before:
        if name.endswith(("_entries", "_content")) and "." not in name:
            del sys.modules[name]


def problems(table: EntryTable) -> list[str]:
    return [f"{name}: {problem}" for name, problem in table.problems.items()]


def test_a_package_adds_a_task_with_its_network_images_and_weights(installed, tmp_path, monkeypatch):
    installed()
    assert [table.problems for table in TABLES] == [{}, {}, {}, {}]
    task, changed = override_task("ours", {"batch_size": 2})
    assert changed == ("batch_size",)
    assert (task.network.blocks, task.classes) == ((1, 1, 1, 1), 3)
    assert Task.model_validate_json(task.model_dump_json()) == task, "as in a worker"
    for table, name in ((TASKS, "ours"), (BACKBONES, "resnet10"), (DATASETS, "dots"), (CHECKPOINTS, "ours-v1")):
        assert table.get_distribution(name) == "our-tasks"
    assert BACKBONES.get_distribution("resnet18") == ""

    dataset = data.load("dots")
    assert (dataset.train_images.shape, len(dataset.test_labels), dataset.source) == ((8, 4, 4, 3), 4, "made here")
    assert not data.reads_folder("dots")
    assert data.find_location("dots") == "comes with our-tasks: made here"

    file = tmp_path / "weights.safetensors"
    write_model(file, random_weights.draw_weights(task.network, 0), "drawn")
    monkeypatch.setenv("OURS", str(file))
    checkpoint = checkpoints.obtain(task)
    assert (checkpoint.backbone, checkpoint.weights, checkpoint.source) == ("resnet10", "ours-v1", f"file {file}")
    assert checkpoints.find_location("resnet10", "ours-v1") == "comes with our-tasks"


@pytest.mark.parametrize(
    ("old", "new", "table", "line"),
    [
        ('"ours":', '"tutorial":', TASKS, "tutorial (our-tasks): this project has a task of that name: rename it"),
        ('"resnet10", "resnet"', '"resnet18", "resnet"', BACKBONES, "this project has a backbone of that name"),
        ('"dots": Data', '"digits": Data', DATASETS, "digits (our-tasks): this project has a data set of that name"),
        ('"image_size": 32', '"image_size": 8', TASKS, "image size 8 is too small for resnet10: use 32 or more"),
        ('"image_size": 32', '"image": 32', TASKS, "it is not a task: image_size: Field required"),
        ('"ours-v1", "dataset"', '"other", "dataset"', TASKS, "weights 'other' do not exist for resnet10"),
        ("(1, 1, 1, 1)", "(1, 1, 1)", BACKBONES, "blocks are (1, 1, 1), and a ResNet has four stages"),
        ('"basic"', '"wide"', BACKBONES, "block 'wide' is not one of basic, bottleneck"),
        ("512,", "256,", BACKBONES, "features is 256, and in this family it is 512"),
        ('"resnet", 512', '"vgg", 512', BACKBONES, "family 'vgg' is not one of resnet, efficientnet_lite"),
        ("DatasetEntry(4, 3,", "DatasetEntry(4, 1,", DATASETS, "classes is 1, and has to be a whole number from 2 on"),
        ("content:make", "content.make", DATASETS, "'our_tasks_content.make' is not written as module:function"),
        ("DatasetEntry(4,", "(4,", DATASETS, "its value is not a DatasetEntry"),
        ("MODULE_content:find", "", CHECKPOINTS, "'' is not written as module:function"),
        ("tasks={", "tasks=None and {", TASKS, "tasks (our-tasks): its tasks are not a table of entries"),
        ("ENTRIES =", "import nothing_here\nENTRIES =", TASKS, "cannot be imported: ModuleNotFoundError: No module"),
        (
            "ENTRIES = TaskEntries(",
            "ENTRIES = dict(",
            TASKS,
            "its object is not a TaskEntries: correct our_tasks_",
        ),
        ("ENTRIES =", "raise SystemError('two\\nlines')\nENTRIES =", TASKS, "SystemError: two"),
        ("ENTRIES =", "print('noise')\nraise SystemExit(3)\nENTRIES =", TASKS, "SystemExit: 3"),
    ],
)
def test_an_entry_that_is_wrong_is_left_out_with_a_line(installed, old, new, table, line):
    assert old in ENTRIES
    installed("our-tasks", ENTRIES.replace(old, new, 1))
    (found,) = problems(table)
    assert line in found
    assert "\n" not in found
    assert set(table) == set(table._own)
    assert "cifar10-resnet18" in TASKS


def test_of_two_packages_with_one_name_the_first_is_kept(installed):
    installed("a-tasks")
    installed("b-tasks")
    assert DATASETS.get_distribution("dots") == "a-tasks"
    assert problems(DATASETS) == [
        "dots (b-tasks): a-tasks has a data set of that name: rename it, or uninstall one of them"
    ]


def test_an_unknown_name_is_answered_with_what_was_left_out(installed):
    installed("our-tasks", "import nothing_here\n")
    with pytest.raises(
        UserError, match=r"unknown task 'ours'.*; left out is our_tasks \(our-tasks\): its entries cannot"
    ):
        override_task("ours", {})


def test_a_stored_task_can_be_read_without_its_package_and_no_other_can():
    fields = {"name": "ours", "backbone": "resnet10", "weights": "ours-v1", "dataset": "dots", "image_size": 32}
    with pytest.raises(ValidationError, match="dataset 'dots' is not one of cifar10, digits"):
        Task.model_validate(fields)
    task = Task.model_validate(fields, context=STORED)
    assert (task.trained, task.hash, task.model_dump()["dataset"]) == ((), task.hash, "dots")
    with pytest.raises(ValidationError, match="Input should be greater than 0"):
        Task.model_validate(fields | {"learning_rate": -1}, context=STORED)


def test_nothing_is_looked_up_for_the_names_of_this_project(in_fresh_interpreter):
    code = (
        "import backends.task_entries as entries, bench.plan.task_table as table\n"
        "entries.metadata.entry_points = None\n"
        "print(table.TASKS['embedded'].network.name, 'cifar10' in entries.DATASETS)"
    )
    assert in_fresh_interpreter(code) == "efficientnet_lite0 True\n"


def run_list(site: Path, what: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "list", what],
        env={"PYTHONPATH": f"{site}:{PROJECT}", "COLUMNS": "240", "PATH": "", "HOME": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("what", "ours", "own"),
    [
        ("tasks", "ours resnet10 ours-v1 dots at 32", "embedded efficientnet_lite0"),
        ("backbones", "resnet10 60 512 32 px ours-v1, random our-tasks", "resnet18 100 512"),
        ("datasets", "dots 4×4 3 comes with our-tasks: made here our-tasks", "digits 8×8 10"),
    ],
)
def test_a_list_says_where_each_entry_comes_from_and_what_was_left_out(tmp_path, what, ours, own):
    install(tmp_path, "our-tasks")
    install(tmp_path, "z-tasks", "import nothing_here\n")
    lines = run_list(tmp_path, what)
    assert any(line.startswith(ours) and line.endswith("our-tasks") for line in lines), lines
    assert any(line.startswith(own) and line.endswith("this project") for line in lines), lines
    assert lines[-1].startswith("z_tasks (z-tasks) is left out: its entries cannot be imported: ModuleNotFoundError")
