"""Home: the one folder outside the repository where downloads, data sets and checkpoints are kept."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import UserError


def get_home() -> Path:
    """`$HEADTOHEAD_HOME`, or the user's cache folder for `head-to-head`. It need not exist yet.

    Raises:
        UserError: there is no such variable, and the user has no home folder, as in a container; or the path is not
            UTF-8, which files of checkpoints cannot keep.
    """
    chosen = os.environ.get("HEADTOHEAD_HOME")
    if chosen:
        home = expand_user(Path(chosen)).absolute()
    else:
        import platformdirs  # only needed without the environment variable

        try:
            home = expand_user(platformdirs.user_cache_path("head-to-head"))
        except RuntimeError:  # a newer version; an older one returns a path that begins with ~
            raise _make_homeless_error(Path("~/.cache")) from None
    check_utf8(home, "set HEADTOHEAD_HOME to another folder")
    return home


def expand_user(path: Path) -> Path:
    """The path with `~` replaced by the user's home folder.

    Raises:
        UserError: the user has none.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise _make_homeless_error(path) from None


def _make_homeless_error(path: Path) -> UserError:
    return UserError(f"{path}: this user has no home folder: set HEADTOHEAD_HOME, or HOME, to a folder")


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Find the files in a folder of another program, sorted; `~` is the user's home.

    There are none if the folder cannot be read, or if it is in the home of a user who has none.
    """
    try:
        return sorted(folder.expanduser().glob(pattern))
    except (OSError, RuntimeError):
        return []


def check_utf8(path: Path, remedy: str) -> None:
    """Check that a path is UTF-8: it goes into JSON files, and to libraries that take no other bytes.

    Args:
        remedy: what to do if it is not.

    Raises:
        UserError: it is not.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="replace").decode()
        raise UserError(f"the path {shown} is not UTF-8: {remedy}") from None
