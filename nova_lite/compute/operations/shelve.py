# SPDX-License-Identifier: Apache-2.0
"""Operations that keep a guest off while it is shelved, and bring it back where it still is."""

from __future__ import annotations

import dataclasses

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record, Wanted
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.runtime.failpoints import fail

_RUNS = (Power.RUNNING, Power.PAUSED)


class Shelve:
    """RPC endpoint: calls of workflows, so that outcomes go to whoever asks."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def shelve(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.locks.hold(server_id):
            record = self._record(server_id, action_id)
            if record.wanted is not Wanted.OFF:
                self._host.records.put(dataclasses.replace(record, wanted=Wanted.OFF))
            fail("shelve.stop.before")
            if self._host.driver.power.state(server_id) in _RUNS:
                self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))
            fail("shelve.stop.after")
            self._host.reports.told(server_id, self._host.driver.power.state(server_id))

    def unshelve(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.locks.hold(server_id):
            record = self._record(server_id, action_id)
            fail("unshelve.start.before")
            self._host.driver.power.start(record.guest)
            fail("unshelve.start.after")
            # A late duplicate of the shelving must not power it off again.
            self._host.records.put(dataclasses.replace(record, wanted=Wanted.ON, last_action=action_id))
            self._host.reports.told(server_id, self._host.driver.power.state(server_id))

    def _record(self, server_id: str, action_id: int) -> Record:
        record = self._host.records.get(server_id)
        if record is None or record.phase is not Phase.BUILT:
            reason = "the server is not on this host"
            raise errors.HypervisorFailed(host=self._host.name, action="shelve or unshelve the guest", reason=reason)
        if action_id < record.last_action:
            raise errors.StaleRequest(id=server_id, fence=action_id, known=record.last_action)
        return record
