# SPDX-License-Identifier: Apache-2.0
"""Operations on a guest that may be deleted later: off at once and kept, or on again."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.host import Host, Operation
from nova_lite.compute.records import DesiredPower
from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail

# Operations that wait for the guest; memory on its way to or from the disk is kept.
_INTERRUPTED_BY_A_SOFT_DELETE = frozenset({"reboot", "stop", "change_password", "detach_volume"})


class SoftDelete:
    """RPC endpoint: soft delete and restore."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def soft_delete(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "soft_delete", desired=DesiredPower.OFF,
                                  interrupts=_INTERRUPTED_BY_A_SOFT_DELETE) as operation:
            operation.built()
            fail("soft_delete.before")
            self._host.driver.power.stop(server_id, timeout_s=0)
            self._settle(operation)

    def restore(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "restore", desired=DesiredPower.ON) as operation:
            guest = operation.guest
            fail("restore.before")
            self._host.driver.power.start(guest)

    def _settle(self, operation: Operation) -> None:
        """A rescue ends, and a resize is confirmed, as in Nova."""
        driver, record = self._host.driver, operation.built()
        if record.guest.rescue is None and not record.resized_by:
            return
        guest = dataclasses.replace(record.guest, rescue=None)
        if record.guest.rescue is not None:
            driver.guests.define(guest)
        fail("soft_delete.settle.before")
        driver.disks.remove_rescue(operation.server_id)
        driver.disks.discard(operation.server_id)
        operation.record = dataclasses.replace(record, guest=guest, resized_by=0, before_rescue=None)
        fail("soft_delete.settle.after")
