"""The Python environment of the base: this one, one that the user made, or an overlay with other package versions.

An overlay is a virtual environment that sees all packages of this one, and has its own versions of those that differ.
It is made once and kept in the home.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.cache.home import get_home
from bench.errors import UserError
from bench.machine.git import select_variables

#: The name that a requirement begins with (PEP 508).
PACKAGE_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
#: What follows the name if a version or an archive is named: extras, and a comparison or an address.
VERSIONED = re.compile(r"\s*(\[[^\]]*\])?\s*(@|[=~!<>]{1,3})\s*[\w./]")
#: Extras that training does not use.
UNUSED_EXTRAS = ("dev",)
#: Packages of this project's command line, the present and an earlier one. No worker imports them, so a revision with
#: the other one runs in the same environment.
DISTRIBUTION, COMMAND_LINE_PACKAGES = "head-to-head", ("cyclopts", "typer")


def find_interpreter(environment: Path) -> Path:
    """The interpreter of an environment that the user made.

    Raises:
        UserError: the folder is no environment.
    """
    python = _locate_interpreter(environment.absolute())
    if not python.is_file():
        raise UserError(f"{environment} is no environment: it has no {python.relative_to(environment.absolute())}")
    return python


def choose_interpreter(base: Path, head: Path, say: Callable[[str], object]) -> Path:
    """The interpreter for the base: this one, or an overlay's if its pyproject.toml requires other packages.

    Args:
        base, head: the folders of both arms.
        say: called with each line of progress.

    Raises:
        UserError: the overlay cannot be made.
    """
    required = _read_requirements(base)
    if not required or required == _read_requirements(head):
        return Path(sys.executable)
    return make_overlay(required, say)


def make_overlay(requirements: Sequence[str], say: Callable[[str], object]) -> Path:
    """The interpreter of an overlay with `requirements`; makes the overlay if there is none yet.

    Args:
        requirements: as pip takes them.
        say: called with each line of progress.

    Raises:
        UserError: pip cannot install them.
    """
    key = repr((sorted(requirements), sys.prefix, sys.version))
    environment = get_home() / "environments" / hashlib.sha256(key.encode()).hexdigest()[:16]
    complete = environment / "complete"
    if not complete.is_file():
        say(f"Installing {', '.join(requirements)} into {environment}, once.")
        shutil.rmtree(environment, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
        python = str(_locate_interpreter(environment))
        own_packages = Path(_run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
        shared = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        lines = [f"import site; site.addsitedir({folder!r})\n" for folder in shared]
        (own_packages / "overlaid.pth").write_text("".join(lines))
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *requirements])
        complete.touch()
    return _locate_interpreter(environment)


def parse_package_name(requirement: str) -> str:
    """The name of the package that a requirement names.

    Raises:
        UserError: the text is no requirement.
    """
    found = PACKAGE_NAME.match(requirement)
    if not found:
        raise UserError(f"{requirement!r} is no requirement: name a package and a version, as torch==2.13.0")
    return found[1]


def check_version(requirement: str) -> None:
    """Check that a requirement names a package and a version.

    Raises:
        UserError: it does not.
    """
    name = parse_package_name(requirement)
    if not VERSIONED.match(requirement.lstrip().removeprefix(name)):
        raise UserError(f"{requirement!r} names no version: give one, as torch==2.13.0")


def _read_requirements(root: Path) -> list[str]:
    """The requirements of a project and of its extras, sorted; without those that name the project's own extras.

    What is not of the type that the standard asks for is left out, as is a whole file that is not TOML.
    """
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    except (OSError, ValueError, KeyError):
        return []
    if not isinstance(project, dict):
        return []
    extras = project.get("optional-dependencies")
    extras = extras if isinstance(extras, dict) else {}
    listed = [required for extra, required in extras.items() if extra not in UNUSED_EXTRAS]
    lists = [required for required in (project.get("dependencies"), *listed) if isinstance(required, list)]
    requirements = [one for required in lists for one in required if isinstance(one, str)]
    own_name = project.get("name")
    ignored = {own_name, *(COMMAND_LINE_PACKAGES if own_name == DISTRIBUTION else ())}
    return sorted({one for one in requirements if parse_package_name(one) not in ignored})


def _run(command: list[str]) -> str:
    """What the command prints; a failure is a `UserError` with its last line."""
    environment = select_variables(os.environ)  # pip runs git, and a hook's index is not for that
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"the base's environment cannot be made ({last}): make one and give it as --base-env")
    return done.stdout


def _locate_interpreter(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
