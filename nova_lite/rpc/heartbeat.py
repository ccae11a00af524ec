# SPDX-License-Identifier: Apache-2.0
"""Says at a steady pace that a daemon lives, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Heartbeat:
    """Calls `send` at once and then every `interval_s` seconds; an error is logged and the beat goes on."""

    def __init__(self, interval_s: float, send: Callable[[], None]) -> None:
        self._interval_s, self._send = interval_s, send
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def beat_now(self) -> None:
        """Do not wait for the next beat."""
        self._wake.set()

    def _loop(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            try:
                self._send()
            except Exception:  # noqa: BLE001 - a beat that stops would take the host out of service
                LOG.exception("heartbeat could not be sent")
            self._wake.wait(self._interval_s)
