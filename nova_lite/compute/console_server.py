# SPDX-License-Identifier: Apache-2.0
"""Serves guests' consoles to console proxies: a TCP port that requires a token announced by the API.

Guests' own consoles listen nowhere that another host, or another user of this one, can reach. A proxy sends the token
and a newline; the answer is `ok` and a newline, followed by the console's bytes, or `no` and the reason.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.compute import ConsoleAddress, ConsoleType
from nova_lite.runtime import concurrency

LOG = logging.getLogger(__name__)
_TOKEN_S = 5.0
_MAX_TOKEN = 256
# Two threads each; a broken proxy must not take all threads of the worker.
_MAX_OPEN = 200
# Connections that have not shown a token yet take none of those places.
_MAX_UNKNOWN = 32
# A page that is loaded again opens the next one before the last has ended.
_MAX_OF_SERVER = 4
# A tenth of the host's, so that no project has them all.
_MAX_OF_PROJECT = 20
_CHUNK = 1 << 16


class _Grant(NamedTuple):
    server_id: str
    project_id: str
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
        self._grants: dict[str, _Grant] = {}
        self._serials: dict[str, socket.socket] = {}
        self._of_owner: collections.Counter[tuple[str, str]] = collections.Counter()
        self._unknown = threading.BoundedSemaphore(_MAX_UNKNOWN)
        self._open = threading.BoundedSemaphore(_MAX_OPEN)
        self._listener: socket.socket | None = None
        self._reason = "the worker has not started to serve consoles"

    def start(self) -> None:
        """Listen. If that fails, consoles are refused with the reason, and all else works."""
        try:
            self._listener = socket.create_server((self._address, self._port))
        except OSError as error:
            self._reason = f"the worker cannot listen on {concurrency.at(self._address, self._port)} for them: {error.strerror}"
            LOG.warning("no consoles: %s; see my_ip and [compute] console_port", self._reason)
            return
        threading.Thread(target=self._accept, args=(self._listener,), name="console-server", daemon=True).start()

    def stop(self) -> None:
        """Accept no more connections; open consoles end with the process."""
        if self._listener is not None:
            # close() does not wake a thread that waits in accept().
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def announce(
        self, server_id: str, type: ConsoleType, *, project_id: str, token_hash: str, ttl_s: int  # noqa: A002
    ) -> ConsoleAddress:
        """Accept, for `ttl_s` seconds, the token with this SHA-256 in hex; the address to connect to.

        :raises errors.Unavailable: this worker cannot listen.
        """
        if self._listener is None:
            raise errors.Unavailable(reason=f"There are no consoles on this host: {self._reason}")
        now = self._clock()
        with self._lock:
            self._grants = {hash_: grant for hash_, grant in self._grants.items() if grant.until > now}
            self._grants[token_hash] = _Grant(server_id, project_id, type, now + ttl_s)
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
            if not self._unknown.acquire(blocking=False):
                _answer(proxy, "no too many connections without a token")
                return
            try:
                grant = self._check(proxy)
            finally:
                self._unknown.release()
            if grant is not None:
                self._admit(proxy, grant)

    def _admit(self, proxy: socket.socket, grant: _Grant) -> None:
        """Give the connection a place on this host, and one of the few of its project and of its server."""
        if not self._open.acquire(blocking=False):
            _answer(proxy, "no too many consoles are open on this host")
            return
        try:
            with self._place_of(grant) as refusal:
                if refusal is None:
                    self._relay(proxy, grant)
                else:
                    _answer(proxy, f"no too many consoles of this {refusal} are open")
        finally:
            self._open.release()

    @contextlib.contextmanager
    def _place_of(self, grant: _Grant) -> Iterator[str | None]:
        """Count the connection for its server and its project; whose limit is reached, if one is."""
        owners = {("server", grant.server_id): _MAX_OF_SERVER, ("project on this host", grant.project_id): _MAX_OF_PROJECT}
        with self._lock:
            refusal = next((owner[0] for owner, limit in owners.items() if self._of_owner[owner] >= limit), None)
            counted = [] if refusal else list(owners)
            self._of_owner.update(counted)
        try:
            yield refusal
        finally:
            with self._lock:
                self._of_owner.subtract(counted)
                self._of_owner = +self._of_owner

    def _check(self, proxy: socket.socket) -> _Grant | None:
        """What the token that the proxy sends grants; None: nothing, which the proxy has been sent."""
        deadline = time.monotonic() + _TOKEN_S  # for all of it, however many pieces it comes in
        token = b""
        with contextlib.suppress(OSError):
            while not token.endswith(b"\n") and len(token) <= _MAX_TOKEN and (remaining_s := deadline - time.monotonic()) > 0:
                proxy.settimeout(remaining_s)
                more = proxy.recv(_MAX_TOKEN)
                if not more:
                    break
                token += more
        proxy.settimeout(_TOKEN_S)
        token_hash = hashlib.sha256(token.rstrip(b"\n")).hexdigest()
        with self._lock:
            grant = next(
                (grant for hash_, grant in self._grants.items() if hmac.compare_digest(hash_, token_hash)), None)
        if grant is None or grant.until <= self._clock():
            _answer(proxy, "no the token is unknown to the host, or has expired")
            return None
        return grant

    def _relay(self, proxy: socket.socket, grant: _Grant) -> None:
        if grant.type is ConsoleType.SERIAL:
            self._close_serial(grant.server_id)
        try:
            console = self._connect(grant.server_id, grant.type)
        except errors.NovaLiteError as error:
            _answer(proxy, f"no {error.text}")
            return
        LOG.info("server %s: its %s console opened", grant.server_id, grant.type.value)
        with console:
            if grant.type is ConsoleType.SERIAL:
                with self._lock:
                    self._serials[grant.server_id] = proxy
            if _answer(proxy, "ok"):
                proxy.settimeout(None)
                console.settimeout(None)
                relay(proxy, console)
        with self._lock:
            if self._serials.get(grant.server_id) is proxy:
                del self._serials[grant.server_id]
        LOG.info("server %s: its %s console closed", grant.server_id, grant.type.value)

    def _close_serial(self, server_id: str) -> None:
        """A serial port has one connection: a later one takes it over."""
        with self._lock:
            earlier = self._serials.pop(server_id, None)
        if earlier is not None:
            with contextlib.suppress(OSError):
                earlier.shutdown(socket.SHUT_RDWR)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until either side closes."""
    back = threading.Thread(target=_copy, args=(other, one), name="console-back", daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _answer(proxy: socket.socket, line: str) -> bool:
    try:
        proxy.sendall(f"{' '.join(line.split())}\n".encode())
    except OSError:
        return False
    return True
