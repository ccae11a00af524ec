# SPDX-License-Identifier: Apache-2.0
"""The one thread that waits for all clients: it accepts, reads heads and small bodies, and ends what takes too long."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from nova_lite.runtime.http import exchange
from nova_lite.runtime.http.connection import Connection
from nova_lite.runtime.http.head import BadHead
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.peers import Peer

_READ: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
_WRITE: Final = select.EPOLLOUT | select.EPOLLONESHOT
_ACCEPTED_AT_ONCE: Final = 16
_LOOK_EVERY_S: Final = 0.5
_DRAINED_S: Final = 2.0


class Front:
    """Hands each connection whose next request is whole to `serve`; who has it gives it back with `wait_for_next`.

    `look` is called from time to time, for what has waited too long elsewhere. `peer`: others accept from `listener` too.
    """

    def __init__(
        self, listener: socket.socket, limits: Limits, serve: Callable[[Connection], None], *, look: Callable[[], None], peer: Peer | None = None,
    ) -> None:
        self._listener, self._peer = listener, peer
        self._limits = limits
        self._serve, self._look = serve, look
        self._epoll = select.epoll()
        self._end = os.eventfd(0)
        self._lock = threading.Lock()
        self._open: dict[int, Connection] = {}  # by file descriptor
        self._of_address: dict[str, set[Connection]] = {}
        self._deadlines: dict[Connection, float] = {}  # of those that this thread waits for
        self.is_ending = False

    def run(self) -> None:
        """Block until `stop`."""
        listener = self._listener
        listener.settimeout(0)
        # Of several processes on one socket, one is woken for one connection.
        self._epoll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self._epoll.register(self._end, select.EPOLLIN)
        if self._peer is not None:
            self._epoll.register(self._peer, select.EPOLLIN)
        last_look = time.monotonic()
        while not self.is_ending:
            self._say()
            events = self._epoll.poll(_LOOK_EVERY_S)
            for number, event in events:
                self._came(number, event)
            now = time.monotonic()
            if now - last_look >= _LOOK_EVERY_S:
                last_look = now
                self._end_overdue(now)
                self._look()
                if self._peer is not None:
                    self._take(self._peer.take_back)
        if self._peer is not None:
            self._peer.leave()
        self._epoll.unregister(listener)
        with contextlib.suppress(OSError):
            listener.close()
        for connection in list(self._deadlines):
            if connection.is_silent:
                self.close(connection)

    def stop(self) -> None:
        """Accept no more, from any thread; once."""
        os.eventfd_write(self._end, 1)

    def close_all(self) -> None:
        """After the last answer."""
        for connection in list(self._open.values()):
            self.close(connection)
        self._epoll.close()
        os.close(self._end)

    def wait_for_next(self, connection: Connection) -> None:
        """Wait for the connection's next request, or first for its client to take the rest of an answer."""
        if self.is_ending and not connection.unsent:
            self.close(connection)
            return
        seconds = self._limits.keep_alive_s if not connection.unsent else self._limits.grace_s + len(connection.unsent) / self._limits.rate
        self._arm(connection, seconds)

    def close(self, connection: Connection) -> None:
        """End the connection; once or more often."""
        with self._lock:
            number = connection.wire.socket.fileno()
            self._deadlines.pop(connection, None)
            if self._open.get(number) is connection:
                del self._open[number]
                of_address = self._of_address[connection.address[0]]
                of_address.discard(connection)
                if not of_address:
                    del self._of_address[connection.address[0]]
            connection.wire.close()

    def refuse(self, connection: Connection, status: str, reason: str) -> None:
        """Say why and end the connection."""
        self.end_with(connection, exchange.simple(status, reason))

    def end_with(self, connection: Connection, answer: bytes) -> None:
        """Send a last answer, as far as that goes without waiting, and read away what the client still sends for a while."""
        try:
            connection.wire.send_now(answer)
            connection.wire.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(connection)
            return
        connection.drained = 0
        connection.wire.ahead.clear()
        self._arm(connection, _DRAINED_S)

    def _came(self, number: int, event: int) -> None:
        """Something has happened to this file descriptor."""
        if number == self._end:  # set here, not by `stop`: `run` and then `close_all` would close it before `stop` has written
            self.is_ending = True
        elif number == self._listener.fileno():
            self._accept()
        elif self._peer is not None and number == self._peer.fileno():
            self._take(self._peer.take)
        else:
            self._happened(number, event)

    def _say(self) -> None:
        if self._peer is not None:
            self._peer.say(len(self._open))

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no file descriptor is free, or the client was quicker to go
                self._make_room(self._oldest_silent(self._deadlines))
                return
            if self._peer is None or not self._peer.hand_on(accepted, len(self._open)):
                self._begin(accepted, address)

    def _take(self, take: Callable[[], socket.socket | None]) -> None:
        """Take what peers have accepted for this process, or what a peer that is stopped does not take."""
        while (accepted := take()) is not None:
            try:
                address = accepted.getpeername()
            except OSError:  # its client has gone
                accepted.close()
            else:
                self._begin(accepted, address)

    def _begin(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        connection = Connection(accepted, address[:2])
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._has_room(connection):
            with contextlib.suppress(OSError):
                connection.wire.send_now(exchange.simple("503 Service Unavailable", "too many connections", retry_after_s=2))
            connection.wire.close()
            return
        with self._lock:
            self._open[accepted.fileno()] = connection
            self._of_address.setdefault(address[0], set()).add(connection)
            self._deadlines[connection] = time.monotonic() + self._limits.head_s
            self._epoll.register(accepted, _READ)
        self._say()

    def _has_room(self, connection: Connection) -> bool:
        """Make room for one more: the connection that has been silent for longest goes."""
        of_address = self._of_address.get(connection.address[0], ())
        if len(of_address) >= self._limits.connections_of_address:
            return self._make_room(self._oldest_silent(of_address))
        if len(self._open) >= self._limits.connections:
            with self._lock:
                most = max(self._of_address.values(), key=len)
            return self._make_room(self._oldest_silent(most) or self._oldest_silent(self._deadlines))
        return True

    def _make_room(self, connection: Connection | None) -> bool:
        if connection is None:
            return False
        self.close(connection)
        return True

    def _oldest_silent(self, connections: set[Connection] | dict[Connection, float] | tuple[()]) -> Connection | None:
        """First those that have never sent a request."""
        with self._lock:
            waiting = [(bool(one.served), deadline, number) for number, one in enumerate(connections)
                       if (deadline := self._deadlines.get(one)) is not None]
            return list(connections)[min(waiting)[2]] if waiting else None

    def _happened(self, number: int, event: int) -> None:
        with self._lock:
            connection = self._open.get(number)
            if connection is None or connection not in self._deadlines:
                return
        try:
            self._advance(connection, event)
        except BadHead as error:
            self.refuse(connection, error.status, error.reason)
        except OSError:
            self.close(connection)

    def _advance(self, connection: Connection, event: int) -> None:
        """Send, drain or read what goes now; then wait on, or hand the connection over. :raises OSError: it has ended."""
        if connection.drained is not None:
            if not connection.drain():
                raise ConnectionError
            self._arm(connection, None)
            return
        was_silent, is_open = connection.is_silent, True
        if connection.unsent:
            connection.unsent = connection.wire.send_now(connection.unsent)
            if event & (select.EPOLLHUP | select.EPOLLERR):
                raise ConnectionError
        elif not connection.unsent:
            is_open = connection.wire.receive()
        if not connection.unsent and connection.advance():
            with self._lock:
                del self._deadlines[connection]
            self._serve(connection)
        elif not is_open:
            raise ConnectionError
        elif connection.unsent:
            self._arm(connection, None)
        else:
            self._arm(connection, self._limits.head_s if was_silent and connection.served and not connection.is_silent else None)

    def _arm(self, connection: Connection, seconds: float | None) -> None:
        """Wait for the connection, for so long or for what is left of its time."""
        try:
            with self._lock:
                if seconds is not None:
                    self._deadlines[connection] = time.monotonic() + seconds
                self._epoll.modify(connection.wire.socket, _WRITE if connection.unsent else _READ)
        except (OSError, ValueError):  # closed meanwhile
            self.close(connection)

    def _end_overdue(self, now: float) -> None:
        with self._lock:
            overdue = [connection for connection, deadline in self._deadlines.items() if deadline < now]
        for connection in overdue:
            if connection.is_silent or connection.unsent or connection.drained is not None:
                self.close(connection)
            else:
                self.refuse(connection, "408 Request Timeout", "the request did not come in time")
