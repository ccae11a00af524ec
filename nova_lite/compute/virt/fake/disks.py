# SPDX-License-Identifier: Apache-2.0
"""Images, disks, NICs and snapshots of simulated guests, none of which exists anywhere."""

from __future__ import annotations

import dataclasses
import io
from typing import BinaryIO

from nova_lite import errors
from nova_lite.compute.virt import rescue
from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.fake.state import FakeState, refused
from nova_lite.rpc.compute import Guest, Image, Nic
from nova_lite.values import guest_disk
from nova_lite.worker.images.empty_qcow2 import empty_qcow2


class FakeImages:
    """See nova_lite.compute.virt.driver.images."""

    def fetch(self, guest: Guest, *, check: Check) -> None:
        check()

    def cache(self, image: Image) -> None:
        """Nothing to download."""


class FakeDisks:
    """See nova_lite.compute.virt.driver.disks."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def owners(self) -> frozenset[str]:
        return frozenset(self._state.guests)

    def make(self, guest: Guest) -> None:
        if guest.host not in self._state.hosts:
            raise errors.HypervisorFailed(host=guest.host, action="make disks", reason="this worker has no such host")

    def make_config_drive(self, guest: Guest) -> None:
        """Nothing to make."""

    def clear(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        """Nothing to remove."""

    def remove(self, server_id: str) -> None:
        """Nothing to remove."""

    def make_rescue(self, guest: Guest) -> None:
        assert guest.rescue is not None
        rescue.device_of(guest.rescue, arch="x86_64", host=guest.host)

    def remove_rescue(self, server_id: str) -> None:
        """Nothing to remove."""

    def set_aside(self, server_id: str) -> None:
        """Nothing to keep."""

    def resize(self, guest: Guest) -> None:
        fake = self._state.find(guest.server_id)
        if fake is not None:
            fake.guest = guest

    def restore(self, guest: Guest) -> None:
        self.resize(guest)

    def discard(self, server_id: str) -> None:
        """Nothing to remove."""


class FakeNics:
    """See nova_lite.compute.virt.driver.nics."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def attach(self, guest: Guest, nic: Nic) -> None:
        self._set(guest.server_id, nic, (nic,))

    def detach(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        self._set(server_id, nic, ())

    def _set(self, server_id: str, nic: Nic, replacement: tuple[Nic, ...]) -> None:
        with self._state.lock:
            fake = self._state.find(server_id)
            if fake is not None:
                others = tuple(other for other in fake.guest.nics if other.port_id != nic.port_id)
                fake.guest = dataclasses.replace(fake.guest, nics=(*others, *replacement))


class FakeSnapshots:
    """See nova_lite.compute.virt.driver.snapshots."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def take(self, guest: Guest, snapshot_id: str, *, check: Check) -> None:
        check()
        fake = self._state.get(guest.server_id, "make a snapshot")
        if not guest_disk.image_is_used(guest.disks):
            raise refused(fake, "make a snapshot", "the guest boots from a volume, whose snapshots its storage makes")
        fake.snapshots[snapshot_id] = empty_qcow2((guest_disk.root_size_mb(guest.disks) or 1024) << 20)

    def open(self, server_id: str, snapshot_id: str) -> BinaryIO:
        fake = self._state.get(server_id, "read a snapshot")
        content = fake.snapshots.get(snapshot_id)
        if content is None:
            raise refused(fake, "read a snapshot", "there is no such copy")
        return io.BytesIO(content)

    def remove(self, server_id: str, snapshot_id: str) -> None:
        fake = self._state.find(server_id)
        if fake is not None:
            fake.snapshots.pop(snapshot_id, None)

    def list(self, server_id: str) -> list[str]:
        """For tests: the copies that are kept."""
        return sorted(self._state.get(server_id, "list snapshots").snapshots)
