# SPDX-License-Identifier: Apache-2.0
"""cheroot's HTTP server on our listening socket: bounds on bodies that nobody reads, and less work for each request."""

from __future__ import annotations

import io
import select
import socket
from collections.abc import Callable
from typing import Any

from cheroot import server as cheroot_server
from cheroot import wsgi

from nova_lite.runtime.discard import discard_body

# cheroot reads what is left of a body into memory before it answers; up to this much it may.
_SMALL = 128 * 1024
_SENT_AT_ONCE = 64 * 1024
# For this long a thread stays with a connection whose next request is likely to come soon.
_STAY_MS = 500


class _Socket(socket.SocketIO):
    """Reads of a connection; `is_looking`: a read that would wait for the client finds nothing instead."""

    is_looking = False

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - whatever has a buffer
        return None if self.is_looking else super().readinto(buffer)


class _Reader(io.BufferedReader):
    """cheroot's own is written in Python from its buffer on."""

    raw: _Socket

    def has_data(self) -> bool:
        """Whether more was read from the socket than was requested."""
        self.raw.is_looking = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.is_looking = False


class _Writer:
    """Sends head and body of an answer together, as soon as it is whole or large."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _SENT_AT_ONCE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._held:
            whole = b"".join(self._held)
            self._held.clear()
            self._size = 0
            self._socket.sendall(whole)


def _file(connection: socket.socket, mode: str, size: int) -> _Reader | _Writer:
    return _Reader(_Socket(connection, "r"), size) if "r" in mode else _Writer(connection)


class _Request(cheroot_server.HTTPRequest):
    """Answers first and reads a large unwanted body away afterwards, piece by piece."""

    def parse_request(self) -> None:
        super().parse_request()
        self.conn.wfile.flush()  # "100 Continue", or what is wrong with the request

    def send_headers(self) -> None:
        if self._has_much_left():
            self.close_connection = True
        super().send_headers()

    def respond(self) -> None:
        super().respond()
        self.conn.wfile.flush()
        if self.close_connection and self._has_much_left():
            discard_body(self.rfile.read)

    def simple_response(self, status: str, msg: str = "") -> None:
        super().simple_response(status, msg)
        self.conn.wfile.flush()

    def _has_much_left(self) -> bool:
        if self.chunked_read:
            # Of unknown size; what is left of it would also be taken for the next request.
            return not getattr(self.rfile, "closed", True)
        return bool(getattr(self.rfile, "remaining", 0) > _SMALL)


class _Connection(cheroot_server.HTTPConnection):
    """One client's requests, answered by one thread as long as they come one after another.

    cheroot's way from each request to the next is a selector, another thread that waits on it, a queue, and whichever
    worker wakes up: more than the request itself costs.
    """

    RequestHandlerClass = _Request

    def __init__(self, server: _Server, connection: socket.socket, _file_of: object) -> None:
        super().__init__(server, connection, _file)
        self._soon = select.poll()
        self._soon.register(connection, select.POLLIN)

    def communicate(self) -> bool:
        while super().communicate():  # type: ignore[no-untyped-call]
            if not self._comes_soon():
                return True
        return False

    def _comes_soon(self) -> bool:
        """Wait for the next request, if threads enough are left for other connections."""
        try:
            permit = self.server.permits.pop()
        except IndexError:
            return False
        try:
            return bool(self.server.ready and (self.rfile.has_data() or self._soon.poll(_STAY_MS)))
        finally:
            self.server.permits.append(permit)


class _Server(wsgi.Server):
    ConnectionClass = _Connection
    # cheroot's 10 made clients connect anew for each request as soon as more of them came.
    keep_alive_conn_limit = 1000

    def __init__(self, listener: socket.socket, app: Callable[..., Any], *, threads: int) -> None:
        super().__init__(
            listener.getsockname()[:2], app, numthreads=threads, request_queue_size=1024, timeout=60, shutdown_timeout=10)
        self._listener = listener
        # So many threads may wait with a connection; the others are free for new connections.
        self.permits = [None] * (threads // 2)

    def bind(self, family: int, type: int, proto: int = 0) -> None:  # noqa: A002, ARG002 - cheroot's names
        self.socket = self._listener

    def prepare(self) -> None:
        """As cheroot's; but a connection that another worker was quicker to accept must not be waited for.

        cheroot lets `accept` wait a second, in which it serves nobody: it does not know that a socket can be shared.
        """
        super().prepare()
        self._listener.settimeout(0)


def make(app: Callable[..., Any], listener: socket.socket, *, threads: int) -> Any:  # noqa: ANN401 - cheroot has no types
    """The server, not yet started: `prepare()`, then `serve()` blocks until `stop()` of another thread."""
    return _Server(listener, app, threads=threads)
