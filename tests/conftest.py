"""A home of the tests' own, for the whole session: checkpoints are converted once, nothing of the user's is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.machine.variables import find_disobeyed, make_worker_variables

#: Variables that would lead a test to the user's files or to the network.
PRIVATE = (
    "HEADTOHEAD_CIFAR10_URL",
    "HEADTOHEAD_WEIGHTS_MIRROR",
    "PYTEST_ADDOPTS",
    "HF_DATASETS_CACHE",
    "HF_HUB_CACHE",
)
#: Variables of a git hook, in which tests would change the repository whose hook it is.
OF_A_HOOK = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE")
#: Variables of the folders in which other programs keep CIFAR-10.
CACHES = ("KERAS_HOME", "HF_HOME", "TFDS_DATA_DIR")
#: How the names of the backends' tests begin.
BACKENDS = "tests/backends/"
#: Those of them that start processes of their own, and can run beside the others.
APART = tuple(f"{BACKENDS}{name}.py" for name in ("test_recipes", "test_several_devices"))
#: Files whose tests share nothing, and take minutes together: any process may run any of them.
SINGLY = ("tests/docs/test_commands_run.py",)
#: Where this is set, as in many containers, each of the processes under test would compile the project anew: 0.3 s.
NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
#: Threads of the frameworks in the sessions `thorough` and `engines`. Two tests run at a time, and OpenMP's threads
#: wait for each other by spinning: with two each, the commands of README.md took 111 s, and take 75 s.
THREADS = {"OMP_NUM_THREADS": "1"}


def _list_disobeyed() -> list[str]:
    """The variables that no worker has as they are: each would be a warning in every run."""
    return list(find_disobeyed(os.environ, make_worker_variables(os.environ, 1)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="run the tests that take ten seconds or more, and no others"
    )
    parser.addoption(
        "--engines", action="store_true", help="run the tests of the backends of `nox -s engines`, and no others"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes (pytest-xdist's), one runs all tests of the backends that share their evidence, and each
    other file is run by one, too, unless its tests share nothing.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(SINGLY):
                return nodeid
            shares_evidence = nodeid.startswith(BACKENDS) and not nodeid.startswith(APART)
            return BACKENDS if shares_evidence else super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--engines"):
        others = [item for item in items if not item.get_closest_marker("engines")]
    else:
        thorough = config.getoption("--thorough")
        others = [
            item
            for item in items
            if item.get_closest_marker("engines") or (item.get_closest_marker("thorough") is not None) != thorough
        ]
    # A test that is named runs in any case.
    if others and not any("::" in argument for argument in config.args):
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Path]:
    """`$HEADTOHEAD_HOME` of every test that chooses no other."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADTOHEAD_HOME", str(folder))
        for name in (*PRIVATE, *OF_A_HOOK, NO_BYTE_CODE, *_list_disobeyed()):
            patch.delenv(name, raising=False)
        for name in CACHES:
            patch.setenv(name, str(folder / "no cache"))
        if pytestconfig.getoption("--thorough") or pytestconfig.getoption("--engines"):
            for name, value in THREADS.items():
                patch.setenv(name, value)
        yield folder
