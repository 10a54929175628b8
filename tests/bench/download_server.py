"""Download server: real HTTP on 127.0.0.1, with the faults that real servers have."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server answers every GET with; a test may change it between two requests.

    `cut_at` closes the connection after that many bytes though more were announced; `pause_s` is waited
    before each of `pieces` parts.
    """

    content: bytes
    status: int = 200
    cut_at: int | None = None
    pieces: int = 1
    pause_s: float = 0.0
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serving(content: bytes, **faults) -> Iterator[Served]:
    served = Served(content, **faults)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.requests.append(self.path)
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(served.content)))
            self.end_headers()
            body = served.content[: served.cut_at]
            size = -(-len(body) // served.pieces) or 1
            for start in range(0, len(body), size):
                time.sleep(served.pause_s)
                self.wfile.write(body[start : start + size])
                self.wfile.flush()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port_url(name: str) -> str:
    """An address on this machine at which nothing listens any more."""
    with serving(b"") as served:
        return served.url(name)
