"""The user's configuration of Keras. No worker reads it: what it says is recorded, and decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

#: The settings that Keras reads (github.com/keras-team/keras, keras/src/backend/config.py).
SETTINGS = ("backend", "floatx", "epsilon", "image_data_format")


def read_keras_configuration(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the settings of the `keras.json` that Keras would read outside of workers; empty without one.

    Args:
        environment: the variables of the harness' own process.
    """
    folder = environment.get("KERAS_HOME")
    file = (Path(folder) if folder else Path("~/.keras").expanduser()) / "keras.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # no file, no JSON, no home
        return {}
    return {name: str(content[name]) for name in SETTINGS if name in content} if isinstance(content, dict) else {}
