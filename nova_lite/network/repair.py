# SPDX-License-Identifier: Apache-2.0
"""The periodic repair: what died or was flushed on the host since is made again."""

from __future__ import annotations

import threading

from oslo_log import log as logging

from nova_lite.network.driver import NetworkDriver

LOG = logging.getLogger(__name__)


class PeriodicRepair:
    """Calls the driver's `resync` every `interval_s` from one thread; a failure is logged and retried."""

    def __init__(self, driver: NetworkDriver, *, interval_s: float) -> None:
        self._driver = driver
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="network-repair", daemon=True)

    def start(self) -> None:
        """Repair for the first time after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """No repair begins any more; returns when one under way is over."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self._driver.resync()
            except Exception:  # whatever is wrong now, the next repair must come
                LOG.exception("network: could not repair the host; trying again in %s s", self._interval_s)
