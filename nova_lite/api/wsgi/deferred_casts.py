# SPDX-License-Identifier: Apache-2.0
"""Sends the casts of requests once their transaction is committed; while the broker is away, they are queued and no request waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import oslo_messaging as messaging
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
Cast = Callable[[], None]
MAX_QUEUED = 10_000
_RETRY_INTERVAL_S = 1.0


class DeferredCasts:
    """Casts, in their order. One that finds no broker is queued until the broker is back, and so are all that follow.

    `limit_s`: a request waits so long for the broker to take its cast, which a thread of this class sends; None: for a bus
    that cannot hang, the request's own thread sends. The queue is in memory: casts that are lost with the process are
    sent again by the reconcilers.
    """

    def __init__(self, *, retry_interval_s: float = _RETRY_INTERVAL_S, limit_s: float | None = None) -> None:
        self._retry_interval_s = retry_interval_s
        self._limit_s = limit_s
        self._changed = threading.Condition()
        self._queue: deque[tuple[Cast, str, threading.Event]] = deque()
        self._sender: threading.Thread | None = None
        self._is_hanging = False

    def send(self, cast: Cast, *, request_id: str) -> None:
        """Send it now, or queue it. It raises nothing: the rows that it concerns are committed."""
        if self._limit_s is None and not self._queue:
            try:
                cast()
                return
            except messaging.MessageDeliveryFailure:
                LOG.warning("request %s: the broker does not accept messages; casts queued", request_id)
            except Exception:
                LOG.exception("request %s: a cast was not sent; a reconciler will send it again", request_id)
                return
        tried = self._enqueue(cast, request_id)
        if self._limit_s is None or tried is None or self._is_hanging:
            return
        if not tried.wait(self._limit_s):
            self._is_hanging = True
            LOG.warning("request %s: the broker does not take messages; casts queued", request_id)

    def _enqueue(self, cast: Cast, request_id: str) -> threading.Event | None:
        """The event of the first attempt to send it; None: the queue is full."""
        tried = threading.Event()
        with self._changed:
            if len(self._queue) >= MAX_QUEUED:
                LOG.error("request %s: the queue of casts is full; a reconciler will send this one again", request_id)
                return None
            self._queue.append((cast, request_id, tried))
            if self._sender is None:
                self._sender = threading.Thread(target=self._send_queued, name="deferred-casts", daemon=True)
                self._sender.start()
            self._changed.notify()
        return tried

    def _send_queued(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                cast, request_id, tried = self._queue[0]
            try:
                cast()
                self._is_hanging = False
            except messaging.MessageDeliveryFailure:
                tried.set()
                self._is_hanging = True
                time.sleep(self._retry_interval_s)
                continue
            except Exception:
                LOG.exception("request %s: a cast was not sent; a reconciler will send it again", request_id)
            with self._changed:
                self._queue.popleft()
            tried.set()
