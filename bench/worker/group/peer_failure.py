"""The failure of a peer, as the process that calls it sees it."""

from __future__ import annotations


class PeerFailed(Exception):
    """A peer could not make a call; the message is its error."""
