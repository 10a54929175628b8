"""What a process with a framework does not import, in fresh interpreters."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest

import backends
from bench.machine.hidden_packages import HIDDEN_PACKAGES
from tests.backends.sessions import EACH

LOAD = """
import sys
from bench.machine.hidden_packages import HIDDEN_PACKAGES, hide_packages
import backends
entry = backends.REGISTRY[sys.argv[1]]
hide_packages(entry.hides, entry.packages)
backends.load(sys.argv[1])
imported = {name.partition(".")[0] for name, module in sys.modules.items() if module}
print(sorted(imported & {*HIDDEN_PACKAGES, *entry.hides} - {*entry.packages}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", EACH)
def test_a_framework_is_imported_without_them(backend):
    if backends.find_missing_packages(backend):
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run([sys.executable, "-c", LOAD, backend], capture_output=True, text=True)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr


def list_required(distribution: str, found: set[str]) -> set[str]:
    """Add the names of all distributions that one requires, without its extras."""
    try:
        requirements = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return found
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
        if "extra ==" not in requirement and name not in found:
            found.add(name)
            list_required(name, found)
    return found


def test_no_framework_requires_them():
    """Only then has a user of the framework alone none of them."""
    required: set[str] = set()
    for name in ("torch", "torchvision", "timm", "tensorflow", "keras", "keras-hub", "pytorch-lightning"):
        list_required(name, required)
    hidden = {"scikit-learn" if name == "sklearn" else name.lower().replace("_", "-") for name in HIDDEN_PACKAGES}
    assert not hidden & required
    assert "numpy" in required or not required
