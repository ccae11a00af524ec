# SPDX-License-Identifier: Apache-2.0
"""Serves the metadata application to guests: one web server in each network's namespace, at 169.254.169.254."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cheroot import wsgi
from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.network.linux.namespaces import inside

LOG = logging.getLogger(__name__)
# A WSGI application (PEP 3333), whose environ and start_response are untyped by nature.
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Per network, so that one tenant's slow requests hold up nobody else's.
_THREADS, _WAITING, _TIMEOUT_S = 2, 64, 5
_PORT = 80
_MAX_HEADER, _MAX_BODY = 16384, 65536  # bytes; guests only read, but may put a password


class _Server(wsgi.Server):
    """cheroot over a socket that was made elsewhere.

    cheroot (11.1) binds by itself, and stops by a connection to its own address, which would leave the namespace;
    it does neither for a Unix socket, recognised by an address that is text. Only while it serves has it the real one.
    """

    def __init__(self, name: str, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(
            name, app, numthreads=_THREADS, max=_THREADS, request_queue_size=_WAITING, timeout=_TIMEOUT_S,
            shutdown_timeout=1, accepted_queue_size=_WAITING, accepted_queue_timeout=_TIMEOUT_S,
        )
        self._listener = listener
        self.max_request_header_size, self.max_request_body_size = _MAX_HEADER, _MAX_BODY
        self.server_name = names.METADATA_ADDRESS

    def bind_unix_socket(self, _bind_addr: str) -> None:
        self.socket = self._listener

    def prepare(self) -> None:
        super().prepare()
        self.bind_addr = (names.METADATA_ADDRESS, _PORT)

    def stop(self) -> None:
        self.bind_addr = "stopping"
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes its thread, which looks up twice a second only
        super().stop()

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT001, FBT002
        if self.bind_addr != "stopping":
            LOG.log(level, "metadata server: %s", msg, exc_info=traceback)


class MetadataListeners:
    """Web servers by network; each passes its network to the application as environ's `nova.network_id`."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._servers: dict[str, tuple[_Server, threading.Thread]] = {}

    def open(self, network_id: str) -> None:
        """Answer in the network's namespace; it must be there."""
        with self._lock:
            if network_id in self._servers:
                return
            listener = inside(names.namespace_name(network_id), _listen)
            server = _Server(f"metadata {network_id}", listener, self._for_network(network_id))
            server.prepare()
            thread = threading.Thread(target=server.serve, name=f"metadata-{network_id[:8]}", daemon=True)
            thread.start()
            self._servers[network_id] = (server, thread)

    def close(self, network_id: str) -> None:
        """Stop answering; requests under way get a second."""
        with self._lock:
            entry = self._servers.pop(network_id, None)
        if entry is not None:
            entry[0].stop()
            entry[1].join(timeout=2)

    def close_all(self) -> None:
        """Stop answering everywhere, in parallel: one may take half a second."""
        closers = [threading.Thread(target=self.close, args=(network_id,)) for network_id in list(self._servers)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()

    def _for_network(self, network_id: str) -> WSGIApplication:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            return self._app({**environ, "nova.network_id": network_id}, start_response)

        return app


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((names.METADATA_ADDRESS, _PORT))
    listener.listen(_WAITING)
    return listener
