# SPDX-License-Identifier: Apache-2.0
"""Bounds how long a process waits for its database: a server that is stopped or unreachable answers no timeout of its own."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

# For so long after a statement was cut nobody waits for another connection.
_HUNG_S: Final = 1.0
_CALLS: Final = ("do_execute", "do_executemany", "do_execute_no_params", "do_commit", "do_rollback", "do_ping")


def connect_args(url: sa.engine.URL, *, connect_s: int, lost_s: int) -> dict[str, Any]:
    """Options of the driver that end a connection whose server cannot be reached, for every process.

    `connect_s`: to establish it; `lost_s`: that sent bytes may stay unacknowledged.
    """
    backend = url.get_backend_name()
    if backend == "postgresql" and url.get_driver_name() == "psycopg2":
        return {"connect_timeout": connect_s, "tcp_user_timeout": lost_s * 1000, "keepalives_idle": lost_s,
                "keepalives_interval": max(1, lost_s // 4), "keepalives_count": 4}
    return {"connect_timeout": connect_s} if backend in ("mysql", "mariadb") else {}


class Deadlines:
    """Cuts the connection of each statement that takes longer than `limit_s`; the statement then raises OperationalError."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._running: dict[int, tuple[float, Any]] = {}  # by thread: since when, on which connection
        self._wake = threading.Event()
        self._is_asleep = True
        self._hung_until = float("-inf")
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    def attach(self, engine: sa.Engine) -> None:
        """Bound all that this engine does from now on, and its waits for connections."""
        dialect: Any = engine.dialect
        for name in _CALLS:
            setattr(dialect, name, self._bounded(getattr(dialect, name)))
        sa.event.listen(engine, "do_connect", self._connect)
        if engine.dialect.name == "postgresql":
            sa.event.listen(engine, "connect", self._limit_server)

    def _bounded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        running, thread = self._running, threading.get_ident

        def bounded(target: Any, *args: Any, **kwargs: Any) -> Any:  # a cursor or a connection of any driver
            key = thread()
            running[key] = (time.monotonic(), target)
            if self._is_asleep:
                self._awake()
            try:
                return call(target, *args, **kwargs)
            finally:
                running.pop(key, None)

        return bounded

    def _awake(self) -> None:
        with self._lock:
            if self._watch is None or not self._watch.is_alive():
                self._watch = threading.Thread(target=self._look, name="database-deadlines", daemon=True)
                self._watch.start()
        self._wake.set()

    def _look(self) -> None:
        while True:
            if not self._running:
                self._wake.clear()
                self._is_asleep = True
                self._wake.wait()
            self._is_asleep = False
            time.sleep(self._limit_s / 8)
            now = time.monotonic()
            for key, (began, target) in list(self._running.items()):
                if now - began > self._limit_s and self._running.get(key, (0, None))[0] == began:
                    self._hung_until = now + _HUNG_S
                    _cut(target)

    def _connect(self, dialect: Any, _record: Any, args: Any, options: Any) -> Any:  # SQLAlchemy's types
        """Connect in a thread that is given up when it takes too long: no driver bounds the whole of it below two seconds."""
        dbapi = dialect.loaded_dbapi
        if time.monotonic() < self._hung_until:
            raise dbapi.OperationalError("the database does not answer")
        made = _Connecting(lambda: dbapi.connect(*args, **options))
        if not made.is_done.wait(self._limit_s):
            self._hung_until = time.monotonic() + _HUNG_S
        return made.take(dbapi.OperationalError("the database does not answer"))

    def _limit_server(self, connection: Any, _record: Any) -> None:  # DBAPI objects have no type
        """Let the server itself give up a little earlier, so that a lock that is not free costs no connection."""
        milliseconds = math.floor(self._limit_s * 800)
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {milliseconds}")
        connection.commit()


class _Connecting:
    """A connection in the making; it is closed if nobody takes it."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.is_done = threading.Event()
        self._lock = threading.Lock()
        self._connection: Any = None
        self._error: Exception | None = None
        self._is_given_up = False
        threading.Thread(target=self._run, args=(connect,), name="database-connect", daemon=True).start()

    def take(self, late: Exception) -> Any:  # DBAPI objects have no type
        """The connection. :raises Exception: why there is none; `late` if that is not known yet."""
        with self._lock:
            if not self.is_done.is_set():
                self._is_given_up = True
                raise late
        if self._error is not None:
            raise self._error
        return self._connection

    def _run(self, connect: Callable[[], Any]) -> None:
        try:
            self._connection = connect()
        except Exception as error:  # noqa: BLE001 - it is raised where the connection is taken
            self._error = error
        with self._lock:
            self.is_done.set()
            if self._is_given_up and self._connection is not None:
                self._connection.close()


def _cut(target: Any) -> None:  # a cursor or a connection of any driver
    """End the connection below, so that the thread that waits for it gets an error."""
    connection = getattr(target, "connection", None) or getattr(target, "dbapi_connection", None) or target
    with contextlib.suppress(Exception):
        if hasattr(connection, "fileno"):
            with socket.socket(fileno=os.dup(connection.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
        else:  # PyMySQL
            connection._sock.shutdown(socket.SHUT_RDWR)  # it has no public way to its socket
