# SPDX-License-Identifier: Apache-2.0
"""The HTTP server around an application of a test, and clients that speak to it byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nova_lite.runtime import concurrency
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.policy import Policy

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers method, path and the size of the body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}.".encode()]


@contextlib.contextmanager
def serving(
    app: App = echo, *, threads: int = 4, limits: Limits | None = None, policy: Policy | None = None,
) -> Iterator[int]:
    """The port of a server."""
    listener = concurrency.listen("127.0.0.1", 0)
    server = concurrency.HttpServer(app, listener, threads=threads, limits=limits, policy=policy)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """A client that has sent `sent`."""
    wire = socket.create_connection(("127.0.0.1", port), timeout=10)
    wire.sendall(sent)
    return wire


def receive_until(wire: socket.socket, end: bytes | tuple[bytes, ...]) -> bytes:
    """What comes, up to and with `end`, or one of several."""
    got = b""
    while not got.endswith(end):
        piece = wire.recv(65536)
        assert piece, got
        got += piece
    return got


def receive_all(wire: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := wire.recv(65536):
            got += piece
    return got


def get(port: int, path: str = "/x") -> bytes:
    """A whole answer on a connection of its own."""
    with connect(port, f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()) as wire:
        return receive_all(wire)
