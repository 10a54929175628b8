"""Git, as a process whose answers depend neither on the user's configuration nor on the program that calls `bench`."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import UserError

#: Seconds that a measurement waits for git.
TIMEOUT_SECONDS = 5.0
#: Seconds that everything else waits: git may read a large working tree, or fetch what a partial clone lacks.
MAX_SECONDS = 600.0
#: The beginnings of the variables `GIT_…` that git gets: where its configuration and its programs are, where it looks
#: for a repository, and how it reaches a remote. Others are left out: git's hooks set GIT_DIR, GIT_INDEX_FILE and more
#: (see `git rev-parse --local-env-vars`), which would lead to another repository or index than the folder's, and
#: GIT_TRACE, GIT_LITERAL_PATHSPECS and others change what git prints or selects.
KEPT_VARIABLES = (
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_LFS_",
    "GIT_NO_LAZY_FETCH",
    "GIT_PROXY_",
    "GIT_SSH",
    "GIT_SSL_",
)
#: English messages, no question to the user, and no write to an index that another process may be using.
VARIABLES = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
#: Settings of the user that start other programs, print something else or refuse a file. What decides on the content of
#: files in a working tree stays the user's: filters, line ends, ignored files.
SETTINGS = (
    "commit.gpgSign=false",
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.ignoreStat=false",
    "core.safecrlf=false",
    "core.splitIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
)
#: The exit status of git after an option that it does not know.
USAGE_STATUS = 129


class GitError(UserError):
    """Git ran and failed."""


class NotFetched(GitError):
    """A partial clone lacks an object, and git could not fetch it."""


def run_git(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = MAX_SECONDS,
) -> str:
    """Run git in a folder, and return what it prints, without the last line's end.

    Output that is not UTF-8, as of file names, is decoded as Python decodes file names.

    Args:
        folder: git works on the repository that contains it.
        arguments: the command and its arguments.
        variables: additional environment variables; only these choose another repository, index or working tree.
        stdin: what git reads.
        timeout: seconds.

    Raises:
        GitError: git failed; the line has git's reason and what to do.
        UserError: git is not installed, or gave no answer in time.
    """
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    try:
        process = subprocess.Popen(
            ["git", *settings, "-C", str(folder), *arguments],
            env=select_variables(os.environ) | VARIABLES | dict(variables or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Without a terminal ssh asks nothing, and what git has started can be killed with it.
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"git cannot be started ({error.strerror}): install it") from None
    try:
        out, errors = process.communicate(os.fsencode(stdin), timeout)
    except BaseException as error:
        _kill(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise UserError(
                f"git {arguments[0]} gave no answer for {timeout:g} s in {folder}: see why `git status` hangs there"
            ) from None
        raise
    if process.returncode:
        raise _explain_failure(folder, arguments, process.returncode, os.fsdecode(errors))
    return os.fsdecode(out).removesuffix("\n")


def select_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out the variables that lead git to another repository or change its output, for a program that runs git."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("GIT_") or name.startswith(KEPT_VARIABLES)
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill git and what it has started: a filter, a credential helper, ssh."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def _explain_failure(folder: Path, arguments: Sequence[str], status: int, errors: str) -> GitError:
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("hint:")]
    first = next((line for line in lines if line.startswith(("fatal: ", "error: "))), [*lines, "no message"][-1])
    reason = re.sub(r"^(fatal|error): ", "", first)
    if trust := re.search(r"git config --global --add safe\.directory .*", errors):
        return GitError(f"git does not trust this repository ({reason}): if you do, run {trust[0]}")
    if "not a git repository (or any" in errors:
        return GitError(f"{folder} is in no git repository: use a clone")
    if "argument 'HEAD'" in reason:
        return GitError(f"the repository of {folder} has no commit yet: commit its files")
    if "promisor" in errors:
        return NotFetched(
            f"this is a partial clone, and git cannot fetch what it lacks ({reason}): connect to its remote, or make "
            "it complete there: git fetch --refetch --no-filter"
        )
    if status == USAGE_STATUS:
        return GitError(f"this git is too old for `git {' '.join(arguments)}` ({reason}): install a newer one")
    return GitError(f"git {arguments[0]} failed: {reason}")
