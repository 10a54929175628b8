"""What a user asks of the gate, beside what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError


@dataclass(frozen=True)
class Ask:
    """The options of `bench gate`.

    Attributes:
        against: the revision that the working tree is compared with.
        baseline: or a baseline, by name or file.
        packages: or the same code with other versions of these, as requirements.
        target: node id of a pytest-benchmark test of the repository in the current folder.
        margin: of metrics, see `bench.analysis.metrics.margins`.
        alpha: share of gates without a change that may end `slower`, all cases together.
        max_time: seconds for all cases together.
        base_env: environment of the base.
        skip_unchanged: pass at once where nothing that a training step can depend on differs.
        allow: kinds of differences from a baseline that are accepted.
        results: folder of the runs, and of the baselines.
    """

    against: str | None = None
    baseline: str | None = None
    packages: Sequence[str] = ()
    target: str | None = None
    margin: Sequence[tuple[str | None, float]] = ()
    alpha: float = 0.01
    max_time: float | None = None
    base_env: Path | None = None
    skip_unchanged: bool = False
    allow: Sequence[str] = ()
    results: Path = Path("results")

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UserError: which options to choose from.
        """
        given = [bool(self.against), bool(self.baseline), bool(self.packages)]
        if sum(given) != 1:
            raise UserError("compare with one thing: --against REV, --baseline NAME or --against-package NAME==VERSION")
        if (self.base_env or self.skip_unchanged) and not self.against:
            raise UserError("--base-env and --skip-unchanged go with --against: nothing else has a base of its own")
        if self.baseline and self.target:
            raise UserError("--target goes with --against or --against-package: a baseline is of tasks")
        if self.allow and not self.baseline:
            raise UserError("--allow goes with --baseline: revisions are compared on the same machine")
