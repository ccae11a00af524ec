# SPDX-License-Identifier: Apache-2.0
"""Reports to the conductor at a steady pace that a daemon lives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from nova_lite.context import system_context
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.runtime.periodic import Periodic


class Heartbeat:
    """Sends what `report` returns, at once and then every `interval_s`; a failure is logged and tried again.

    `report` runs in the timer's thread, so a slow one delays the next beat and nothing else.
    """

    def __init__(self, conductor: ConductorRpc, report: Callable[[], ServiceReport], *, interval_s: float) -> None:
        self._conductor = conductor
        self._report = report
        self._is_first = True
        self._periodic = Periodic("heartbeat", self.beat, interval_s=interval_s)

    def start(self) -> None:
        """Send the first report soon, from the timer's thread."""
        self._periodic.start()

    def stop(self) -> None:
        """Send no more; returns when a report under way is sent."""
        self._periodic.stop()

    def beat_soon(self) -> None:
        """Do not wait for the next beat."""
        self._periodic.call_soon()

    def beat(self) -> None:
        """Send one report now."""
        self._conductor.report(system_context(), status=dataclasses.replace(self._report(), is_first=self._is_first))
        self._is_first = False
