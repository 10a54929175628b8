"""The peers of a case, without their processes: trainings, watches and ports."""

from __future__ import annotations

import os
import socket
import threading
from multiprocessing.connection import Connection

import pytest

from bench.worker.group import peers
from bench.worker.group.peer import PeerSession
from bench.worker.group.peers import Peers, find_free_ports


class Training:
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_peer_forgets_a_training_that_is_closed():
    session, training = PeerSession.__new__(PeerSession), Training()
    session.trainings = {7: training}
    session.close(7)
    session.close(7)
    assert session.trainings == {}
    assert training.closed == 1


def test_a_host_without_ports_ends_the_search():
    with pytest.raises(OSError, match="no 2 neighbouring ports"):
        find_free_ports(2, "::1")


def test_the_watch_of_a_connection_ends_with_it_also_after_a_restart(monkeypatch):
    killed: list[int] = []
    monkeypatch.setattr(peers.os, "killpg", lambda *_: killed.append(1))
    group, (ours, theirs) = Peers.__new__(Peers), socket.socketpair()
    connection, ending = Connection(ours.detach()), threading.Event()
    group._ending, group._connections, group._processes = ending, [connection], []
    watched = os.dup(connection.fileno())
    watch = threading.Thread(target=group._watch_connection, args=(watched, 1, ending), daemon=True)
    watch.start()
    group.kill()
    group._ending = threading.Event()  # as `_start` does
    watch.join(5)
    assert not watch.is_alive()
    assert not killed
    theirs.close()
