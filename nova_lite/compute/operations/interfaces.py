# SPDX-License-Identifier: Apache-2.0
"""Operations that put a NIC into a guest that is here, and take one out."""

from __future__ import annotations

import dataclasses

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record
from nova_lite.context import Context
from nova_lite.rpc.compute import Nic
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail


class Interfaces:
    """RPC endpoint: NICs come and go."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def attach_interface(self, ctxt: Context, *, server_id: str, order: Order, nic: Nic) -> None:
        with self._host.operation(ctxt, server_id, order, "attach_interface") as operation:
            self._host.driver.host.check("attach a NIC")
            record = operation.built()
            others = _without(record, nic.port_id)
            fail("attach_interface.record.before")
            operation.put(_with_nics(record, (*others, nic)))
            fail("attach_interface.guest.before")
            try:
                self._host.driver.nics.attach(record.guest, nic)
            except errors.NovaLiteError:
                operation.put(_with_nics(record, others))
                raise
            fail("attach_interface.finish.before")

    def detach_interface(self, ctxt: Context, *, server_id: str, order: Order, port_id: str) -> None:
        with self._host.operation(ctxt, server_id, order, "detach_interface") as operation:
            record = operation.record
            if record is None or record.phase is not Phase.BUILT:
                return
            fail("detach_interface.guest.before")
            for nic in record.guest.nics:
                if nic.port_id == port_id:
                    self._host.driver.nics.detach(server_id, nic, timeout_s=self._host.detach_timeout_s)
            fail("detach_interface.record.before")
            operation.record = _with_nics(record, _without(record, port_id))
            fail("detach_interface.finish.before")


def _with_nics(record: Record, nics: tuple[Nic, ...]) -> Record:
    return dataclasses.replace(record, guest=dataclasses.replace(record.guest, nics=nics))


def _without(record: Record, port_id: str) -> tuple[Nic, ...]:
    return tuple(nic for nic in record.guest.nics if nic.port_id != port_id)
