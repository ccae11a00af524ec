# SPDX-License-Identifier: Apache-2.0
"""A worker's sign of life: one timer thread that reports to the conductor again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oslo_log import log as logging

from nova_lite.context import system_context
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport

LOG = logging.getLogger(__name__)


class Heartbeat:
    """Sends what `report` returns, at once and then every `interval_s`; a failure is logged and tried again.

    `report` runs in the timer's thread, so a slow one delays the next beat and nothing else.
    """

    def __init__(self, conductor: ConductorRpc, report: Callable[[], ServiceReport], *, interval_s: float) -> None:
        self._conductor = conductor
        self._report = report
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Send the first report soon, from the timer's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; returns when a report under way is sent."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._interval_s)

    def beat(self) -> None:
        """Report now, in the caller's thread."""
        try:
            self._conductor.report(system_context(), status=self._report())
        except Exception:
            LOG.exception("heartbeat: could not report; trying again in %s s", self._interval_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.beat()
            self._stopped.wait(self._interval_s)
