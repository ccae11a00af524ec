# SPDX-License-Identifier: Apache-2.0
"""What the HTTP server wants to know of requests before a thread takes them: their share, their tenant, and the backlog of actions."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy.exc

from nova_lite.api.wsgi.request import Parts
from nova_lite.db.compute import backlog
from nova_lite.runtime import concurrency
from nova_lite.runtime.http.admission import Refusal
from nova_lite.runtime.http.head import Head
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.policy import LOGINS, READS, TRANSFERS, WRITES

LOG = logging.getLogger(__name__)
_MAX_TOKENS = 10_000
# SQLite's writers take turns anyway; more of them would only keep readers from the interpreter.
_SQLITE_WRITES = 4
_LOGIN_PATHS = ("/auth/tokens", "/password", "/application_credentials")  # those that compute hashes
_CREATE_PATH = "/servers"


class Backlog:
    """How many actions of each project no conductor has begun yet, read from time to time by a thread of its own.

    `most` of all projects together may be queued, a project alone having no more than its part while others wait.
    """

    def __init__(self, count: Callable[[], Mapping[str, int]], *, most: int, fresh_s: float = 0.5, valid_s: float = 5.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._most, self._fresh_s, self._valid_s, self._clock = count, most, fresh_s, valid_s, clock
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._read_at = float("-inf")
        self._is_reading = False

    def refusal(self, project_id: str) -> Refusal | None:
        """Why one more action of the project is not taken now."""
        self._refresh()
        with self._lock:
            own, total = self._counts.get(project_id, 0), sum(self._counts.values())
            tenants = len(self._counts) + (project_id not in self._counts)
            if total < self._most or own < self._most // tenants // 2:
                return None
        if own * tenants > total and tenants > 1:
            return Refusal(429, 5, "Too many requests of this project are queued; try again shortly.")
        return Refusal(503, 5, "Too many requests are queued; try again shortly.")

    def taken(self, project_id: str) -> None:
        """One more action of the project is to come, which the next look at the database finds."""
        with self._lock:
            self._counts[project_id] = self._counts.get(project_id, 0) + 1

    def _refresh(self) -> None:
        now = self._clock()
        with self._lock:
            if now - self._read_at > self._valid_s:
                self._counts = {}  # nothing is known: the database decides
            if self._is_reading or now - self._read_at < self._fresh_s:
                return
            self._is_reading = True
        threading.Thread(target=self.read, name="backlog", daemon=True).start()

    def read(self) -> None:
        """Read the counts now."""
        try:
            counts = dict(self._count())
        except sqlalchemy.exc.SQLAlchemyError as error:
            LOG.debug("the backlog cannot be read: %s", error)
            counts = {}
        with self._lock:
            self._counts, self._read_at, self._is_reading = counts, self._clock(), False


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
        return LOGINS if head.method == "POST" and head.path.endswith(_LOGIN_PATHS) else WRITES

    def tenant(self, head: Head, address: str) -> str:
        return self._projects.get(head.fields.get("x-auth-token", ""), address)

    def refusal(self, head: Head) -> Refusal | None:
        return self._backlog.refusal(self.tenant(head, "")) if _creates_servers(head) else None

    def admitted(self, head: Head) -> None:
        if _creates_servers(head):
            self._backlog.taken(self.tenant(head, ""))

    def learn(self, head: Head, environ: dict[str, Any]) -> None:
        token, context = head.fields.get("x-auth-token"), environ.get("nova.context")
        if token is None or context is None or token in self._projects:
            return
        if len(self._projects) >= _MAX_TOKENS:
            self._projects.clear()
        self._projects[token] = context.project_id


def _creates_servers(head: Head) -> bool:
    return head.method == "POST" and head.path.endswith(_CREATE_PATH)


def http_server(parts: Parts, app: Callable[..., Any], listener: socket.socket) -> concurrency.HttpServer:
    """The server of nova-api in front of `app`, with the bounds of section [api]."""
    def count() -> Mapping[str, int]:
        with parts.database.reader() as session:
            return backlog.count_by_project(session)

    api = parts.conf.api
    limits = Limits(
        head_s=api.head_timeout, rate=api.min_transfer_rate, connections_of_address=api.max_connections_per_address,
        writes=_SQLITE_WRITES if parts.database.is_sqlite else api.threads, waits=parts.waiting.limit, max_wait_s=api.max_wait)
    return concurrency.HttpServer(
        app, listener, threads=api.threads, limits=limits, policy=ApiPolicy(Backlog(count, most=api.max_queued_actions)))
