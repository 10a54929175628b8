"""How TensorFlow's processes learn one another's addresses, among others that reach the port."""

from __future__ import annotations

import socket
import threading

import pytest

from backends.values import Group
from bench.worker.group.peers import find_free_ports

addresses = pytest.importorskip("backends.engines.tensorflow.addresses")


@pytest.mark.parametrize(
    "words", [b"", b"GET / HTTP/1.1\r\n", b"7\n", b'[5, "a"]\n', b'[0, "a"]\n', b'[true, "a"]\n', b"[1, 2]\n", None]
)
def test_a_client_that_is_no_process_of_the_group_is_dropped(monkeypatch, words):
    monkeypatch.setattr(addresses, "READ_SECONDS", 0.3)
    where = f"127.0.0.1:{find_free_ports(1)}"
    found: dict[int, list[str]] = {}

    def exchange(rank: int) -> None:
        found[rank] = addresses.exchange_addresses(Group(rank, 2, where))

    first, second = (threading.Thread(target=exchange, args=(rank,), daemon=True) for rank in (0, 1))
    first.start()
    with addresses._reach("127.0.0.1", int(where.rpartition(":")[2])) as stranger:
        if words is not None:
            stranger.send(words)
            stranger.shutdown(socket.SHUT_WR)
        second.start()
        for thread in (first, second):
            thread.join(10)
    assert found[0] == found[1]
    assert len(found[0]) == 2
