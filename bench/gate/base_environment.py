"""The base's environment, where it needs other packages than this one: an overlay of it, made once and kept.

An overlay is a virtual environment that sees all packages of this one, and has its own versions of those that differ.
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

from bench.cache.home import home
from bench.errors import UserError

#: The name that a requirement begins with (PEP 508).
NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
#: Extras that training does not use.
UNUSED = ("dev",)


def given(environment: Path) -> Path:
    """The interpreter of an environment that the user names.

    Raises:
        UserError: it is none.
    """
    python = _python(environment.absolute())
    if not python.is_file():
        raise UserError(f"{environment} is no environment: it has no {python.relative_to(environment.absolute())}")
    return python


def for_base(base: Path, head: Path, say: Callable[[str], object]) -> Path:
    """The interpreter for the base: this one, or, where its pyproject.toml asks for other packages, an overlay's.

    Args:
        base, head: the folders of both arms.
        say: told what takes long.

    Raises:
        UserError: the overlay cannot be made.
    """
    wanted = _requirements(base)
    if wanted == _requirements(head):
        return Path(sys.executable)
    return overlay(wanted, say)


def overlay(requirements: Sequence[str], say: Callable[[str], object]) -> Path:
    """The interpreter of an overlay with what `requirements` ask for.

    Args:
        requirements: as pip takes them.
        say: told what takes long.

    Raises:
        UserError: pip cannot install them.
    """
    key = repr((sorted(requirements), sys.prefix, sys.version))
    environment = home() / "environments" / hashlib.sha256(key.encode()).hexdigest()[:16]
    done = environment / "complete"
    if not done.is_file():
        say(f"Installing {', '.join(requirements)} into {environment}, once.")
        shutil.rmtree(environment, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
        python = str(_python(environment))
        own = Path(_run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
        seen = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        lines = [f"import site; site.addsitedir({folder!r})\n" for folder in seen]
        (own / "overlaid.pth").write_text("".join(lines))
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *requirements])
        done.touch()
    return _python(environment)


def name_of(requirement: str) -> str:
    """The package that a requirement is about.

    Raises:
        UserError: it is no requirement.
    """
    found = NAME.match(requirement)
    if not found:
        raise UserError(f"{requirement!r} is no requirement: name a package and a version, as torch==2.13.0")
    return found[1]


def _requirements(root: Path) -> list[str]:
    """What a project asks for, with all extras; what it asks of itself, to share extras, is left out."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    except (OSError, ValueError, KeyError):
        return []
    extras = project.get("optional-dependencies", {})
    asked = [
        *project.get("dependencies", []),
        *(one for e, wanted in extras.items() if e not in UNUSED for one in wanted),
    ]
    return sorted({one for one in asked if name_of(one) != project.get("name")})


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"the base's environment cannot be made ({last}): make one and give it as --base-env")
    return done.stdout


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
