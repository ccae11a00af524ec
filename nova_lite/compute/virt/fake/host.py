# SPDX-License-Identifier: Apache-2.0
"""Simulated hosts, which always answer and have nothing to clean."""

from __future__ import annotations

from collections.abc import Collection

from nova_lite.compute.virt.driver import PowerListener
from nova_lite.compute.virt.fake.state import FakeState
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import Inventory


class FakeHost:
    """See nova_lite.compute.virt.driver.host."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def open(self, on_power: PowerListener) -> None:
        self._state.on_power = on_power

    def close(self) -> None:
        self._state.on_power = lambda server_id, power: None

    def check(self, action: str) -> None:
        """Memory always answers."""

    def inventory(self) -> tuple[Inventory, ...]:
        return self._state.inventory

    def clean(self, kept: Collection[Guest]) -> None:
        """Nothing to remove."""
