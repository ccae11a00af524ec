# SPDX-License-Identifier: Apache-2.0
"""Simulated guests: listed, defined, looked at, destroyed."""

from __future__ import annotations

from nova_lite.compute.virt.fake import diagnostics, hardware
from nova_lite.compute.virt.fake.state import FakeState, refused
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.diagnostics import GuestDiagnostics


class FakeGuests:
    """See nova_lite.compute.virt.driver.guests."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def list_ours(self) -> dict[str, Power]:
        with self._state.lock:
            return {server_id: fake.power for server_id, fake in self._state.guests.items()}

    def define(self, guest: Guest) -> None:
        self._state.define(guest)

    def destroy(self, server_id: str) -> None:
        with self._state.lock:
            self._state.guests.pop(server_id, None)

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        return diagnostics.of(self._state.get(guest.server_id, "read diagnostics").guest)

    def placement(self, guest: Guest) -> GuestPlacement:
        fake = self._state.get(guest.server_id, "read a guest's placement")
        return hardware.placement(fake.guest, fake.pinning)

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        fake = self._state.get(server_id, "set a password")
        if fake.power is not Power.RUNNING:
            raise refused(fake, "set a password", "the guest is not running")
        fake.console.append(f"password of {user} changed by the guest agent")

    def find(self, server_id: str) -> Guest:
        """For tests: the guest as it is defined."""
        return self._state.get(server_id, "find the guest").guest
