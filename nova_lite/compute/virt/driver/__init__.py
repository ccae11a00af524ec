# SPDX-License-Identifier: Apache-2.0
"""What a compute worker needs of a hypervisor: a driver is a set of parts, each with one contract.

Contract of every part: a method may be called from any thread, for one server from one thread at a time; only
`guests.destroy` and `power.stop` with no timeout may also be called while another method works on the server, and end
it. Every method is idempotent: a second call with the same arguments leaves the host as the first did. Every method
returns or raises within a bounded time, and raises `errors.HypervisorFailed` with the reason when it cannot be done.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from nova_lite.compute.virt.driver.consoles import ConsoleDriver
from nova_lite.compute.virt.driver.disks import DiskDriver
from nova_lite.compute.virt.driver.guests import GuestDriver
from nova_lite.compute.virt.driver.host import HostDriver, PowerListener
from nova_lite.compute.virt.driver.images import Check, ImageDriver
from nova_lite.compute.virt.driver.nics import NicDriver
from nova_lite.compute.virt.driver.power import PowerDriver
from nova_lite.compute.virt.driver.snapshots import SnapshotDriver
from nova_lite.compute.virt.driver.volumes import VolumeDriver

__all__ = [
    "Capabilities", "Check", "ConsoleDriver", "DiskDriver", "Driver", "GuestDriver", "HostDriver", "ImageDriver",
    "NicDriver", "PowerDriver", "PowerListener", "SnapshotDriver", "VolumeDriver",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capabilities:
    """In what drivers differ.

    `keeps_disks`: guests' disks are files, which survive a restart of the machine, so the worker's records must too.
    `needs_guest_agent`: a password is set by an agent in the guest; else each guest takes one.
    """

    keeps_disks: bool
    needs_guest_agent: bool


class Driver(Protocol):
    """One worker's hypervisor."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def host(self) -> HostDriver: ...

    @property
    def guests(self) -> GuestDriver: ...

    @property
    def power(self) -> PowerDriver: ...

    @property
    def images(self) -> ImageDriver: ...

    @property
    def disks(self) -> DiskDriver: ...

    @property
    def nics(self) -> NicDriver: ...

    @property
    def consoles(self) -> ConsoleDriver: ...

    @property
    def snapshots(self) -> SnapshotDriver: ...

    @property
    def volumes(self) -> VolumeDriver: ...
