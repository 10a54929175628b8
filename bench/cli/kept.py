"""The commands over what is kept between runs: baselines, and cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.option_groups import Results

baselines = typer.Typer(no_args_is_help=True, help="What later runs are gated against: save, list, show, rm.")


@baselines.command()
def save(
    name: Annotated[str, typer.Argument(help="Of the baseline; one of this name is replaced.")],
    run: Annotated[str | None, typer.Option(help="Name or folder of a run; the newest by default.")] = None,
    branch: Annotated[bool, typer.Option(help="Put the git branch's name behind the baseline's.")] = False,
    results: Results = Path("results"),
) -> None:
    """Save a run as a baseline, a small JSON file in results/baselines."""
    from bench.cli import baseline

    baseline.save(name, run, branch, results)


@baselines.command(name="list")
def list_baselines(results: Results = Path("results")) -> None:
    """List the baselines."""
    from bench.cli import baseline

    baseline.list_all(results)


@baselines.command(name="show")
def show_baseline(
    name: Annotated[str, typer.Argument(help="Name or file of a baseline.")],
    results: Results = Path("results"),
) -> None:
    """Show a baseline's figures."""
    from bench.cli import baseline

    baseline.show(name, results)


@baselines.command()
def rm(
    name: Annotated[str, typer.Argument(help="Name of a baseline.")],
    results: Results = Path("results"),
) -> None:
    """Remove a baseline."""
    from bench.cli import baseline

    baseline.remove(name, results)


caches = typer.Typer(no_args_is_help=True, help="Features that were computed once and kept: list, clear.")


@caches.command(name="list")
def list_cache() -> None:
    """List the cached features, the ones that were used last at the end."""
    from bench.cli import cache

    cache.list_all()


@caches.command()
def clear() -> None:
    """Remove all cached features."""
    from bench.cli import cache

    cache.clear()
