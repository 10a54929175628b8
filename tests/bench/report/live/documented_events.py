"""The fields of events, by the page that promises them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs/json-events.md"
FIELD = re.compile(r"^\| `(\w+)` \|", re.M)


def read_documented_fields(command: str) -> dict[str, set[str]]:
    """The fields of each event of a command, by the event's name."""
    head, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)
    common = set(FIELD.findall(head))
    documented: dict[str, set[str]] = {}
    for part in parts:
        if part.startswith((f"`bench {command}`", "Any command")):
            _, *sections = re.split(r"^### `([a-z-]+)`$", part, flags=re.M)
            for name, text in zip(sections[::2], sections[1::2], strict=True):
                documented[name] = common | set(FIELD.findall(text))
    return documented
