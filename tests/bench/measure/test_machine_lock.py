"""The machine's lock and the scratch folder on file systems that refuse something."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.cache import features, file_lock
from bench.errors import UserError
from bench.measure import machine_lock
from bench.measure.machine_lock import LOCK_FILE, hold_lock
from bench.measure.scratch_folder import make_scratch_folder

pytestmark = pytest.mark.skipif(file_lock.fcntl is None, reason="the locks are those of POSIX systems")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_and_used_without_one(home, monkeypatch, number):
    """The system's answer is faked: such a file system cannot be mounted here."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_lock.fcntl, "flock", refuse)
    said: list[str] = []
    with hold_lock("bench run", False, said.append):
        assert said == [
            f"{home / LOCK_FILE} cannot be locked here: measure nothing else meanwhile, or set HEADTOHEAD_HOME to a "
            "local disk"
        ]
    # The cache of features has locks, too.
    entry = features.get_folder() / f"entry{features.ENDING}"
    computed = features.obtain(entry, 10**6, lambda: (*[features.np.ones((2, 2), "float32")] * 2, 0.1, "eager"))
    assert (computed.hit, computed.problem) == (False, None)
    assert features.obtain(entry, 10**6, pytest.fail).hit
    assert features.clear() > 0


def test_the_lock_holds_where_the_holders_name_cannot_be_written(home):
    (home / LOCK_FILE).symlink_to("/dev/full")
    with (
        hold_lock("bench run", False, pytest.fail),
        pytest.raises(UserError, match=r"another measurement is under way \(unknown\): wait for it with --wait"),
        hold_lock("bench gate", False, pytest.fail),
    ):
        pass


def test_machines_that_share_a_home_have_a_lock_each(home, monkeypatch):
    """A lock of this machine is held; another machine's name makes another machine of it."""
    with hold_lock("bench run", False, pytest.fail):
        with pytest.raises(UserError, match=r"under way \(process \d+, bench run\): wait"):
            hold_lock("bench run", False, pytest.fail).__enter__()
        monkeypatch.setattr(machine_lock, "read_machine_name", lambda: "another")
        second = hold_lock("bench gate", False, pytest.fail)
        second.__enter__()
        with pytest.raises(UserError, match=r"under way \(process \d+, bench gate\): wait"):
            hold_lock("bench run", False, pytest.fail).__enter__()
    with pytest.raises(UserError, match=r"under way \(process \d+, bench gate\): wait"):
        hold_lock("bench run", False, pytest.fail).__enter__()  # the first machine's lock is free again
    second.__exit__(None, None, None)
    with hold_lock("bench run", False, pytest.fail):
        pass


def test_a_home_that_cannot_be_written_is_refused(home, monkeypatch):
    (home / "file").touch()
    monkeypatch.setenv("HEADTOHEAD_HOME", str(home / "file"))
    with (
        pytest.raises(UserError, match=r"measuring.lock \(.+\): set HEADTOHEAD_HOME to a folder of yours"),
        hold_lock("bench run", False, pytest.fail),
    ):
        pass


def test_a_scratch_folder_is_removed_and_one_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with make_scratch_folder() as folder:
        (folder / "file").touch()
        with make_scratch_folder(folder) as inner:
            assert inner.parent == folder
    assert list(tmp_path.iterdir()) == []
    bytes_of_latin_1 = tmp_path / os.fsdecode(b"caf\xe9")
    bytes_of_latin_1.mkdir()
    for place, line in (
        (tmp_path / "gone", r"no temporary folder can be written \(No such .+\): free space there, or set TMPDIR to a"),
        (bytes_of_latin_1, r"the path .*/caf\?/head-to-head-\w+ is not UTF-8: set TMPDIR to another folder"),
    ):
        monkeypatch.setattr("tempfile.tempdir", str(place))
        with pytest.raises(UserError, match=line), make_scratch_folder():
            pass
    assert list(bytes_of_latin_1.iterdir()) == []
