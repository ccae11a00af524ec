# SPDX-License-Identifier: Apache-2.0
"""Operations that resize a guest where it is, and keep what it was until that is confirmed."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.host import Host, Operation
from nova_lite.compute.records import DesiredPower, Phase, Record
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestSize
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.values import guest_disk

_OFF = (Power.NOSTATE, Power.SHUTDOWN, Power.CRASHED)


class Resize:
    """RPC endpoint: the steps of a resize. While one is between steps, its record says RESIZING."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def prepare_resize(self, ctxt: Context, *, server_id: str, order: Order, resize_id: int) -> None:
        with self._host.operation(ctxt, server_id, order, "prepare_resize") as operation:
            record = operation.here()
            if record.phase is not Phase.RESIZING or record.resized_by != resize_id:
                self._begin(operation, record, resize_id)
            fail("resize.stop.before")
            if self._host.driver.power.state(server_id) not in _OFF:
                self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))
            operation.check()
            fail("resize.keep_disks.before")
            self._host.driver.disks.set_aside(server_id)

    def finish_resize(  # the contract's shape
        self, ctxt: Context, *, server_id: str, order: Order, resize_id: int, size: GuestSize, is_on: bool
    ) -> None:
        with self._host.operation(ctxt, server_id, order, "finish_resize", desired=_desired(is_on=is_on)) as operation:
            record = operation.here()
            if record.phase is Phase.RESIZING and record.resized_by == resize_id:
                guest = _sized(record.guest, size)
                fail("resize.make_disks.before")
                if self._host.driver.power.state(server_id) in _OFF:  # it runs when this was cut off at its end
                    self._host.driver.disks.resize(guest)
                operation.check()
                self._power(guest, is_on=is_on)
                fail("resize.finish.before")
                operation.record = dataclasses.replace(record, guest=guest, phase=Phase.BUILT)

    def revert_resize(  # the contract's shape
        self, ctxt: Context, *, server_id: str, order: Order, resize_id: int, size: GuestSize, is_on: bool
    ) -> None:
        with self._host.operation(ctxt, server_id, order, "revert_resize") as operation:
            record = operation.here()
            if record.resized_by != resize_id:
                return
            guest = _sized(record.guest, size)
            fail("revert_resize.stop.before")
            operation.put(dataclasses.replace(record, guest=guest, phase=Phase.RESIZING, desired_power=_desired(is_on=is_on)))
            if self._host.driver.power.state(server_id) not in _OFF:
                # What it writes is thrown away: it need not shut down in peace.
                self._host.driver.power.stop(server_id, timeout_s=0)
            operation.check()
            fail("revert_resize.restore_disks.before")
            self._host.driver.disks.restore(guest)
            operation.check()
            self._power(guest, is_on=is_on)
            fail("revert_resize.finish.before")
            operation.record = dataclasses.replace(
                record, guest=guest, phase=Phase.BUILT, resized_by=0, desired_power=_desired(is_on=is_on))

    def confirm_resize(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "confirm_resize") as operation:
            record = operation.here()
            fail("confirm_resize.discard_disks.before")
            self._host.driver.disks.discard(server_id)
            fail("confirm_resize.finish.before")
            operation.record = dataclasses.replace(record, resized_by=0)

    def _begin(self, operation: Operation, record: Record, resize_id: int) -> None:
        """Write down what is about to change; disks kept by a resize that an operator's reset ended are of no use."""
        if record.phase is Phase.RESIZING:
            self._host.driver.disks.restore(record.guest)
        elif record.resized_by:
            self._host.driver.disks.discard(record.server_id)
        fail("resize.record.before")
        operation.put(dataclasses.replace(record, phase=Phase.RESIZING, resized_by=resize_id))

    def _power(self, guest: Guest, *, is_on: bool) -> None:
        fail("resize.power.before")
        self._host.driver.guests.define(guest)
        if is_on:
            self._host.driver.power.start(guest)


def _desired(*, is_on: bool) -> DesiredPower:
    return DesiredPower.ON if is_on else DesiredPower.OFF


def _sized(guest: Guest, size: GuestSize) -> Guest:
    """The guest in that size, with the volumes that it has now: one may have come since the size was sent."""
    return dataclasses.replace(
        guest, vcpus=size.vcpus, ram_mb=size.ram_mb, disks=guest_disk.with_local(guest.disks, size.disks), extra_specs=size.extra_specs)
