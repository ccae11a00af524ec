# SPDX-License-Identifier: Apache-2.0
"""The periodic repair goes on whatever happens, until it is stopped."""

from __future__ import annotations

import threading

from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records
from nova_lite.network.repair import PeriodicRepair


class FailsOnce(FakeNetwork):
    """The first resync fails."""

    def __init__(self) -> None:
        super().__init__(Records(None))
        self.resyncs = 0
        self.is_repaired = threading.Event()

    def resync(self) -> None:
        self.resyncs += 1
        if self.resyncs == 1:
            raise OSError("no such device")
        self.is_repaired.set()


def test_a_failed_repair_is_followed_by_another() -> None:
    driver = FailsOnce()
    repair = PeriodicRepair(driver, interval_s=0.001)

    repair.start()
    assert driver.is_repaired.wait(5)
    repair.stop()

    assert not any(thread.name == "network-repair" for thread in threading.enumerate())
