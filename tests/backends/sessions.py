"""Which backends are proven in `nox -s tests`, and which in a session of their own, `nox -s engines`."""

from __future__ import annotations

import pytest

from backends import REGISTRY

#: The backend that all others are compared with.
REFERENCE = "pytorch"
#: The backends whose evidence `nox -s tests` gathers; that of the others is gathered with `--engines`.
ALWAYS = (REFERENCE, "tensorflow", "keras")
#: All backends of this project.
OWN = tuple(name for name, entry in REGISTRY.items() if not entry.distribution)


def make_case(backend: str, *values: object) -> object:
    """A parameter set of a test that needs a backend's evidence; `values` are the backend's name if there are none."""
    marks = () if backend in ALWAYS else (pytest.mark.engines(backend),)
    return pytest.param(*(values or (backend,)), marks=marks)


#: The parameter sets of a test of each backend, and of each that is compared with the reference.
EACH = [make_case(name) for name in OWN]
OTHERS = [make_case(name) for name in OWN if name != REFERENCE]
