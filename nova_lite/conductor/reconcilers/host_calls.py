# SPDX-License-Identifier: Apache-2.0
"""Calls hosts side by side, so that one that is dead or hangs delays no other."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Mapping

from oslo_log import log as logging

LOG = logging.getLogger(__name__)
# Threads that wait for hosts. A host that is silent is down, and not called any more, after [DEFAULT] service_down_time.
AT_ONCE = 16
# So long a round waits for its hosts; those that have not answered by then are left out of the next one.
ROUND_S = 5.0


class HostCalls:
    """The calls of one reconciler. Each host is called by one thread at a time, also when a round ends before it has answered.

    `owns(host)`: whether this conductor is to call it, and no other.
    """

    def __init__(
        self, *, at_once: int = AT_ONCE, round_s: float = ROUND_S, owns: Callable[[str], bool] = lambda host: True,
    ) -> None:
        self.owns = owns
        self._at_once, self._round_s = at_once, round_s
        self._queue: collections.deque[tuple[str, Callable[[], None]]] = collections.deque()
        self._changed = threading.Condition()
        self._busy: set[str] = set()
        self._threads = 0

    def run(self, calls: Mapping[str, Callable[[], None]]) -> None:
        """Make the calls, by host; returns when all that could be made have ended, or the round is over."""
        with self._changed:
            free = [host for host in calls if host not in self._busy]
            self._busy.update(free)
            for host in free:
                self._queue.append((host, calls[host]))
            while self._threads < min(self._at_once, len(self._busy)):
                self._threads += 1
                threading.Thread(target=self._work, name=f"host-calls-{self._threads}", daemon=True).start()
            deadline = time.monotonic() + self._round_s
            while not self._busy.isdisjoint(free) and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def _work(self) -> None:
        while (queued := self._next()) is not None:
            host, call = queued
            try:
                call()
            except Exception:  # whatever broke, the next round may succeed
                LOG.exception("host %s could not be compared", host)
            with self._changed:
                self._busy.discard(host)
                self._changed.notify_all()

    def _next(self) -> tuple[str, Callable[[], None]] | None:
        """The next call; None: there is none, and the thread ends, since nobody ends these calls."""
        with self._changed:
            if self._queue:
                return self._queue.popleft()
            self._threads -= 1
            return None
