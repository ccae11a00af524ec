# SPDX-License-Identifier: Apache-2.0
"""Operations that replace what a guest boots from: for good (rebuild), or until its own disk is repaired (rescue)."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.host import Host, Operation
from nova_lite.compute.records import DesiredPower, Phase, Record
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, Image
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.values import guest_disk


class Rebuild:
    """RPC endpoint: rebuild, rescue, unrescue."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def rebuild(self, ctxt: Context, *, order: Order, guest: Guest, keeps_ephemeral: bool, is_on: bool) -> None:
        driver, desired = self._host.driver, DesiredPower.ON if is_on else DesiredPower.OFF
        with self._host.operation(ctxt, guest.server_id, order, "rebuild", desired=desired) as operation:
            left = guest_disk.volumes(operation.record.guest.disks) if operation.record else {}
            fail("rebuild.fetch_image.before")
            driver.images.fetch(guest, check=operation.check)
            fail("rebuild.destroy.before")
            driver.guests.destroy(guest.server_id)
            fail("rebuild.clear_disks.before")
            driver.disks.clear(guest.server_id, keeps_ephemeral=keeps_ephemeral)
            # Only now: a guest that is being built and runs is taken for built, after a crash.
            operation.put(_anew(operation, guest, desired))
            self._make(operation, guest, is_on=is_on)
            operation.record = dataclasses.replace(_anew(operation, guest, desired), phase=Phase.BUILT)
            for attachment_id in left.keys() - guest_disk.volumes(guest.disks).keys():
                driver.volumes.forget(left[attachment_id])

    def rescue(
        self, ctxt: Context, *, server_id: str, order: Order, image: Image, documents: dict[str, str] | None = None
    ) -> None:
        driver = self._host.driver
        with self._host.operation(ctxt, server_id, order, "rescue", desired=DesiredPower.ON) as operation:
            guest = dataclasses.replace(operation.guest, rescue=image)
            fail("rescue.fetch_image.before")
            driver.images.cache(image)
            operation.check()
            if operation.guest.rescue is None:
                self._off_for_rescue(operation)
                driver.disks.remove_rescue(server_id)
                fail("rescue.record.before")
                operation.put(dataclasses.replace(operation.built(), guest=guest, desired_power=DesiredPower.ON))
            fail("rescue.make_disks.before")
            driver.disks.make_rescue(guest)
            if documents is not None:
                driver.disks.make_config_drive(dataclasses.replace(guest, documents=documents))
            operation.check()
            fail("rescue.start.before")
            driver.power.reboot_hard(guest)

    def unrescue(self, ctxt: Context, *, server_id: str, order: Order, is_on: bool) -> None:
        with self._host.operation(ctxt, server_id, order, "unrescue") as operation:
            self._unrescue(operation, is_on=is_on)

    def undo_rescue(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "undo of rescue") as operation:
            record = operation.built()
            if record.before_rescue is not None:
                self._unrescue(operation, is_on=record.before_rescue is DesiredPower.ON)
            elif record.guest.rescue is None:
                self._host.driver.disks.remove_rescue(server_id)

    def _unrescue(self, operation: Operation, *, is_on: bool) -> None:
        driver, record = self._host.driver, operation.built()
        guest = dataclasses.replace(record.guest, rescue=None)
        if record.guest.rescue is not None:
            fail("unrescue.start.before")
            self._restore(guest, is_on=is_on)
        elif is_on:
            driver.power.start(guest)
        fail("unrescue.record.before")
        # Only now: sent again after a crash, it is done again from the start.
        operation.put(dataclasses.replace(
            record, guest=guest, desired_power=DesiredPower.ON if is_on else DesiredPower.OFF, before_rescue=None))
        fail("unrescue.remove_disk.before")
        driver.disks.remove_rescue(record.server_id)

    def _off_for_rescue(self, operation: Operation) -> None:
        """Power off, as the guest likes; what its power was is written down first, once."""
        driver, record = self._host.driver, operation.built()
        server_id = record.server_id
        if record.before_rescue is None:
            is_on = driver.power.state(server_id) in (Power.RUNNING, Power.PAUSED)
            operation.put(dataclasses.replace(record, before_rescue=DesiredPower.ON if is_on else DesiredPower.OFF))
        fail("rescue.stop.before")
        driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))

    def _restore(self, guest: Guest, *, is_on: bool) -> None:
        if is_on:
            self._host.driver.power.reboot_hard(guest)
            return
        self._host.driver.power.stop(guest.server_id, timeout_s=0)
        self._host.driver.guests.define(guest)

    def _make(self, operation: Operation, guest: Guest, *, is_on: bool) -> None:
        driver = self._host.driver
        fail("rebuild.make_disks.before")
        driver.disks.make(guest)
        if guest.config_drive:
            driver.disks.make_config_drive(guest)
        operation.check()
        fail("rebuild.start.before")
        if is_on:
            driver.power.start(guest)
        else:
            driver.guests.define(guest)
        fail("rebuild.finish.before")


def _anew(operation: Operation, guest: Guest, desired: DesiredPower) -> Record:
    """Of a guest that is being built in place of the one that was here: attachments under way go on."""
    known = operation.record
    return Record(
        guest=guest, phase=Phase.BUILDING, desired_power=desired, subjects=known.subjects if known else {},
        subjects_since=known.subjects_since if known else operation.order)
