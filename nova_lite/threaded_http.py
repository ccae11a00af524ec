# SPDX-License-Identifier: Apache-2.0
"""cheroot's HTTP server on our listening socket, with bounds that it lacks on bodies that nobody reads."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from cheroot import server as cheroot_server
from cheroot import wsgi

from nova_lite import concurrency

# cheroot reads what is left of a body into memory before it answers; up to this much it may.
_SMALL = 128 * 1024


class _Request(cheroot_server.HTTPRequest):
    """Answers first and reads a large unwanted body away afterwards, piece by piece."""

    def send_headers(self) -> None:
        if self._has_much_left():
            self.close_connection = True
        super().send_headers()

    def respond(self) -> None:
        super().respond()
        if self.close_connection and self._has_much_left():
            concurrency.discard_body(self.rfile.read)

    def _has_much_left(self) -> bool:
        if self.chunked_read:
            # Of unknown size; what is left of it would also be taken for the next request.
            return not getattr(self.rfile, "closed", True)
        return bool(getattr(self.rfile, "remaining", 0) > _SMALL)


class _Connection(cheroot_server.HTTPConnection):
    RequestHandlerClass = _Request


class _Server(wsgi.Server):
    ConnectionClass = _Connection
    # cheroot's 10 made clients connect anew for each request as soon as more of them came.
    keep_alive_conn_limit = 1000

    def __init__(self, listener: socket.socket, app: Callable[..., Any], *, threads: int) -> None:
        super().__init__(
            listener.getsockname()[:2], app, numthreads=threads, request_queue_size=1024, timeout=60, shutdown_timeout=10)
        self._listener = listener

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
