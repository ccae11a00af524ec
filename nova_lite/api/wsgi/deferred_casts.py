# SPDX-License-Identifier: Apache-2.0
"""Sends what requests cast once their transaction is committed; while the broker is away, nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import oslo_messaging as messaging
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
Call = Callable[[], None]
MOST_WAITING = 10_000
_PAUSE_S = 1.0


class DeferredCasts:
    """Casts, in their order. One that finds no broker is sent when that is back, and so are all that come meanwhile.

    They wait in memory: what a process takes with it when it dies, the reconcilers make up for.
    """

    def __init__(self, *, pause_s: float = _PAUSE_S) -> None:
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Call, str]] = deque()

    def send(self, call: Call, *, request_id: str) -> None:
        """Call it now, or soon. It raises nothing: what it is about is committed."""
        if not self._waiting:
            try:
                call()
                return
            except messaging.MessageDeliveryFailure:
                LOG.warning("request %s: the broker takes nothing now; what it is to tell others waits", request_id)
            except Exception:
                LOG.exception("request %s: the hint was not sent; the reconciler will make up for it", request_id)
                return
        self._keep(call, request_id)

    def _keep(self, call: Call, request_id: str) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                LOG.error("request %s: too much waits for the broker; the reconciler will make up for it", request_id)
                return
            self._waiting.append((call, request_id))
            is_first = len(self._waiting) == 1
        if is_first:
            threading.Thread(target=self._send_all, name="late-calls", daemon=True).start()

    def _send_all(self) -> None:
        while True:
            call, request_id = self._waiting[0]
            try:
                call()
            except messaging.MessageDeliveryFailure:
                time.sleep(self._pause_s)
                continue
            except Exception:
                LOG.exception("request %s: the hint was not sent; the reconciler will make up for it", request_id)
            with self._lock:
                self._waiting.popleft()
                if not self._waiting:
                    return
