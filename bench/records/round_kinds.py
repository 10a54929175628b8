"""The kinds of rounds that a launch measures."""

from __future__ import annotations

#: The kinds by which backends are compared, and all kinds. Only one launch measures `loader`, the input pipeline alone.
COMPARED = ("pipeline", "compute")
KINDS = (*COMPARED, "loader")
