# SPDX-License-Identifier: Apache-2.0
"""Volumes that come to guests, grow, and leave them. Disks of these methods have their `volume`."""

from __future__ import annotations

from typing import Protocol

from nova_lite.compute.virt.driver.images import Check
from nova_lite.rpc.compute import Guest
from nova_lite.values.guest_disk import GuestDisk


class VolumeDriver(Protocol):
    """See the package for what holds for every method."""

    def attach(self, guest: Guest, disk: GuestDisk) -> None:
        """Give the guest the volume as a disk, under its name if that is free on its bus: at once if it runs.

        A guest that is not defined gets it when it is.

        :raises errors.HypervisorFailed: also when the storage does not answer or refuses; the guest may have a part of it.
        """

    def detach(self, server_id: str, disk: GuestDisk, *, timeout_s: float) -> None:
        """Take the volume from the guest and drop its connection; a volume or guest that does not exist is fine.

        :raises errors.HypervisorFailed: also when the running guest does not release it within `timeout_s`, or is paused.
        """

    def resize(self, server_id: str, disk: GuestDisk, *, size_gb: int) -> None:
        """Let a running guest see that its volume is this large; one that does not run, or lacks it, is fine."""

    def snapshot(self, guest: Guest, disk: GuestDisk) -> None:
        """Let a running guest write to the file at its volume's path, an overlay on the file that it has open, as of one moment.

        A guest that does so already, does not run, or lacks the volume, is fine.

        :raises errors.HypervisorFailed: also when the volume is no file of this host.
        """

    def copy(self, guest: Guest, disk: GuestDisk, target: GuestDisk, *, check: Check) -> None:
        """Copy the volume to another connection of it, of the same size, and keep both alike until `pivot`.

        What `check` raises ends the copying. After a failure the guest has the old one alone.

        :raises errors.HypervisorFailed: also when the guest does not run.
        """

    def pivot(self, guest: Guest, disk: GuestDisk, target: GuestDisk) -> None:
        """Let the guest use the copy, and it alone; one that does is fine.

        :raises errors.HypervisorFailed: also when there is no complete copy.
        """

    def forget(self, disk: GuestDisk) -> None:
        """Drop what the host keeps for the connection of a guest that is gone; nothing is fine."""

    def attached(self) -> dict[str, frozenset[str]]:
        """Ids of the volumes that each guest of this worker has, by server id."""
        ...
