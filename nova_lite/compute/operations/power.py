# SPDX-License-Identifier: Apache-2.0
"""Operations that change whether and how a guest runs."""

from __future__ import annotations

from nova_lite.compute.host import Host
from nova_lite.compute.records import DesiredPower
from nova_lite.context import Context
from nova_lite.rpc.compute import RebootType
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail

# Operations that wait for the guest, or for its memory on its way to or from the disk.
_INTERRUPTED_BY_A_HARD_REBOOT = frozenset({"reboot", "pause", "unpause", "suspend", "resume", "detach_volume"})


class Power:
    """RPC endpoint: power operations."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "start", desired=DesiredPower.ON) as operation:
            guest = operation.guest
            fail("start.before")
            self._host.driver.power.start(guest)

    def stop(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "stop", desired=DesiredPower.OFF) as operation:
            operation.built()
            fail("stop.before")
            self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))

    def reboot(self, ctxt: Context, *, server_id: str, order: Order, reboot_type: RebootType) -> None:
        is_hard, driver = reboot_type is RebootType.HARD, self._host.driver
        interrupts = _INTERRUPTED_BY_A_HARD_REBOOT if is_hard else frozenset[str]()
        with self._host.operation(
                ctxt, server_id, order, "reboot", desired=DesiredPower.ON, interrupts=interrupts) as operation:
            guest = operation.guest
            fail("reboot.before")
            if is_hard or not driver.power.reboot_soft(server_id, timeout_s=self._host.shutdown_timeout_s(server_id)):
                operation.check()
                driver.power.reboot_hard(guest)

    def pause(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "pause") as operation:
            operation.built()
            fail("pause.before")
            self._host.driver.power.pause(server_id)

    def unpause(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "unpause") as operation:
            operation.built()
            fail("unpause.before")
            self._host.driver.power.unpause(server_id)

    def suspend(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "suspend", desired=DesiredPower.OFF) as operation:
            operation.built()
            fail("suspend.before")
            self._host.driver.power.suspend(server_id)

    def resume(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "resume", desired=DesiredPower.ON) as operation:
            guest = operation.guest
            fail("resume.before")
            self._host.driver.power.resume(guest)
