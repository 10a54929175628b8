"""The home: where a user has none, as in a container, and where its path is not text."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from bench.cache.home import find_files, get_home
from bench.data.cifar10 import caches
from bench.errors import Unavailable, UserError
from bench.weights import checkpoints


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home folder: no variable, and no entry in the system's list of users."""

    def find_no_user(_):
        raise KeyError

    for name in ("HOME", "HEADTOHEAD_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", find_no_user)


def test_a_user_without_a_home_folder_is_asked_for_one(homeless, monkeypatch, tmp_path, command_line):
    monkeypatch.chdir(tmp_path)
    refusal = command_line("cache", "list")
    assert (refusal.status, refusal.out) == (2, "")
    assert refusal.err.endswith("this user has no home folder: set HEADTOHEAD_HOME, or HOME, to a folder\n")
    assert refusal.err.count("\n") == 1
    assert "has no home folder" in " ".join(command_line("doctor").out.split()), "and everything else is shown"
    assert list(tmp_path.iterdir()) == [], "no folder of the name ~"
    monkeypatch.setenv("HEADTOHEAD_HOME", "~/models")
    with pytest.raises(UserError, match=r"^~/models: this user has no home folder"):
        get_home()
    monkeypatch.setenv("HEADTOHEAD_HOME", "models")
    assert get_home() == Path.cwd() / "models"


def test_a_home_whose_path_is_not_utf8_is_refused(monkeypatch, command_line):
    monkeypatch.setenv("HEADTOHEAD_HOME", os.fsdecode(b"/data/caf\xe9"))
    refusal = command_line("cache", "list")
    assert refusal.status == 2
    assert refusal.err == "bench: the path /data/caf? is not UTF-8: set HEADTOHEAD_HOME to another folder\n"


def test_caches_of_other_programs_that_a_user_cannot_have_are_none(homeless, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    assert find_files(tmp_path, "f*") == [tmp_path / "file"]
    assert find_files(tmp_path / "file", "*") == []
    assert find_files(Path("~/.cache/torch"), "*") == []
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    for name in ("TORCH_HOME", "KERAS_HOME", "HF_HOME", "TFDS_DATA_DIR", "HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert list(caches.list_places()) == list(caches.list_unread()) == []
    with pytest.raises(Unavailable, match="would be downloaded"):
        checkpoints.find_location("resnet18", "IMAGENET1K_V1")
