# SPDX-License-Identifier: Apache-2.0
"""What the HTTP server wants to know of requests before a thread takes them: their share, their tenant, and the backlog of actions."""

from __future__ import annotations

import collections
import functools
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy.exc

from nova_lite.api.wsgi.request import Parts
from nova_lite.api.wsgi.routing import single_slashes
from nova_lite.db.compute import backlog
from nova_lite.runtime import concurrency
from nova_lite.runtime.http.admission import Refusal
from nova_lite.runtime.http.head import Head
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.peers import Peer
from nova_lite.runtime.http.policy import LOGINS, READS, TRANSFERS, WRITES, uncounted

LOG = logging.getLogger(__name__)
_MAX_TOKENS = 10_000
# SQLite's writers take turns anyway; more of them would only keep readers from the interpreter. One more than a project has.
_SQLITE_WRITES = Limits.writes_of_tenant + 1
_LOGIN_PATHS = ("/auth/tokens", "/password", "/application_credentials")  # those that compute hashes
_CREATE_PATH = "/servers"


class Backlog:
    """How many actions of each project no conductor has begun yet: those that are in the database, read from time to time by a
    thread of its own, and those of requests that are under way or were answered since.

    `most` of all projects together may be queued, a project alone having no more than its part while others wait.
    """

    def __init__(self, count: Callable[[], Mapping[str, int]], *, most: int, fresh_s: float = 0.5, valid_s: float = 5.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._most, self._fresh_s, self._valid_s, self._clock = count, most, fresh_s, valid_s, clock
        self._lock = threading.Lock()
        self._counts = collections.Counter[str]()
        self._coming = collections.Counter[str]()
        self._made = collections.Counter[str]()  # since the database was read
        self._read_at = float("-inf")
        self._is_reading = False

    def refusal(self, project_id: str) -> Refusal | None:
        """Why one more action of the project is not taken now."""
        self._refresh()
        with self._lock:
            counts = self._counts + self._coming + self._made
        own, total = counts[project_id], counts.total()
        tenants = len(counts) + (project_id not in counts)
        if total < self._most or own < self._most // tenants // 2:
            return None
        if own * tenants > total and tenants > 1:
            return Refusal(429, 5, "Too many requests of this project are queued; try again shortly.")
        return Refusal(503, 5, "Too many requests are queued; try again shortly.")

    def taken(self, project_id: str) -> Callable[[bool], None]:
        """A request of the project is under way that may make one more action; to be called when it is over, with whether it has."""
        with self._lock:
            self._coming[project_id] += 1
        return functools.partial(self._over, project_id)

    def _over(self, project_id: str, has_made: bool) -> None:  # noqa: FBT001 - called by the server, which knows of one thing only
        with self._lock:
            self._coming[project_id] -= 1
            self._coming = +self._coming
            self._made[project_id] += has_made

    def _refresh(self) -> None:
        now = self._clock()
        with self._lock:
            if now - self._read_at > self._valid_s:
                self._counts, self._made = collections.Counter(), collections.Counter()  # nothing is known: the database decides
            if self._is_reading or now - self._read_at < self._fresh_s:
                return
            self._is_reading = True
        threading.Thread(target=self.read, name="backlog", daemon=True).start()

    def read(self) -> None:
        """Read the counts now. An action that is made meanwhile may count twice until the next time, and never not at all."""
        with self._lock:
            before = self._made.copy()
        counts = collections.Counter[str]()
        try:
            counts.update(self._count())
        except sqlalchemy.exc.SQLAlchemyError as error:
            LOG.debug("the backlog cannot be read: %s", error)
        with self._lock:
            self._counts, self._made = counts, self._made - before
            self._read_at, self._is_reading = self._clock(), False


class ApiPolicy:
    """Reads, writes, image data and logins apart; tenants are projects, as far as their tokens have been seen."""

    def __init__(self, queue: Backlog) -> None:
        self._backlog = queue
        self._projects: dict[str, str] = {}  # by token

    def share(self, head: Head) -> str:
        if head.path.endswith("/file"):
            return TRANSFERS
        if head.method in ("GET", "HEAD"):
            return READS
        return LOGINS if head.method == "POST" and _routed(head.path).endswith(_LOGIN_PATHS) else WRITES

    def tenant(self, head: Head, address: str) -> str:
        return self._projects.get(head.fields.get("x-auth-token", ""), address)

    def refusal(self, head: Head) -> Refusal | None:
        return self._backlog.refusal(self.tenant(head, "")) if _creates_servers(head) else None

    def admitted(self, head: Head) -> Callable[[bool], None]:
        return self._backlog.taken(self.tenant(head, "")) if _creates_servers(head) else uncounted

    def learn(self, head: Head, environ: dict[str, Any]) -> None:
        token, context = head.fields.get("x-auth-token"), environ.get("nova.context")
        if token is None or context is None or token in self._projects:
            return
        if len(self._projects) >= _MAX_TOKENS:
            self._projects.clear()
        self._projects[token] = context.project_id


def _creates_servers(head: Head) -> bool:
    return head.method == "POST" and _routed(head.path).endswith(_CREATE_PATH)


def _routed(path: str) -> str:
    """As the routes take it: with one slash for several, and without those at the end."""
    return single_slashes(path).rstrip("/")


def http_server(parts: Parts, app: Callable[..., Any], listener: socket.socket, *, peer: Peer | None = None) -> concurrency.HttpServer:
    """The server of nova-api in front of `app`, with the bounds of section [api]. `peer`: when several processes serve `listener`."""
    def count() -> Mapping[str, int]:
        with parts.database.reader() as session:
            return backlog.count_by_project(session)

    api = parts.conf.api
    limits = Limits(
        head_s=api.head_timeout, rate=api.min_transfer_rate, connections_of_address=api.max_connections_per_address,
        writes=_SQLITE_WRITES if parts.database.is_sqlite else api.threads, waits=parts.waiting.limit, max_wait_s=api.max_wait)
    return concurrency.HttpServer(
        app, listener, threads=api.threads, limits=limits, policy=ApiPolicy(Backlog(count, most=api.max_queued_actions)), peer=peer)
