# SPDX-License-Identifier: Apache-2.0
"""Operations that keep a guest off while it is shelved, and bring it back where it still is."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.host import Host
from nova_lite.compute.records import DesiredPower
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail

_RUNS = (Power.RUNNING, Power.PAUSED)


class Shelve:
    """RPC endpoint: steps of shelve and unshelve."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def shelve(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "shelve", desired=DesiredPower.OFF) as operation:
            record = operation.built()
            if record.desired_power is not DesiredPower.OFF:
                operation.put(dataclasses.replace(record, desired_power=DesiredPower.OFF))
            fail("shelve.stop.before")
            if self._host.driver.power.state(server_id) in _RUNS:
                self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))
            fail("shelve.stop.after")

    def unshelve(self, ctxt: Context, *, server_id: str, order: Order, is_on: bool) -> None:
        desired = DesiredPower.ON if is_on else None
        with self._host.operation(ctxt, server_id, order, "unshelve", desired=desired) as operation:
            guest = operation.guest
            fail("unshelve.start.before")
            if is_on:
                self._host.driver.power.start(guest)
            fail("unshelve.start.after")
