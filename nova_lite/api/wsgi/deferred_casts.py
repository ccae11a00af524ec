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

    The queue is in memory: casts that are lost with the process are sent again by the reconcilers.
    """

    def __init__(self, *, retry_interval_s: float = _RETRY_INTERVAL_S) -> None:
        self._retry_interval_s = retry_interval_s
        self._lock = threading.Lock()
        self._queue: deque[tuple[Cast, str]] = deque()

    def send(self, cast: Cast, *, request_id: str) -> None:
        """Send it now, or queue it. It raises nothing: the rows that it concerns are committed."""
        if not self._queue:
            try:
                cast()
                return
            except messaging.MessageDeliveryFailure:
                LOG.warning("request %s: the broker does not accept messages; casts queued", request_id)
            except Exception:
                LOG.exception("request %s: a cast was not sent; a reconciler will send it again", request_id)
                return
        self._enqueue(cast, request_id)

    def _enqueue(self, cast: Cast, request_id: str) -> None:
        with self._lock:
            if len(self._queue) >= MAX_QUEUED:
                LOG.error("request %s: the queue of casts is full; a reconciler will send this one again", request_id)
                return
            self._queue.append((cast, request_id))
            is_first = len(self._queue) == 1
        if is_first:
            threading.Thread(target=self._send_queued, name="deferred-casts", daemon=True).start()

    def _send_queued(self) -> None:
        while True:
            cast, request_id = self._queue[0]
            try:
                cast()
            except messaging.MessageDeliveryFailure:
                time.sleep(self._retry_interval_s)
                continue
            except Exception:
                LOG.exception("request %s: a cast was not sent; a reconciler will send it again", request_id)
            with self._lock:
                self._queue.popleft()
                if not self._queue:
                    return
