# SPDX-License-Identifier: Apache-2.0
"""Calls a function periodically from a thread of its own: heartbeats, reconcilers, lease renewal."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Periodic:
    """Calls `work` at once and then `interval_s` after each end; an error is logged and the next call comes.

    `settle_s`: how long after `call_soon` the call waits, so that simultaneous requests are served by one call.
    """

    def __init__(self, name: str, work: Callable[[], None], *, interval_s: float, settle_s: float = 0.0) -> None:
        self._name, self._work, self._interval_s, self._settle_s = name, work, interval_s, settle_s
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Returns at once; the first call comes from the thread."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """No more calls begin; waits for one under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=timeout_s)

    def call_soon(self) -> None:
        """Make the next call at once."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._work()
            except Exception:  # whatever broke, the next call may succeed
                LOG.exception("%s failed", self._name)
            if not self._stopping.is_set() and self._wake.wait(self._interval_s):
                self._stopping.wait(self._settle_s)
