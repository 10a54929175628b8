"""The kinds of rounds that a launch measures."""

from __future__ import annotations

#: Rounds that backends are compared by, and all: the input pipeline alone is measured in one launch only.
COMPARED = ("pipeline", "compute")
KINDS = (*COMPARED, "loader")
