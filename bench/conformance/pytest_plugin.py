"""The pytest plugin: `pytest --headtohead-backend NAME` adds a test for each item of `bench conformance NAME`.

It is loaded by every pytest in the environment, so it imports nothing until the option is used.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.conformance.items import Result

OPTION = "--headtohead-backend"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(OPTION, action="append", default=[], metavar="NAME", help="Check that a backend conforms.")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the items of the named backends, before those that nobody asked for are deselected."""
    for backend in config.getoption(OPTION):
        collector = ConformanceCollector.from_parent(session, name=f"conformance[{backend}]", backend=backend)
        items += collector.collect()


class ConformanceCollector(pytest.Collector):
    """The items of one backend. Its process starts with the first one that runs."""

    def __init__(self, name: str, parent: pytest.Session, backend: str) -> None:
        super().__init__(name, parent, nodeid=name)
        self.backend = backend
        self._results: Generator[Result] | None = None
        self._error: Exception | None = None
        self._found: dict[str, Result] = {}

    def collect(self) -> list[pytest.Item]:
        """The items, in their order."""
        from bench.conformance.items import ITEMS

        return [ConformanceItem.from_parent(self, name=name) for name in ITEMS]

    def find_result(self, name: str) -> Result:
        """The result of an item, as soon as it is there.

        Raises:
            UserError: the backend is unknown, or cannot run here.
        """
        if self._error:
            raise self._error
        if self._results is None:
            from bench.conformance.conformance_run import check_backend

            self._results = check_backend(self.backend)
        while name not in self._found:
            try:
                result = next(self._results)
            except Exception as error:
                self._error = error  # of the items that follow, too: a generator that raised has nothing more to give
                raise
            self._found[result.name] = result
        return self._found[name]

    def teardown(self) -> None:
        """End the processes, if they still run."""
        if self._results is not None:
            self._results.close()
        self._results = None


class ConformanceItem(pytest.Item):
    """One item."""

    def runtest(self) -> None:
        """Fail as the item did, or because it was not checked; skip it if it is left out."""
        assert isinstance(self.parent, ConformanceCollector)
        result = self.parent.find_result(self.name)
        if result.status == "left out":
            pytest.skip(result.detail)
        if result.status != "passed":
            raise NotConforming(f"{result.detail}. To fix: {result.fix}" if result.fix else result.detail)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None) -> str:
        """The result's line for an item that failed, and one line for a mistake of the user."""
        from bench.errors import UserError

        if isinstance(excinfo.value, (NotConforming, UserError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """Where reports say that the item is."""
        return "", None, f"{self.parent.name if self.parent else ''} {self.name}"


class NotConforming(Exception):
    """An item that failed; the message is what is wrong and what to fix, or why it was not checked."""
