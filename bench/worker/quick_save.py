"""Keeps pytest-benchmark from identifying the CPU and the git revision: the conductor records both, once a run."""

from __future__ import annotations

import pytest


class QuickSave:
    """A pytest plugin. `tryfirst`, because pytest-benchmark's own hooks are otherwise asked before any other."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_generate_machine_info(self) -> dict[str, object]:
        """Nothing of the CPU, whose lookup starts processes and takes 0.2 to 1 s of each worker."""
        return {"kept": "in environment.json"}

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_generate_commit_info(self) -> dict[str, object]:
        """Nothing of the revision, whose lookup starts git several times."""
        return {"kept": "in environment.json"}
