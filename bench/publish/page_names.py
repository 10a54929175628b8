"""Names of a site's files: every server and every file system takes them, whatever the name of the run is."""

from __future__ import annotations

import hashlib
import re

#: The longest name, without what tells two names apart.
MOST_CHARACTERS = 100


def make_page_name(name: str) -> str:
    """Make the name of a page's file; two names have two files, on file systems that ignore case, too.

    A name that needs no change is kept: links to it stay readable.
    """
    plain = re.sub(r"[^A-Za-z0-9._+=-]", "_", name)[:MOST_CHARACTERS].strip(".") or "_"
    # The stamp of a run's name, 20261126T164841Z, has two capitals that are always there.
    rest = re.sub(r"^\d{8}T\d{6}Z", "", plain)
    if plain != name or rest != rest.lower():
        plain += f"-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return f"{plain}.html"
