# SPDX-License-Identifier: Apache-2.0
"""Requests whose reply waits for a worker: how many a process has at once, and when the action of one has ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.db.compute import actions
from nova_lite.db.engine import Database

LOG = logging.getLogger(__name__)
# An action that was cancelled or failed, or whose end was reported while the bus was away, is noticed after so long.
FALLBACK_S = 0.5
# How long the first request that waits lets the bus take to begin its reports.
_START_S = 1.0


class Server(Protocol):
    """A running RPC server."""

    def stop(self) -> None: ...

    def wait(self) -> None: ...


class WaitingRequests:
    """Endpoint of ApiRpc, one per process; it listens from the first request that waits on.

    `limit` requests may wait at once, so that workers which do not answer leave threads for all other requests.
    """

    def __init__(
        self, database: Database, serve: Callable[[object], Server], *, limit: int, fallback_s: float = FALLBACK_S,
    ) -> None:
        self._database = database
        self._serve = serve
        self._fallback_s = fallback_s
        self.limit = limit
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._waiters: dict[int, set[threading.Event]] = {}
        self._listening = threading.Event()
        self._starter: threading.Thread | None = None
        self._server: Server | None = None

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Count as a waiting request.

        :raises errors.TooBusy: as many as may are waiting.
        """
        if not self._slots.acquire(blocking=False):
            raise errors.TooBusy(reason="Too many requests wait for compute hosts; try again shortly.")
        try:
            yield
        finally:
            self._slots.release()

    def wait_for_end(self, action_id: int | None, *, deadline: float) -> tuple[str, str | None] | None:
        """State and message of the action once it has ended; None: it had not by `deadline` (of time.monotonic).

        `action_id` None: an action without a row, which is waited for FALLBACK_S.
        """
        if action_id is None:
            time.sleep(max(0.0, min(self._fallback_s, deadline - time.monotonic())))
            return None
        self._listen()
        with self._waiter(action_id) as report:
            while True:
                with self._database.reader() as session:
                    state, message = actions.outcome(session, action_id)
                if state not in actions.OPEN:
                    return state, message
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    return None
                report.wait(min(remaining_s, self._fallback_s))
                report.clear()

    def action_ended(self, ctxt: Context, *, action_id: int) -> None:  # noqa: ARG002 - the contract's shape
        with self._lock:
            for report in self._waiters.get(action_id, ()):
                report.set()

    def has_waiters(self, action_id: int) -> bool:
        """Whether any request of this process waits for the action."""
        with self._lock:
            return action_id in self._waiters

    def stop(self) -> None:
        """Listen no more."""
        if self._starter is not None:
            self._starter.join(_START_S)
        if self._server is not None:
            self._server.stop()
            self._server.wait()

    @contextlib.contextmanager
    def _waiter(self, action_id: int) -> Iterator[threading.Event]:
        report = threading.Event()
        with self._lock:
            self._waiters.setdefault(action_id, set()).add(report)
        try:
            yield report
        finally:
            with self._lock:
                self._waiters[action_id].discard(report)
                if not self._waiters[action_id]:
                    del self._waiters[action_id]

    def _listen(self) -> None:
        """Have reports come, from a thread of its own: without a broker, oslo.messaging blocks until one is there."""
        with self._lock:
            if self._starter is None:
                self._starter = threading.Thread(target=self._start, name="action-reports", daemon=True)
                self._starter.start()
        self._listening.wait(_START_S)

    def _start(self) -> None:
        try:
            self._server = self._serve(self)
        except Exception:  # the rows are then read every FALLBACK_S
            LOG.exception("reports of ended actions cannot be received")
        self._listening.set()
