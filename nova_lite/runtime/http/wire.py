# SPDX-License-Identifier: Apache-2.0
"""A connection's bytes: what has come and is not read yet, and sending and receiving at no less than a rate."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Final

_PIECE: Final = 64 * 1024
_GONE: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class TooSlow(OSError):
    """The client sends or takes bytes more slowly than it must."""


class Allowance:
    """How long a client may be waited for: `grace_s`, and a second more for each `rate` bytes that have moved."""

    __slots__ = ("_grace_s", "_moved", "_rate", "_waited_s")

    def __init__(self, grace_s: float, rate: int) -> None:
        self._grace_s, self._rate = grace_s, rate
        self._moved = 0
        self._waited_s = 0.0

    def wait(self, poll: select.poll) -> None:
        """Wait until `poll` has an event. :raises TooSlow: the client's time is over."""
        remaining_s = self._grace_s + self._moved / self._rate - self._waited_s
        began = time.monotonic()
        if remaining_s <= 0 or not poll.poll(remaining_s * 1000):
            raise TooSlow("the client is too slow")
        self._waited_s += time.monotonic() - began

    def moved(self, size: int) -> None:
        self._moved += size


class Wire:
    """A client's socket, which never blocks by itself, and the bytes that it has sent ahead."""

    __slots__ = ("_readable", "_writable", "ahead", "socket")

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        self.socket = connection
        self.ahead = bytearray()
        self._readable: select.poll | None = None
        self._writable: select.poll | None = None

    def receive(self) -> bool:
        """Take what has come; False: the client sends no more."""
        try:
            piece = self.socket.recv(_PIECE)
        except BlockingIOError:
            return True
        self.ahead += piece
        return bool(piece)

    def take(self, size: int, allowance: Allowance) -> bytes:
        """At least one and at most `size` bytes; b"" when the client sends no more. :raises TooSlow: within its time none came."""
        if self.ahead:
            taken = bytes(self.ahead[:size])
            del self.ahead[:size]
            return taken
        while True:
            try:
                piece = self.socket.recv(min(size, _PIECE))
            except BlockingIOError:
                allowance.wait(self._poll_readable())
                continue
            allowance.moved(len(piece))
            return piece

    def has_more_within(self, milliseconds: int) -> bool:
        """Whether bytes are there or come soon, or the client ends the connection."""
        return bool(self.ahead) or bool(self._poll_readable().poll(milliseconds))

    def send(self, data: bytes | memoryview, allowance: Allowance) -> None:
        """Send all. :raises TooSlow: the client does not take it in time."""
        rest = memoryview(data)
        while rest:
            try:
                sent = self.socket.send(rest)
            except BlockingIOError:
                if self._writable is None:
                    self._writable = select.poll()
                    self._writable.register(self.socket, select.POLLOUT)
                allowance.wait(self._writable)
                continue
            allowance.moved(sent)
            rest = rest[sent:]

    def send_now(self, data: bytes) -> bytes:
        """Send what goes without waiting; the rest."""
        try:
            return data[self.socket.send(data):]
        except BlockingIOError:
            return data

    def is_gone(self) -> bool:
        """Whether the client has ended the connection or its half of it."""
        poll = select.poll()
        poll.register(self.socket, _GONE)
        return bool(poll.poll(0))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.close()

    def _poll_readable(self) -> select.poll:
        if self._readable is None:
            self._readable = select.poll()
            self._readable.register(self.socket, select.POLLIN)
        return self._readable
