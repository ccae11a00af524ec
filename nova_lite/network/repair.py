# SPDX-License-Identifier: Apache-2.0
"""A look at the host every few seconds: what died or was flushed behind the worker's back is made again."""

from __future__ import annotations

import threading

from oslo_log import log as logging

from nova_lite.network.driver import NetworkDriver

LOG = logging.getLogger(__name__)


class Caretaker:
    """Calls the driver's `heal` every `interval_s` from one thread; a failure is logged and tried again."""

    def __init__(self, driver: NetworkDriver, *, interval_s: float) -> None:
        self._driver = driver
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="network-caretaker", daemon=True)

    def start(self) -> None:
        """Look for the first time after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when a look under way is over."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self._driver.heal()
            except Exception:  # noqa: BLE001 - whatever is wrong now, the next look must come
                LOG.exception("network: could not repair the host; trying again in %s s", self._interval_s)
