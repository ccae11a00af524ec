# SPDX-License-Identifier: Apache-2.0
"""The simulated hosts and their guests in memory, shared by the parts of the driver."""

from __future__ import annotations

import dataclasses
import threading

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.driver import PowerListener
from nova_lite.compute.virt.fake import hardware
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest


@dataclasses.dataclass
class FakeGuest:
    """One simulated guest."""

    guest: Guest
    power: Power = Power.SHUTDOWN
    console: list[str] = dataclasses.field(default_factory=list)
    snapshots: dict[str, bytes] = dataclasses.field(default_factory=dict)
    pinning: CpuPinning = NO_PINS


class FakeState:
    """All guests of all simulated hosts; safe for threads."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        count: int = conf.compute.fake_hosts
        names = [conf.host] if count == 1 else [f"{conf.host}-{number}" for number in range(1, count + 1)]
        self.inventory = tuple(hardware.inventory(conf, name) for name in names)
        self.hosts = frozenset(names)
        self.lock = threading.RLock()
        self.guests: dict[str, FakeGuest] = {}
        self.on_power: PowerListener = lambda server_id, power: None
        self._cpus = hardware.cpus(conf)

    def find(self, server_id: str) -> FakeGuest | None:
        """The guest; None: it is not defined."""
        return self.guests.get(server_id)

    def get(self, server_id: str, action: str) -> FakeGuest:
        """:raises errors.HypervisorFailed: the guest is not defined, so `action` cannot be done."""
        fake = self.guests.get(server_id)
        if fake is None:
            raise errors.HypervisorFailed(
                host=self.inventory[0].host, action=action, reason="the guest is not defined")
        return fake

    def define(self, guest: Guest) -> FakeGuest:
        """The guest with this definition; one that runs is not changed."""
        with self.lock:
            fake = self.guests.get(guest.server_id) or FakeGuest(guest)
            if fake.power is Power.SHUTDOWN:
                fake.pinning = hardware.pin(guest, fake.pinning, self._other_pinnings(guest), among=self._cpus)
                fake.guest = guest
            self.guests[guest.server_id] = fake
            return fake

    def set_power(self, fake: FakeGuest, power: Power) -> None:
        """Change the guest's power and report it."""
        fake.power = power
        self.on_power(fake.guest.server_id, power)

    def _other_pinnings(self, guest: Guest) -> list[CpuPinning]:
        """Of the other guests of its host."""
        return [other.pinning for server_id, other in self.guests.items()
                if server_id != guest.server_id and other.guest.host == guest.host]


def refused(fake: FakeGuest, action: str, reason: str) -> errors.HypervisorFailed:
    """The error of an action that the guest's state forbids."""
    return errors.HypervisorFailed(host=fake.guest.host, action=action, reason=reason)
