"""An assertion about checkpoints that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.task import Task
from bench.errors import UserError
from bench.weights import checkpoints


def assert_refused(task: Task, path: Path, *words: str) -> None:
    """The checkpoint at `path` is refused in one line that names the file and has these words."""
    with pytest.raises(UserError) as error:
        checkpoints.obtain(task, path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message
