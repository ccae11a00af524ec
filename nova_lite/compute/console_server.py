# SPDX-License-Identifier: Apache-2.0
"""The one door to guests' consoles: a TCP port for console proxies, who must show a token that was announced here.

Guests' own consoles listen nowhere that another host, or another user of this one, can reach. A proxy sends the token
and a newline; `ok` and a newline answer it and the console follows byte for byte, or `no` with the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.compute import ConsoleAddress, ConsoleType

LOG = logging.getLogger(__name__)
_SHOW_TOKEN_S = 5.0
_LONGEST_TOKEN = 256
# Two threads each; a proxy that goes mad must not take all of the worker's.
_MOST_OPEN = 200
_CHUNK = 1 << 16


class _Leave(NamedTuple):
    server_id: str
    type: ConsoleType
    until: float


class ConsoleServer:
    """Listens on `address`:`port` (0: any free port). `connect(server_id, type)` is the driver's."""

    def __init__(
        self, *, address: str, port: int, connect: Callable[[str, ConsoleType], socket.socket],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._port = address, port
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._leaves: dict[str, _Leave] = {}
        self._serials: dict[str, socket.socket] = {}
        self._open = threading.BoundedSemaphore(_MOST_OPEN)
        self._listener: socket.socket | None = None
        self._why = "the worker has not started to serve consoles"

    def start(self) -> None:
        """Listen; where that is impossible consoles are refused with the reason, and all else goes on."""
        try:
            self._listener = socket.create_server((self._address, self._port))
        except OSError as error:
            self._why = f"the worker cannot listen on {self._address}:{self._port} for them: {error.strerror}"
            LOG.warning("no consoles: %s; see my_ip and [compute] console_port", self._why)
            return
        threading.Thread(target=self._accept, args=(self._listener,), name="console-gate", daemon=True).start()

    def stop(self) -> None:
        """Let nobody in any more; consoles that are open end with the process."""
        if self._listener is not None:
            # A thread that waits in accept() is not woken by close().
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def announce(self, server_id: str, type: ConsoleType, *, token_hash: str, ttl_s: int) -> ConsoleAddress:  # noqa: A002
        """Let in, for `ttl_s` seconds, whoever shows the token with this SHA-256; where to.

        :raises errors.Unavailable: this worker cannot listen.
        """
        if self._listener is None:
            raise errors.Unavailable(reason=f"There are no consoles on this host: {self._why}")
        now = self._clock()
        with self._lock:
            self._leaves = {known: leave for known, leave in self._leaves.items() if leave.until > now}
            self._leaves[token_hash] = _Leave(server_id, type, now + ttl_s)
        return ConsoleAddress(host=self._address, port=int(self._listener.getsockname()[1]))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                proxy, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(proxy,), name="console", daemon=True).start()

    def _serve(self, proxy: socket.socket) -> None:
        with proxy:
            if not self._open.acquire(blocking=False):
                _say(proxy, "no too many consoles are open on this host")
                return
            try:
                leave = self._check(proxy)
                if leave is not None:
                    self._show(proxy, leave)
            finally:
                self._open.release()

    def _check(self, proxy: socket.socket) -> _Leave | None:
        proxy.settimeout(_SHOW_TOKEN_S)
        shown = b""
        with contextlib.suppress(OSError):
            while not shown.endswith(b"\n") and len(shown) <= _LONGEST_TOKEN and (more := proxy.recv(_LONGEST_TOKEN)):
                shown += more
        wanted = hashlib.sha256(shown.rstrip(b"\n")).hexdigest()
        with self._lock:
            known = next((known for known in self._leaves if hmac.compare_digest(known, wanted)), None)
            leave = self._leaves[known] if known else None
        if leave is None or leave.until <= self._clock():
            _say(proxy, "no the token is unknown to the host, or has expired")
            return None
        return leave

    def _show(self, proxy: socket.socket, leave: _Leave) -> None:
        if leave.type is ConsoleType.SERIAL:
            self._end_serial(leave.server_id)
        try:
            console = self._connect(leave.server_id, leave.type)
        except errors.NovaLiteError as error:
            _say(proxy, f"no {error.text}")
            return
        LOG.info("server %s: its %s console is opened", leave.server_id, leave.type.value)
        with console:
            if leave.type is ConsoleType.SERIAL:
                with self._lock:
                    self._serials[leave.server_id] = proxy
            if _say(proxy, "ok"):
                proxy.settimeout(None)
                console.settimeout(None)
                relay(proxy, console)
        with self._lock:
            if self._serials.get(leave.server_id) is proxy:
                del self._serials[leave.server_id]
        LOG.info("server %s: its %s console is closed", leave.server_id, leave.type.value)

    def _end_serial(self, server_id: str) -> None:
        """A serial port has one line: who comes later takes it over."""
        with self._lock:
            earlier = self._serials.pop(server_id, None)
        if earlier is not None:
            with contextlib.suppress(OSError):
                earlier.shutdown(socket.SHUT_RDWR)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    back = threading.Thread(target=_carry, args=(other, one), name="console-back", daemon=True)
    back.start()
    _carry(one, other)
    back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _say(proxy: socket.socket, line: str) -> bool:
    try:
        proxy.sendall(f"{' '.join(line.split())}\n".encode())
    except OSError:
        return False
    return True
