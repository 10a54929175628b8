"""What is kept beside features is listed with its size, and removed on request; what is downloaded stays."""

from __future__ import annotations

import pytest

from bench.cache.kept_entries import KEPT, list_kept
from bench.data.images import kept_images
from bench.networks import exported_checkpoints, saved_programs
from bench.plan.task_table import TASKS

#: Files in a home, with their sizes in MB, by kind; `other` is never listed.
FILES = {
    "images": {"images/abc.safetensors": 3, "images/def.safetensors": 1},
    "networks": {
        "checkpoints/timm-vit-32-random-0-abc/graph.json": 1,
        "checkpoints/timm-vit-32-random-0-abc/model.safetensors": 4,
        "checkpoints/program-net-abc-32-pretrained-def/model.safetensors": 2,
    },
    "programs": {"programs/net-abc.pt2": 6},
    "other": {"checkpoints/resnet18-random-0/model.safetensors": 7, "images/abc.part": 1},
}


@pytest.fixture
def filled_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    for files in FILES.values():
        for name, size in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(size * 2**20))
    return tmp_path


def test_all_kinds_are_listed_with_the_size_of_all_their_files(filled_home, command_line):
    assert {kind: sum(entry.size for entry in list_kept(kind)) / 2**20 for kind in KEPT} == {
        "images": 4,
        "networks": 7,
        "programs": 6,
    }
    status, out, _ = command_line("cache", "list")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["images", "abc", "3.0"],
        ["images", "def", "1.0"],
        ["networks", "timm-vit-32-random-0-abc", "5.0"],
        ["networks", "program-net-abc-32-pretrained-def", "2.0"],
        ["programs", "net-abc", "6.0"],
    ]


@pytest.mark.parametrize(("kind", "freed"), [("images", "4.0"), ("networks", "7.0"), ("programs", "6.0")])
def test_one_kind_is_removed_and_the_others_stay(filled_home, command_line, kind, freed):
    status, out, _ = command_line("cache", "clear", kind)
    assert (status, out) == (0, f"{freed} MB of {kind} removed from {filled_home}\n")
    left = {
        str(file.relative_to(filled_home))
        for file in filled_home.rglob("*")
        if file.is_file() and file.suffix != ".lock"
    }
    assert left == {name for other, files in FILES.items() if other != kind for name in files}


def test_an_unknown_kind_is_one_line(filled_home, command_line):
    status, out, error = command_line("cache", "clear", "weights")
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert "networks" in error


def test_the_folders_are_those_in_which_things_are_kept(tmp_path, monkeypatch):
    """Rooms above the cache keep them, which it cannot ask."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    task = TASKS["cifar10-resnet18"].model_copy(update={"backbone": "timm/resnet18"})
    kept = {
        "images": [kept_images.get_folder() / f"abc{kept_images.ENDING}"],
        "programs": [saved_programs.find_file("program/net-abc")],
        "networks": [
            tmp_path / "checkpoints" / exported_checkpoints._make_folder_name(one, "random-0") / "graph.json"
            for one in (task, task.model_copy(update={"backbone": "program/net-abc"}))
        ],
    }
    for kind, files in kept.items():
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        assert len(list_kept(kind)) == len(files), kind
