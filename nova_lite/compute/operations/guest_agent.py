# SPDX-License-Identifier: Apache-2.0
"""Operations that reach into a guest: a crash dump by NMI, a password by the guest agent, and what it uses."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.diagnostics import GuestDiagnostics
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail


class Inside:
    """RPC endpoint."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def trigger_crash_dump(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        with self._host.operation(ctxt, server_id, order, "trigger_crash_dump") as operation:
            operation.built()
            fail("trigger_crash_dump.before")
            self._host.driver.power.trigger_crash_dump(server_id)

    def change_password(self, ctxt: Context, *, server_id: str, order: Order, password: str) -> None:
        """The caller gets the outcome, and the conductor a report as of any operation."""
        refused: list[errors.NovaLiteError] = []
        with self._host.operation(ctxt, server_id, order, "change_password") as operation:
            try:
                guest = operation.guest
                fail("change_password.before")
                self._host.driver.guests.set_password(server_id, user=_user(guest), password=password)
            except errors.NovaLiteError as error:
                refused.append(error)
                raise
        if refused:
            raise refused[0]

    def placement(self, ctxt: Context, *, server_id: str) -> GuestPlacement:
        record = self._host.records.get(server_id)
        if record is None:
            reason = "the server is not on this host"
            raise errors.HypervisorFailed(host=self._host.name, action="read a guest's place", reason=reason)
        self._host.driver.host.check("read a guest's place")
        return self._host.driver.guests.placement(record.guest)

    def diagnostics(self, ctxt: Context, *, server_id: str) -> GuestDiagnostics:
        driver, record = self._host.driver, self._host.records.get(server_id)
        if record is None:
            reason = "the server is not on this host"
            raise errors.HypervisorFailed(host=self._host.name, action="read diagnostics", reason=reason)
        driver.host.check("read diagnostics")
        power = driver.power.state(server_id)
        if power is not Power.RUNNING:
            raise errors.WrongState(
                action="get_diagnostics", id=server_id, attribute="power state", state=power.name.lower())
        return driver.guests.diagnostics(record.guest)


def _user(guest: Guest) -> str:
    """Who the password is for; Nova's image properties say otherwise than root."""
    properties = guest.image.properties
    default = "Administrator" if properties.get("os_type") == "windows" else "root"
    return properties.get("os_admin_user") or default
