"""The channel between conductor and worker, over a real socket pair."""

from __future__ import annotations

import socket
import threading

import pytest

from bench.worker.channel import Channel


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    pair = Channel(ours), Channel(theirs)
    yield pair
    for end in pair:
        end.close()


def test_messages_arrive_whole_and_in_order(ends):
    ours, theirs = ends
    theirs.send(event="phase", name="Aufwärmen\nzwei")
    theirs.send(event="round")
    assert ours.receive(1) == {"event": "phase", "name": "Aufwärmen\nzwei"}
    assert ours.receive(1) == {"event": "round"}


def test_a_message_that_arrives_in_pieces_is_joined(ends):
    ours, theirs = ends
    long = "x" * 3_000_000
    sender = threading.Thread(target=theirs.send, kwargs={"event": long})
    sender.start()
    assert ours.receive(10) == {"event": long}
    sender.join()


def test_silence_differs_from_a_closed_channel(ends):
    ours, theirs = ends
    with pytest.raises(TimeoutError):
        ours.receive(0.05)
    theirs.send(event="last")
    theirs.close()
    assert ours.receive(1) == {"event": "last"}
    assert ours.receive(1) is None
    with pytest.raises(OSError):  # noqa: PT011 - a broken pipe or a reset, depending on the kernel
        ours.send(event="hello")


def test_an_incomplete_last_message_is_none(ends):
    ours, theirs = ends
    theirs._socket.sendall(b'{"event": "ro')
    theirs.close()
    assert ours.receive(1) is None


def test_an_inherited_descriptor_is_an_end():
    ours, theirs = socket.socketpair()
    inherited = Channel.from_descriptor(theirs.detach())
    inherited.send(event="here")
    channel = Channel(ours)
    assert channel.receive(1) == {"event": "here"}
    channel.close()
    inherited.close()
