"""`bench publish`: write a static site over all runs and baselines."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import OPTIONS, OutputOptions
from bench.cli.option_values import UserPath


def publish(
    folder: Annotated[UserPath, Parameter(help="Folder of the site; it is made, or brought up to date.")],
    /,
    *,
    url: Annotated[
        str | None,
        Parameter(group=OPTIONS, metavar="URL", help="Address that the site will have, for the links of its feed."),
    ] = None,
    output: OutputOptions = OutputOptions(),
) -> None:
    """Write a site over all runs: a page a run, histories, a badge and a feed.

    It is static and needs no network: open its index.html, or copy the folder to any server.
    """
    from rich.console import Console

    from bench.publish.site import publish_site

    publish_site(output.results, folder, url, Console())
