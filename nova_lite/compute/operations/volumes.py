# SPDX-License-Identifier: Apache-2.0
"""Operations that put a volume into a guest that is here, let it grow there, and take it out."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host, Operation
from nova_lite.compute.records import Record
from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import GuestDisk

LOG = logging.getLogger(__name__)
# What a guest that did not get a volume whole has to release its part.
_TAKE_BACK_S = 10.0


class Volumes:
    """RPC endpoint: volumes come, grow and go.

    Clients attach several at once, so each attachment is in an order of its own; the guest they change in turn.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def attach_volume(self, ctxt: Context, *, server_id: str, order: Order, disk: GuestDisk) -> None:
        assert disk.volume is not None
        with self._host.operation(ctxt, server_id, order, "attach_volume", subject=disk.volume.attachment_id) as operation:
            self._host.driver.host.check("attach a volume")
            record = operation.here()
            self._check_free(record, disk)
            fail("attach_volume.record.before")
            operation.put(_with_disks(record, guest_disk.with_volume(record.guest.disks, disk)))
            fail("attach_volume.guest.before")
            try:
                self._host.driver.volumes.attach(record.guest, disk)
            except errors.NovaLiteError:
                self._take_back(operation, disk)
                raise
            fail("attach_volume.finish.before")

    def detach_volume(self, ctxt: Context, *, server_id: str, order: Order, attachment_id: str) -> None:
        with self._host.operation(ctxt, server_id, order, "detach_volume", subject=attachment_id) as operation:
            record = operation.record
            disk = guest_disk.volumes(record.guest.disks).get(attachment_id) if record else None
            if record is None or disk is None:
                return
            fail("detach_volume.guest.before")
            self._host.driver.volumes.detach(server_id, disk, timeout_s=self._host.detach_timeout_s)
            fail("detach_volume.record.before")
            operation.record = _with_disks(record, guest_disk.without_volume(record.guest.disks, attachment_id))
            fail("detach_volume.finish.before")

    def resize_volume(self, ctxt: Context, *, server_id: str, order: Order, volume_id: str, size_gb: int) -> None:
        with self._host.operation(ctxt, server_id, order, "resize_volume", subject=volume_id) as operation:
            record = operation.record
            disk = _of_volume(record, volume_id) if record else None
            if record is None or disk is None:
                return
            fail("resize_volume.guest.before")
            self._host.driver.volumes.resize(server_id, disk, size_gb=size_gb)
            fail("resize_volume.record.before")
            larger = dataclasses.replace(disk, size_mb=size_gb << 10)
            operation.record = _with_disks(record, tuple(larger if other is disk else other for other in record.guest.disks))

    def snapshot_volume(self, ctxt: Context, *, server_id: str, order: Order, volume_id: str) -> None:
        with self._host.operation(ctxt, server_id, order, "snapshot_volume", subject=volume_id) as operation:
            record = operation.record
            disk = _of_volume(record, volume_id) if record else None
            if record is None or disk is None:
                return
            fail("snapshot_volume.guest.before")
            self._host.driver.volumes.snapshot(record.guest, disk)
            fail("snapshot_volume.finish.before")

    def swap_volume(self, ctxt: Context, *, server_id: str, order: Order, attachment_id: str, disk: GuestDisk) -> None:
        assert disk.volume is not None
        # The server's lock is not held for hours.
        with self._host.operation(
                ctxt, server_id, order, "swap_volume", subject=attachment_id, lock=f"volume {attachment_id}") as operation:
            driver, record = self._host.driver.volumes, operation.built()
            old = self._swapped(record, attachment_id, disk)
            fail("swap_volume.copy.before")
            driver.copy(record.guest, old, disk, check=operation.check)
            fail("swap_volume.record.before")
            with self._host.locks.hold(server_id, check=operation.check):
                operation.record = self._host.records.get(server_id)
                self._pivot(operation, old, disk)
            if old.volume and old.volume.attachment_id != disk.volume.attachment_id:
                driver.forget(old)

    def _pivot(self, operation: Operation, old: GuestDisk, new: GuestDisk) -> None:
        """The record first: a guest that starts again after a crash has the copy, which was kept like the volume, and not an old state of it."""
        record = operation.built()
        operation.put(_with_disks(record, guest_disk.replaced(record.guest.disks, old, new)))
        try:
            fail("swap_volume.pivot.before")
            self._host.driver.volumes.pivot(record.guest, old, new)
        except errors.NovaLiteError:
            operation.put(record)
            raise
        fail("swap_volume.finish.before")

    def _swapped(self, record: Record, attachment_id: str, disk: GuestDisk) -> GuestDisk:
        """What the guest has of the attachment, or of the one that it is swapped for.

        :raises errors.HypervisorFailed: it has neither, or they are of two volumes.
        """
        assert disk.volume is not None
        attached = guest_disk.volumes(record.guest.disks)
        old = attached.get(attachment_id) or attached.get(disk.volume.attachment_id)
        if old is None or old.volume is None or old.volume.volume_id != disk.volume.volume_id:
            raise errors.HypervisorFailed(
                host=self._host.name, action="swap a volume", reason=f"the guest does not have volume {disk.volume.volume_id} by attachment {attachment_id}")
        return old

    def _check_free(self, record: Record, disk: GuestDisk) -> None:
        """:raises errors.HypervisorFailed: the guest has the volume by another attachment."""
        assert disk.volume is not None
        other = _of_volume(record, disk.volume.volume_id)
        if other is not None and other.volume and other.volume.attachment_id != disk.volume.attachment_id:
            reason = f"the guest has volume {disk.volume.volume_id} already, by attachment {other.volume.attachment_id}"
            raise errors.HypervisorFailed(host=self._host.name, action="attach a volume", reason=reason)

    def _take_back(self, operation: Operation, disk: GuestDisk) -> None:
        """Leave the guest without the volume; while it has a part of it, the record says so, for the next detach."""
        assert disk.volume is not None
        record = operation.here()
        try:
            self._host.driver.volumes.detach(operation.server_id, disk, timeout_s=_TAKE_BACK_S)
        except errors.NovaLiteError as error:
            LOG.warning("server %s: volume %s, which could not be attached: %s", operation.server_id, disk.volume.volume_id, error.text)
        else:
            operation.put(_with_disks(record, guest_disk.without_volume(record.guest.disks, disk.volume.attachment_id)))


def _of_volume(record: Record, volume_id: str) -> GuestDisk | None:
    """The disk of the guest that is the volume; None: it has none."""
    return next((disk for disk in record.guest.disks if disk.volume and disk.volume.volume_id == volume_id), None)


def _with_disks(record: Record, disks: tuple[GuestDisk, ...]) -> Record:
    return dataclasses.replace(record, guest=dataclasses.replace(record.guest, disks=disks))
