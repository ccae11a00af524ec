# SPDX-License-Identifier: Apache-2.0
"""Volumes of simulated guests: written down, and reachable by every kind of connection."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.fake.state import FakeState, refused
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import GuestDisk


class FakeVolumes:
    """See nova_lite.compute.virt.driver.volumes."""

    def __init__(self, state: FakeState) -> None:
        self._state = state
        self.switched: list[str] = []  # for tests: whose files guests were given in place of those of snapshots

    def attach(self, guest: Guest, disk: GuestDisk) -> None:
        with self._state.lock:
            fake = self._state.find(guest.server_id)
            if fake is not None:
                fake.guest = dataclasses.replace(fake.guest, disks=guest_disk.with_volume(fake.guest.disks, disk))

    def detach(self, server_id: str, disk: GuestDisk, *, timeout_s: float) -> None:
        assert disk.volume is not None
        with self._state.lock:
            fake = self._state.find(server_id)
            if fake is not None:
                if fake.power is Power.PAUSED:
                    raise refused(fake, "detach a device", "the guest is paused, and releases nothing until it runs")
                left = guest_disk.without_volume(fake.guest.disks, disk.volume.attachment_id)
                fake.guest = dataclasses.replace(fake.guest, disks=left)

    def resize(self, server_id: str, disk: GuestDisk, *, size_gb: int) -> None:
        """Nothing to resize: the guest has no bytes."""

    def snapshot(self, guest: Guest, disk: GuestDisk) -> None:
        assert disk.volume is not None
        self.switched.append(disk.volume.volume_id)

    def copy(self, guest: Guest, disk: GuestDisk, target: GuestDisk, *, check: Check) -> None:
        check()
        if self._state.get(guest.server_id, "copy a volume").power is not Power.RUNNING:
            raise refused(self._state.get(guest.server_id, "copy a volume"), "copy a volume", "the guest does not run, or has no such volume")

    def pivot(self, guest: Guest, disk: GuestDisk, target: GuestDisk) -> None:
        with self._state.lock:
            fake = self._state.get(guest.server_id, "use the copy of a volume")
            fake.guest = dataclasses.replace(fake.guest, disks=guest_disk.replaced(fake.guest.disks, disk, target))

    def forget(self, disk: GuestDisk) -> None:
        """Nothing is kept."""

    def attached(self) -> dict[str, frozenset[str]]:
        with self._state.lock:
            return {server_id: frozenset(disk.volume.volume_id for disk in fake.guest.disks if disk.volume)
                    for server_id, fake in self._state.guests.items()}
