# SPDX-License-Identifier: Apache-2.0
"""Power of simulated guests."""

from __future__ import annotations

from nova_lite.compute.virt.fake.state import FakeGuest, FakeState, refused
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest


class FakePower:
    """See nova_lite.compute.virt.driver.power."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def state(self, server_id: str) -> Power:
        fake = self._state.find(server_id)
        return fake.power if fake else Power.NOSTATE

    def start(self, guest: Guest) -> None:
        fake = self._state.define(guest)
        if fake.power not in (Power.RUNNING, Power.PAUSED):
            if fake.power is not Power.SUSPENDED:
                _boot(fake)
            self._state.set_power(fake, Power.RUNNING)

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        fake = self._state.get(server_id, "stop")
        if fake.power not in (Power.SHUTDOWN, Power.SUSPENDED):
            self._state.set_power(fake, Power.SHUTDOWN)

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        fake = self._state.get(server_id, "reboot")
        if fake.power is not Power.RUNNING:
            return False
        _boot(fake)
        return True

    def reboot_hard(self, guest: Guest) -> None:
        fake = self._state.define(guest)
        fake.guest = guest
        _boot(fake)
        self._state.set_power(fake, Power.RUNNING)

    def pause(self, server_id: str) -> None:
        self._change(server_id, "pause", before=Power.RUNNING, after=Power.PAUSED)

    def unpause(self, server_id: str) -> None:
        self._change(server_id, "unpause", before=Power.PAUSED, after=Power.RUNNING)

    def suspend(self, server_id: str) -> None:
        fake = self._state.get(server_id, "suspend")
        if fake.power is Power.PAUSED:
            self._state.set_power(fake, Power.RUNNING)
        self._change(server_id, "suspend", before=Power.RUNNING, after=Power.SUSPENDED)

    def resume(self, guest: Guest) -> None:
        self.start(guest)

    def trigger_crash_dump(self, server_id: str) -> None:
        fake = self._state.get(server_id, "send an NMI to the guest")
        if fake.power not in (Power.RUNNING, Power.PAUSED):
            raise refused(fake, "send an NMI to the guest", "the guest is not running")
        fake.console.append("Uhhuh. NMI received for unknown reason 21 on CPU 0.")

    def power_off_from_inside(self, server_id: str) -> None:
        """For tests, what a user in the guest may do: power off without any action of the worker."""
        self._state.set_power(self._state.get(server_id, "power off"), Power.SHUTDOWN)

    def _change(self, server_id: str, action: str, *, before: Power, after: Power) -> None:
        fake = self._state.get(server_id, action)
        if fake.power is after:
            return
        if fake.power is not before:
            raise refused(fake, action, f"the guest is {fake.power.name.lower()}")
        self._state.set_power(fake, after)


def _boot(fake: FakeGuest) -> None:
    """A console as a small Linux guest leaves it; each boot starts a new log."""
    name = fake.guest.hostname
    fake.console = [
        "Linux version 6.1.0 (nova_lite fake guest)",
        f"{name}: instance {fake.guest.server_id} on host {fake.guest.host}",
        f"{name} login:",
    ]
