# SPDX-License-Identifier: Apache-2.0
"""Bounds a proxy's connections whose request has not come: each holds threads, and its client need not have a token."""

from __future__ import annotations

import collections
import socket
import threading
from collections.abc import Callable
from typing import Any

# A client behind a reverse proxy is one of many of its address, but sends its request at once.
_OF_ADDRESS, _ALL = 32, 512

Handler = Callable[[socket.socket, Any], None]


class Handshakes:
    """Counts connections from their start to their request, each in the thread that serves it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.Counter[str] = collections.Counter()
        self._here = threading.local()

    def bounding(self, handler: Handler) -> Handler:
        """The handler of a connection, which is counted until `end`, called by it, or until it returns."""
        def handle(sock: socket.socket, address: Any) -> None:
            with self._lock:
                has_place = self._waiting[address[0]] < _OF_ADDRESS and self._waiting.total() < _ALL
                self._waiting.update([address[0]] if has_place else [])
            self._here.address = address[0] if has_place else None
            try:
                handler(sock, address)
            finally:
                self.end()

        return handle

    def require_place(self) -> None:
        """:raises ConnectionRefusedError: the connection of this thread is one too many."""
        if self._here.address is None:
            raise ConnectionRefusedError

    def end(self) -> None:
        """The request of this thread's connection is here, or never comes."""
        address, self._here.address = self._here.address, None
        with self._lock:
            if address is not None:
                self._waiting[address] -= 1
                if not self._waiting[address]:
                    del self._waiting[address]
