"""What nodes say to one another, in this process: who is silent, slow or gone delays and disguises nothing."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import UserError
from bench.measure import follower, rendezvous
from bench.measure.rendezvous import Rendezvous, describe_node, open_followers
from bench.worker.group import node_connection
from bench.worker.group.peers import WITHOUT_PROCESS_0, find_free_ports
from tests.bench.processes import wait_until

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def known_token(monkeypatch):
    monkeypatch.setenv(node_connection.TOKEN, "a secret of these tests")
    monkeypatch.setattr(node_connection, "PROOF_SECONDS", 0.5)
    monkeypatch.setattr(rendezvous, "describe_node", lambda plan: {})


def make_rendezvous(timeout: float = 10.0, host: str = HOST) -> Rendezvous:
    return Rendezvous(host, find_free_ports(1), nodes=2, node=0, timeout=timeout)


@contextmanager
def another_node(meeting: Rendezvous, greeting: bytes | None) -> Iterator[list[tuple]]:
    """Node 1, which sends its greeting if it has one; what it receives until its connection is closed."""
    received: list[tuple] = []

    def follow() -> None:
        with node_connection.connect(HOST, meeting.port, time.monotonic() + 10) as connection:
            if greeting is not None:
                connection.send_bytes(greeting)
            try:
                while True:
                    received.append(connection.recv())
            except (EOFError, OSError):
                pass

    thread = threading.Thread(target=follow)
    thread.start()
    yield received
    thread.join()


def test_nodes_with_other_code_of_one_version_are_named(tmp_path, monkeypatch):
    plan = SimpleNamespace(backends=(), tasks=(), nodes=2)
    described = []
    for node in ("0", "1", "2"):
        (tmp_path / node / "bench").mkdir(parents=True)
        (tmp_path / node / "backends").mkdir()
        (tmp_path / node / "bench/step.py").write_text("steps = 2" if node == "2" else "steps = 1")
        monkeypatch.setattr(rendezvous, "PROJECT", tmp_path / node)
        described.append(describe_node(plan))
    mine, same, other = described
    assert rendezvous.explain_difference(1, mine, same) is None
    codes = f"{other['the code of head-to-head']} instead of {mine['the code of head-to-head']}"
    assert rendezvous.explain_difference(2, mine, other) == (
        f"node 2 differs from node 0 in the code of head-to-head ({codes}): check out the same revision on all nodes, "
        "and see whether `git status` names changes in one"
    )


@pytest.mark.parametrize("host", ["::1", "node0.invalid"])
def test_a_host_without_an_ipv4_address_is_refused(host):
    with pytest.raises(UserError, match=r"has no IPv4 address .*: give an IPv4 address of node 0"):
        make_rendezvous(host=host).check()
    make_rendezvous().check()


def test_a_node_that_does_not_say_who_it_is_does_not_hold_node_0():
    meeting = make_rendezvous(timeout=1.0)
    began = time.monotonic()
    with (
        another_node(meeting, None),
        pytest.raises(UserError, match="node 1 did not come in 1 s"),
        open_followers(meeting, None),
    ):
        pass
    assert time.monotonic() - began < 8


def test_a_stranger_that_sends_byte_after_byte_does_not_hold_node_0():
    over = threading.Event()

    def drip(port: int) -> None:
        with socket.create_connection((HOST, port)) as one:
            while not over.wait(0.1):
                try:
                    one.send(b"\0")
                except OSError:
                    return

    with node_connection.listen(HOST) as server:
        thread = threading.Thread(target=drip, args=server.getsockname()[1:])
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                node_connection.accept(server, began + 1.5)
            assert time.monotonic() - began < 4
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, ("over",)),
        (UserError("a reason"), ("refused", "a reason")),
        (KeyboardInterrupt(), ("refused", "node 0 was stopped before the run was over")),
        (ValueError(), ("refused", "node 0 has ended before the run was over (ValueError): see what it says")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_other_nodes_learn_how_the_run_ended(error, message):
    meeting = make_rendezvous()
    with (
        another_node(meeting, json.dumps({"node": 1}).encode()) as received,
        pytest.raises(type(error)) if error else nullcontext(),
        open_followers(meeting, None),
    ):
        if error:
            raise error
    assert received == [("welcome",), message]


@pytest.fixture
def node(tmp_path) -> follower._Node:
    node = follower._Node(make_rendezvous(), None, tmp_path, lambda line: node.lines.append(line))
    node.lines = []
    return node


def serve(node: follower._Node, *messages: tuple) -> None:
    ours, theirs = Pipe()
    with theirs:
        for message in messages:
            ours.send(message)
        ours.close()
        node.serve(theirs)


def test_a_full_disk_is_not_said_to_be_the_end_of_node_0(node, monkeypatch):
    def fill(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node, "_start", fill)
    with pytest.raises(OSError, match="No space left"):
        serve(node, ("job", "", HOST, 1))
    with pytest.raises(UserError, match="node 0 has ended before the run was over"):
        serve(node)


@pytest.mark.parametrize(("status", "said"), [(0, 0), (1, 1), (WITHOUT_PROCESS_0, 0)])
def test_a_peer_that_has_ended_leaves_no_process(node, monkeypatch, tmp_path, status, said):
    monkeypatch.setattr(node_connection, "send_refusal", lambda *_: None)
    output: Path = tmp_path / "output"
    process = subprocess.Popen(["sh", "-c", f"sleep 60 & echo $! > {output}; exit {status}"], start_new_session=True)
    process.wait()
    node._peers = [follower._NodePeer("process 1 of 2", process, output, HOST, 1)]
    child = int(output.read_text())
    node._look()
    assert wait_until(lambda: not is_running(child), 5)
    assert len(node.lines) == said
    assert node._peers == []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_connection_that_is_shut_down_wakes_who_waits_for_it():
    ours, theirs = socket.socketpair()
    with Connection(ours.detach()) as one, Connection(theirs.detach()) as other:
        node_connection.shut_down(one)
        with pytest.raises(EOFError):
            other.recv()
