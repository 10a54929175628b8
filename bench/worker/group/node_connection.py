"""The connections between the machines that train one case together: TCP, and only with those that know the token.

Each side proves to the other that it has the token, and does not send it (`multiprocessing.connection`, "Authentication
keys"). What follows is not encrypted: use them in a network that you trust.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

#: The variable with the token, which all machines of a run must have.
TOKEN = "HEADTOHEAD_TOKEN"
#: Seconds that the other side may take to prove that it has the token, and then to say who it is; and seconds between
#: two attempts to connect.
PROOF_SECONDS = 10
RETRY_SECONDS = 0.2
#: Seconds until a machine that has vanished is noticed: the first question whether it is there, and the next ones.
ALIVE_SECONDS, ALIVE_REPEAT_SECONDS, ALIVE_REPEATS = 10, 5, 3


def read_token() -> bytes:
    """The token of this process; empty without one."""
    return os.environ.get(TOKEN, "").encode()


def listen(host: str, port: int = 0) -> socket.socket:
    """Listen at an IPv4 address, and at no other; port 0 is any free one.

    Raises:
        OSError: the address is not one of this machine, or it is taken.
    """
    address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][-1]
    return socket.create_server((str(address[0]), int(address[1])))


def accept(server: socket.socket, deadline: float, on_refused: Callable[[], object] = lambda: None) -> Connection:
    """Accept the next connection from someone who has the token; others are turned away.

    Args:
        deadline: in seconds of the monotonic clock.
        on_refused: called when someone with another token was turned away.

    Raises:
        TimeoutError: none came in time.
    """
    while (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        one, _ = server.accept()
        try:
            return _prove(one, deadline, is_server=True)
        except AuthenticationError:
            on_refused()
        except (OSError, EOFError, AssertionError):
            pass  # someone else, or one that has ended meanwhile
    raise TimeoutError


def connect(host: str, port: int, deadline: float) -> Connection:
    """Connect to someone who has the token, as soon as there is someone at that address.

    Raises:
        socket.gaierror: the host's name has no address.
        TimeoutError: there was none in time.
        AuthenticationError: the other side has another token.
    """
    while time.monotonic() < deadline:
        try:
            one = socket.create_connection((host, port), timeout=max(0.01, deadline - time.monotonic()))
            return _prove(one, deadline, is_server=False)
        except socket.gaierror:
            raise
        except (OSError, EOFError, AssertionError):
            time.sleep(RETRY_SECONDS)
    raise TimeoutError


def send_refusal(host: str, port: int, reason: str, deadline: float) -> None:
    """Tell a worker that waits for peers that one of them will not come; nothing happens if it no longer waits."""
    with contextlib.suppress(OSError, AuthenticationError), connect(host, port, deadline) as connection:
        connection.send(reason)


@contextmanager
def limit_time(connection: Connection, deadline: float) -> Iterator[None]:
    """Shut a connection down if the block is not over after `PROOF_SECONDS`, or at the deadline if that is earlier.

    What the block reads raises EOFError or OSError then, however slowly the other side sends.
    """
    seconds = max(0.01, min(PROOF_SECONDS, deadline - time.monotonic()))
    timer = threading.Timer(seconds, shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def shut_down(connection: Connection) -> None:
    """Shut a connection down in both directions: a wait for it, on either side, ends at once."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def _prove(one: socket.socket, deadline: float, is_server: bool) -> Connection:
    """Exchange proofs of the token, in the time of `limit_time`.

    Raises:
        AuthenticationError: the other side has another token.
        OSError, EOFError: it does not answer, or has closed its end.
    """
    one.settimeout(None)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", ALIVE_SECONDS),
        ("TCP_KEEPINTVL", ALIVE_REPEAT_SECONDS),
        ("TCP_KEEPCNT", ALIVE_REPEATS),
    ):
        if hasattr(socket, option):
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    connection = Connection(one.detach())
    try:
        steps = (deliver_challenge, answer_challenge) if is_server else (answer_challenge, deliver_challenge)
        with limit_time(connection, deadline):
            for step in steps:
                step(connection, read_token())
    except BaseException:
        connection.close()
        raise
    return connection
