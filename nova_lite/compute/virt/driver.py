# SPDX-License-Identifier: Apache-2.0
"""What a compute worker needs of a hypervisor: small steps, each idempotent, that operations are made of."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from typing import BinaryIO, Protocol

from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleType, Guest, GuestPlacement, Image, Nic
from nova_lite.rpc.conductor import Inventory
from nova_lite.rpc.diagnostics import GuestDiagnostics

# Told of each guest whose power state the driver saw change: server id, new state. Must not block.
PowerSeen = Callable[[str, Power], None]
# Raises errors.StaleRequest when the work is no longer wanted.
Check = Callable[[], None]


class Driver(Protocol):
    """One worker's hypervisor. Every method may be called from any thread, for one server from one at a time; but
    `destroy`, and `stop` without patience, may also come in the middle of another, which they end.

    Done twice is done once. Each raises `errors.HypervisorFailed` with the reason, within a bounded time.
    `outlives_machine`: guests' disks survive a restart of the machine, so what is known of them must too.
    """

    outlives_machine: bool

    def open(self, on_power: PowerSeen) -> None:
        """Begin to watch guests; does not fail when the hypervisor is away, and comes back by itself."""

    def close(self) -> None:
        """Stop watching; guests go on."""

    def check(self, action: str) -> None:
        """Whether the hypervisor answers at all: for work that somebody waits for; all else may wait for it.

        :raises errors.HypervisorFailed: `action` cannot be done, as it does not answer within a few seconds.
        """

    def inventory(self) -> tuple[Inventory, ...]:
        """What each host of this worker offers."""
        ...

    def list_ours(self) -> dict[str, Power]:
        """Guests that this worker made and that the hypervisor still knows: server id to power state."""
        ...

    def power_state(self, server_id: str) -> Power:
        """NOSTATE: the hypervisor does not know the guest. SUSPENDED: its memory is saved on disk."""
        ...

    def fetch_image(self, guest: Guest, *, check: Check) -> None:
        """Have the guest's image on the host.

        :raises errors.ImageFailed: it cannot be had, or is not what it says.
        """

    def cache_image(self, image: Image) -> None:
        """Have an image on the host that no guest here has asked for yet.

        :raises errors.ImageFailed: it cannot be had, or is not what it says.
        """

    def make_disks(self, guest: Guest) -> None:
        """Make root, ephemeral and swap disks; those that are there stay as they are."""

    def keep_disks(self, server_id: str) -> None:
        """Set aside the disks of a guest that is off; asked for again, those first set aside stay."""

    def resize_disks(self, guest: Guest) -> None:
        """Make the guest's disks, as large as it says, from copies of those set aside; those that are there stay.

        :raises errors.HypervisorFailed: a disk would have to shrink.
        """

    def restore_disks(self, guest: Guest) -> None:
        """Put what was set aside in the place of what was made since; none is fine. The guest is off."""

    def discard_disks(self, server_id: str) -> None:
        """Remove what was set aside; none is fine."""

    def make_config_drive(self, guest: Guest) -> None:
        """Make the disk that carries `guest.documents`; while the guest is rescued, one of the rescue's own."""

    def define(self, guest: Guest) -> None:
        """Make the guest known to the hypervisor, powered off; a running one is left alone."""

    def start(self, guest: Guest) -> None:
        """Power on, from saved memory if there is; a running guest is left alone."""

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        """Ask to power off; pull the plug after `timeout_s`. Saved memory of a guest that is off stays."""

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        """Ask to restart; False: it did not within `timeout_s`."""
        ...

    def reboot_hard(self, guest: Guest) -> None:
        """Power off at once, forget saved memory, define anew and power on."""

    def pause(self, server_id: str) -> None:
        """Freeze the CPUs."""

    def unpause(self, server_id: str) -> None:
        """Let the CPUs go on."""

    def suspend(self, server_id: str) -> None:
        """Save the memory to disk and power off."""

    def resume(self, guest: Guest) -> None:
        """Power on from saved memory."""

    def attach_interface(self, guest: Guest, nic: Nic) -> None:
        """Put a NIC into the guest, at once if it runs; one that is not defined gets it when it is.

        Its model and limits are those that the guest's image and flavor ask for.
        """

    def detach_interface(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        """Take a NIC out of the guest; a running one must let go of it within `timeout_s`."""

    def connect_console(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002
        """A connection to a console of a running guest: RFB, or the bytes of its first serial port."""
        ...

    def clear_disks(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        """Remove the disks of a destroyed guest, so that they are made anew; its other files stay."""

    def make_rescue_disk(self, guest: Guest) -> None:
        """Make the disk that `guest.rescue` says, whose image is cached; one that is there stays as it is."""

    def remove_rescue_disk(self, server_id: str) -> None:
        """Remove it; none is fine."""

    def take_snapshot(self, guest: Guest, snapshot_id: str, *, check: Check) -> None:
        """Copy the root disk as it is at one moment, whole, as qcow2; kept until removed. It may run meanwhile."""

    def open_snapshot(self, server_id: str, snapshot_id: str) -> BinaryIO:
        """The copy's bytes, seekable; they stay readable when it is removed meanwhile."""
        ...

    def remove_snapshot(self, server_id: str, snapshot_id: str) -> None:
        """Remove the copy; none is fine."""

    def console_output(self, server_id: str) -> str:
        """What is kept of the serial console, oldest first."""
        ...

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        """What the running guest uses."""
        ...

    def placement(self, guest: Guest) -> GuestPlacement:
        """The host's CPUs and pages that the defined guest has, or will have when it is powered on."""
        ...

    def trigger_crash_dump(self, server_id: str) -> None:
        """Send an NMI: a guest that is set up for it dumps its memory."""

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        """Ask the agent inside the guest to change a user's password; refused when no agent answers."""

    def destroy(self, server_id: str) -> None:
        """Power off at once and make the hypervisor forget the guest; its disks stay."""

    def remove_disks(self, server_id: str) -> None:
        """Remove all files of the guest; it must be destroyed before."""

    def clean(self, kept: Collection[Guest]) -> None:
        """Remove half-made files, and cached images that none of the `kept` guests needs."""
