"""The options of `bench gate`, without those that select tasks and backends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError


@dataclass(frozen=True)
class GateOptions:
    """The options of `bench gate`.

    Attributes:
        against: the revision that the working tree is compared with.
        baseline: instead of a revision, the name or file of a baseline.
        packages: instead of a revision, requirements: the same code with other versions of these packages.
        repository: a folder in the repository that is gated; by default the current one.
        target: node id of a pytest-benchmark test in that repository.
        pytest_arguments: further arguments of pytest for `target`.
        margin: margins of metrics, see `bench.analysis.metrics.resolve_margins`.
        alpha: at most this share of gates without a change may end `slower`, all cases together.
        max_time: seconds for all cases together.
        base_env: folder of the base's Python environment.
        skip_unchanged: pass at once if no file that a training step can depend on differs.
        allow: kinds of differences from a baseline that are accepted.
        results: folder of the runs and baselines.
    """

    against: str | None = None
    baseline: str | None = None
    packages: Sequence[str] = ()
    repository: Path | None = None
    target: str | None = None
    pytest_arguments: tuple[str, ...] = ()
    margin: Sequence[tuple[str | None, float]] = ()
    alpha: float = 0.01
    max_time: float | None = None
    base_env: Path | None = None
    skip_unchanged: bool = False
    allow: Sequence[str] = ()
    results: Path = Path("results")

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            UserError: they do; the message names the options to choose from.
        """
        given = [bool(self.against), bool(self.baseline), bool(self.packages)]
        if sum(given) != 1:
            raise UserError("give exactly one of --against REV, --baseline NAME and --against-package NAME==VERSION")
        if (self.base_env or self.skip_unchanged) and not self.against:
            raise UserError("--base-env and --skip-unchanged go with --against: only a revision has its own files")
        if self.baseline and self.target:
            raise UserError("--target goes with --against or --against-package: a baseline holds tasks, no tests")
        if self.target is not None and not self.target.strip():
            raise UserError("--target is empty: name a test, or leave the option out to measure tasks")
        if self.pytest_arguments and not self.target:
            raise UserError(f"unexpected arguments {' '.join(self.pytest_arguments)}: they are pytest's, for --target")
        if self.repository and not self.repository.is_dir():
            raise UserError(f"--repository {self.repository} is no folder: name one in a git repository")
        if self.allow and not self.baseline:
            raise UserError("--allow goes with --baseline: revisions are always compared on the same machine")
