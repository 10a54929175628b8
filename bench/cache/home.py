"""Home: the one folder outside the repository where downloads, data sets and checkpoints are kept."""

from __future__ import annotations

import os
from pathlib import Path


def get_home() -> Path:
    """`$HEADTOHEAD_HOME`, or the user's cache folder for `head-to-head`. It need not exist yet."""
    chosen = os.environ.get("HEADTOHEAD_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs  # only needed without the environment variable

    return platformdirs.user_cache_path("head-to-head")
