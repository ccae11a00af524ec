# SPDX-License-Identifier: Apache-2.0
"""Operations that put a NIC into a guest that is here, and take one out."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record
from nova_lite.context import Context
from nova_lite.rpc.compute import Nic
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)


class Interfaces:
    """RPC endpoint: NICs come and go. `turn` orders these requests about one server; see ComputeRpc."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def attach_interface(self, ctxt: Context, *, server_id: str, turn: int, nic: Nic) -> None:
        began = self._host.clock()
        self._host.driver.host.check("attach a NIC")
        with self._host.locks.hold(server_id):
            record = self._record(server_id, turn)
            if record is None:
                raise errors.HypervisorFailed(
                    host=self._host.name, action="attach a NIC", reason="the server is not on this host")
            others = _without(record, nic.port_id)
            fail("attach_interface.record.before")
            self._keep(record, turn, (*others, nic))
            fail("attach_interface.guest.before")
            try:
                self._host.driver.nics.attach(record.guest, nic)
            except errors.NovaLiteError:
                self._keep(record, turn, others)
                raise
            fail("attach_interface.finish.before")
        LOG.info("server %s: NIC of port %s attached in %.2f s", server_id, nic.port_id, self._host.clock() - began)

    def detach_interface(self, ctxt: Context, *, server_id: str, turn: int, port_id: str) -> None:
        began = self._host.clock()
        with self._host.locks.hold(server_id):
            record = self._record(server_id, turn)
            if record is None:
                return
            fail("detach_interface.guest.before")
            for nic in record.guest.nics:
                if nic.port_id == port_id:
                    self._host.driver.nics.detach(server_id, nic, timeout_s=self._host.detach_timeout_s)
            fail("detach_interface.record.before")
            self._keep(record, turn, _without(record, port_id))
            fail("detach_interface.finish.before")
        LOG.info("server %s: NIC of port %s detached in %.2f s", server_id, port_id, self._host.clock() - began)

    def _record(self, server_id: str, turn: int) -> Record | None:
        """The server's record; None: it is not here.

        :raises errors.StaleRequest: a later request about its NICs was carried out.
        """
        record = self._host.records.get(server_id)
        if record is None or record.phase is not Phase.BUILT:
            return None
        if turn < record.nic_turn:
            raise errors.StaleRequest(id=server_id, fence=turn, known=record.nic_turn)
        return record

    def _keep(self, record: Record, turn: int, nics: tuple[Nic, ...]) -> None:
        guest = dataclasses.replace(record.guest, nics=nics)
        self._host.records.put(dataclasses.replace(record, guest=guest, nic_turn=turn))


def _without(record: Record, port_id: str) -> tuple[Nic, ...]:
    return tuple(nic for nic in record.guest.nics if nic.port_id != port_id)
