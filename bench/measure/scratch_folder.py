"""The scratch folder: where a launch has its images, and its workers their files, until it is over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cache.home import check_utf8
from bench.errors import UserError

PREFIX = "head-to-head-"


@contextmanager
def make_scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """Make a folder in `within`, or else among the temporary files, and remove it at the end of the block.

    What cannot be removed stays: a process that was killed may still be writing, and that costs no figures.

    Raises:
        UserError: there is no folder for temporary files that can be written, or its path is not UTF-8.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=within, ignore_cleanup_errors=True)
    except OSError as error:
        raise make_no_folder_error(error) from None
    with folder as name:
        check_utf8(Path(name), "set TMPDIR to another folder")
        # TMPDIR=. makes it relative, and workers have a current folder of their own.
        yield Path(name).absolute()


def make_no_folder_error(error: OSError) -> UserError:
    """Make the error for temporary files that cannot be written, from the system's."""
    reason = error.strerror or error
    return UserError(
        f"no temporary folder can be written ({reason}): free space there, or set TMPDIR to a folder of yours"
    )
