# SPDX-License-Identifier: Apache-2.0
"""What other services may request of a compute worker, and the description of a guest that it works from."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from nova_lite.context import Context
from nova_lite.rpc.audit import AuditReport
from nova_lite.rpc.diagnostics import GuestDiagnostics
from nova_lite.rpc.interface import Interface, call, cast
from nova_lite.rpc.network import digest_of
from nova_lite.rpc.order import Order
from nova_lite.rpc.payload import payload
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import GuestDisk
from nova_lite.values.instance_metadata import DevicePlace


class ConsoleType(StrEnum):
    """Consoles that users may open; the words are Nova's."""

    NOVNC = "novnc"
    SERIAL = "serial"


class RebootType(StrEnum):
    SOFT = "SOFT"
    HARD = "HARD"


@payload(version=1)
class Image:
    """The image to boot: where its bytes are and what they must hash to.

    `url` answers GET with the bytes to a request with header X-Auth-Token `token` (short-lived).
    `checksum` is the lower-case hex of `hash_algo` (sha512) over them; `size` in bytes.
    """

    id: str
    disk_format: str
    size: int
    hash_algo: str
    checksum: str
    url: str
    token: str
    properties: dict[str, str]

    @classmethod
    def of_volume(cls, properties: dict[str, str]) -> Image:
        """Of a guest whose root disk is a volume: no bytes, but the properties that say what hardware the guest has."""
        return cls(id="", disk_format="", size=0, hash_algo="", checksum="", url="", token="", properties=properties)


@payload(version=1)
class ImageUpload:
    """Where an image's bytes go: `url` takes PUT with header X-Auth-Token `token` (short-lived)."""

    id: str
    url: str
    token: str


@payload(version=1)
class Nic:
    port_id: str
    mac: str
    tap: str
    bridge: str
    mtu: int


@payload(version=4)
class Guest:
    """One server as its host must run it. `host` names the (simulated or real) host of the worker.

    `documents` is the metadata tree for the config drive: path to text; the drive is made if `config_drive`.
    `disks`: its own, in the order in which it sees them, volumes too. `image`: of one that has no disk of an image, only the
    properties count, see `Image.of_volume`. `rescue`: the image that it boots while it is rescued.
    """

    server_id: str
    host: str
    instance_name: str
    display_name: str
    hostname: str
    vcpus: int
    ram_mb: int
    disks: tuple[GuestDisk, ...]
    image: Image
    nics: tuple[Nic, ...]
    config_drive: bool
    documents: dict[str, str]
    extra_specs: dict[str, str]
    project_id: str
    user_id: str
    rescue: Image | None = None

    upgrade = staticmethod(guest_disk.upgrade)


@payload(version=1)
class ConsoleAddress:
    """Where a host lets console proxies in."""

    host: str
    port: int


@payload(version=3)
class GuestSize:
    """What a resize changes of a `Guest`; the fields mean the same there. Volumes in `disks` do not count: those that it has stay."""

    vcpus: int
    ram_mb: int
    disks: tuple[GuestDisk, ...]
    extra_specs: dict[str, str]

    upgrade = staticmethod(guest_disk.upgrade)


@payload(version=3)
class GuestPlacement:
    """Where a guest lies on its host: `pins` the host's CPU for each of the guest's that has its own (by number as text).

    `nodes`: the host's NUMA node of each of those CPUs, by the guest's. `page_kib`: size of its memory's pages.
    `nics`: the PCI address in the guest of each NIC that has one, by its MAC address. `disks`: where in the guest each
    disk is, by its serial number.
    """

    pins: dict[str, int]
    nodes: dict[str, int]
    page_kib: int
    nics: dict[str, str] = dataclasses.field(default_factory=dict)
    disks: dict[str, DevicePlace] = dataclasses.field(default_factory=dict)


@payload(version=2)
class OwnedGuests:
    """What a compute worker has made and not yet removed: server ids, for comparison with the rows.

    `is_as_expected`: the servers are those of the digest that was sent, and are left out.
    """

    server_ids: tuple[str, ...]
    is_as_expected: bool = False

    @property
    def digest(self) -> str:
        """The same for the same servers only."""
        return digest_of(self.server_ids)


@payload(version=2)
class GuestAudit:
    """A page of the servers that a compute worker has made and not yet removed, by id. `powers`: of their guests, as PowerState has them.

    `next`: what the next page comes after; empty: this is the last one. `found`: what the worker found on its host, with the first page.
    `attachments`: ids of the attachments of the page's servers that have volumes, as the worker has recorded them.
    """

    server_ids: tuple[str, ...] = ()
    powers: dict[str, int] = dataclasses.field(default_factory=dict)
    found: AuditReport = AuditReport()
    next: str = ""
    attachments: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


class ComputeRpc(Interface):
    """What other services may request of a compute worker.

    Casts with an `order` are steps of actions: done in that order for each server, once however often they come, and
    answered by ConductorRpc.report_step. Version 2 brought the order; workers of version 1 refuse these methods, and
    actions wait for their upgrade. Those about an attachment or a volume are in an order of their own, not in the server's.
    """

    topic, version = "compute", "2.2"

    @cast(since="2.0")
    def build(self, ctxt: Context, *, order: Order, guest: Guest) -> None:
        """Make the guest run: image, disks, config drive, domain. A failure leaves nothing behind on the host."""

    @cast(since="2.0")
    def destroy(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """End the guest and remove all it has on this host. A server that is not there is fine."""

    @call(since="2.0", timeout_s=10)
    def console_output(self, ctxt: Context, *, server_id: str, length: int | None) -> str:
        """The last `length` lines (None: all kept) of the guest's serial console."""
        ...

    @call(since="2.0", timeout_s=10)
    def open_console(self, ctxt: Context, *, server_id: str, type: ConsoleType, token_hash: str, ttl_s: int) -> ConsoleAddress:  # noqa: A002
        """Accept, for `ttl_s` seconds, the token whose SHA-256 in hex is `token_hash`.

        :raises errors.Conflict: the guest is not running. :raises errors.Unavailable: this host has no consoles.
        """
        ...

    @call(since="2.1", timeout_s=10)
    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedGuests:
        """What this worker has, for comparison with the rows: nothing more than that, if it has what the digest is of."""
        ...

    @call(since="2.1", timeout_s=10)
    def owned_among(self, ctxt: Context, *, server_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the servers that this worker has made and not yet removed."""
        ...

    @call(since="2.1", timeout_s=30, monitor_s=10)
    def audit_host(self, ctxt: Context, *, after: str) -> GuestAudit:
        """What this worker has after that id, and on its first page what disagrees between its records and its host.

        :raises errors.HypervisorFailed: the hypervisor does not answer.
        """
        ...

    @call(since="2.0", timeout_s=5)
    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        """Those of the orders that are under way here; all others are to be sent again: done, they are reported again."""
        ...

    @cast(since="2.0")
    def start(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Power the guest on."""

    @cast(since="2.0")
    def stop(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Shut the guest down by ACPI; cut its power after `[compute] shutdown_timeout`."""

    @cast(since="2.0")
    def reboot(self, ctxt: Context, *, server_id: str, order: Order, reboot_type: RebootType) -> None:
        """SOFT: by ACPI, with a deadline, then as HARD. HARD: power cycle with a fresh domain."""

    @cast(since="2.0")
    def pause(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Freeze the guest's CPUs; memory stays allocated."""

    @cast(since="2.0")
    def unpause(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Let a paused guest go on."""

    @cast(since="2.0")
    def suspend(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Save the guest's memory to the host's disk and power it off."""

    @cast(since="2.0")
    def resume(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Restore a suspended guest's memory and let it go on."""

    @cast(since="2.0")
    def cache_image(self, ctxt: Context, *, image: Image) -> None:
        """Fetch the image before a guest needs it; a failure is only logged, since a build fetches it again."""

    @cast(since="2.0")
    def soft_delete(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Power off at once; all the guest has stays, for `restore` or a later destroy."""

    @cast(since="2.0")
    def restore(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Power on a soft-deleted guest."""

    @cast(since="2.0")
    def shelve(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Shut the guest down and keep it off: its disk is about to become a snapshot."""

    @cast(since="2.0")
    def unshelve(self, ctxt: Context, *, server_id: str, order: Order, is_on: bool) -> None:
        """Bring back a guest that `shelve` shut down, and that is still here; powered on if `is_on`."""

    @cast(since="2.0")
    def trigger_crash_dump(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Send an NMI to the guest."""

    @call(since="2.0", timeout_s=90, monitor_s=20)
    def change_password(self, ctxt: Context, *, server_id: str, order: Order, password: str) -> None:
        """Set the administrator's password by the guest's agent; the conductor gets a report too.

        :raises errors.HypervisorFailed: no agent answers in the guest, or it refuses.
        """

    @call(since="2.0", timeout_s=15)
    def diagnostics(self, ctxt: Context, *, server_id: str) -> GuestDiagnostics:
        """What the guest uses now.

        :raises errors.WrongState: it does not run.
        """
        ...

    @call(since="2.0", timeout_s=15)
    def placement(self, ctxt: Context, *, server_id: str) -> GuestPlacement:
        """Where the guest lies on this host, as the hypervisor has it.

        :raises errors.HypervisorFailed: it is not here.
        """
        ...

    @cast(since="2.0")
    def rebuild(self, ctxt: Context, *, order: Order, guest: Guest, keeps_ephemeral: bool, is_on: bool) -> None:
        """Replace the guest by this one, with new disks; powered on if `is_on`.

        After a failure to fetch the image the old guest is still there; after others it may not be.
        """

    @cast(since="2.0")
    def rescue(self, ctxt: Context, *, server_id: str, order: Order, image: Image, documents: dict[str, str] | None = None) -> None:
        """Shut the guest down and power it on again from a disk made of the image, beside its own disks.

        `documents` are on its config drive meanwhile; None: its own are, if it has such a drive. The image's properties hw_rescue_device
        and hw_rescue_bus say where that disk goes: last, then, so that the others keep their names; without them it is the first.
        """

    @cast(since="2.0")
    def unrescue(self, ctxt: Context, *, server_id: str, order: Order, is_on: bool) -> None:
        """Power the guest off at once, drop the rescue disk, and power it on from its own if `is_on`."""

    @cast(since="2.0")
    def undo_rescue(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Take a rescue back, however far it came: the guest has its own disks, and the power that it had before."""

    @cast(since="2.0")
    def snapshot(self, ctxt: Context, *, server_id: str, order: Order, image_id: str) -> None:
        """Copy the guest's root disk, to be uploaded as the image; it goes on meanwhile. The copy is kept.

        A failure leaves nothing of it.
        """

    @cast(since="2.0")
    def upload_snapshot(self, ctxt: Context, *, server_id: str, order: Order, image: ImageUpload) -> None:
        """Send the copy that `snapshot` made to the image service; the image is active afterwards."""

    @cast(since="2.0")
    def discard_snapshot(self, ctxt: Context, *, server_id: str, order: Order, image_id: str) -> None:
        """Remove the copy; none is fine."""

    @cast(since="2.0")
    def prepare_resize(self, ctxt: Context, *, server_id: str, order: Order, resize_id: int) -> None:
        """Shut the guest down and keep its disks, as those of `resize_id`; `revert_resize` brings both back."""

    @cast(since="2.0")
    def finish_resize(self, ctxt: Context, *, server_id: str, order: Order, resize_id: int, size: GuestSize, is_on: bool) -> None:
        """Make the prepared guest this large, from copies of its disks, and power it on if `is_on`.

        After a failure the disks that were kept are still there.
        """

    @cast(since="2.0")
    def revert_resize(self, ctxt: Context, *, server_id: str, order: Order, resize_id: int, size: GuestSize, is_on: bool) -> None:
        """Give the guest back the disks that the resize `resize_id` has kept, and its old `size`; if it did nothing here, nothing changes."""

    @cast(since="2.0")
    def confirm_resize(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Remove the disks that a resize has kept."""

    @cast(since="2.0")
    def attach_interface(self, ctxt: Context, *, server_id: str, order: Order, nic: Nic) -> None:
        """Put the NIC, whose port is prepared, into the guest. After a failure the guest is as before."""

    @cast(since="2.0")
    def detach_interface(self, ctxt: Context, *, server_id: str, order: Order, port_id: str) -> None:
        """Take the port's NIC out of the guest, which must release it. One that is not there is fine."""

    @cast(since="2.2")
    def attach_volume(self, ctxt: Context, *, server_id: str, order: Order, disk: GuestDisk) -> None:
        """Put the volume, which `disk.volume` makes reachable, into the guest: at once if it runs.

        After a failure the guest is as before, unless it did not release the volume: `detach_volume` undoes that, at any time.
        """

    @cast(since="2.2")
    def detach_volume(self, ctxt: Context, *, server_id: str, order: Order, attachment_id: str) -> None:
        """Take the attachment's volume out of the guest, which must release it; drop the connection. One that is not there is fine."""

    @cast(since="2.2")
    def resize_volume(self, ctxt: Context, *, server_id: str, order: Order, volume_id: str, size_gb: int) -> None:
        """Let the guest see that its volume has grown. One that does not run, or has no such volume, is fine."""

    @cast(since="2.2")
    def snapshot_volume(self, ctxt: Context, *, server_id: str, order: Order, volume_id: str) -> None:
        """Let the guest write to the file that its volume has become, an overlay on the one that it has open: that one is the snapshot.

        For volumes whose pool leaves snapshots in use to the hypervisor, which has made overlay and snapshot before. A guest that
        does not run, has no such volume, or writes to that file already, is fine.
        """

    @cast(since="2.2")
    def swap_volume(self, ctxt: Context, *, server_id: str, order: Order, attachment_id: str, disk: GuestDisk) -> None:
        """Copy the attachment's volume to where `disk.volume` leads, of its size, and let the running guest use it from then on.

        After a failure the guest has the old one. The server's other actions do not wait; one that powers it off ends the copy.
        """
