# SPDX-License-Identifier: Apache-2.0
"""The look after the host goes on whatever happens, until it is told to end."""

from __future__ import annotations

import threading

from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records
from nova_lite.network.repair import Caretaker


class Frail(FakeNetwork):
    """Fails the first time."""

    def __init__(self) -> None:
        super().__init__(Records(None))
        self.looks = 0
        self.enough = threading.Event()

    def heal(self) -> None:
        self.looks += 1
        if self.looks == 1:
            raise OSError("no such device")
        self.enough.set()


def test_a_failed_look_is_followed_by_another() -> None:
    driver = Frail()
    caretaker = Caretaker(driver, interval_s=0.001)

    caretaker.start()
    assert driver.enough.wait(5)
    caretaker.stop()

    assert not any(thread.name == "network-caretaker" for thread in threading.enumerate())
