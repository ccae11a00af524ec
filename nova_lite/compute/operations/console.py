# SPDX-License-Identifier: Apache-2.0
"""Operations that show what a guest's consoles say, and that let users in to them."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.compute.console_server import ConsoleServer
from nova_lite.compute.host import Host
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleAddress, ConsoleType


class Console:
    """RPC endpoint: consoles."""

    def __init__(self, host: Host, gate: ConsoleServer) -> None:
        self._host = host
        self._gate = gate

    def console_output(self, ctxt: Context, *, server_id: str, length: int | None) -> str:
        if self._host.records.get(server_id) is None:
            reason = "the server is not on this host"
            raise errors.HypervisorFailed(host=self._host.name, action="read the console", reason=reason)
        text = self._host.driver.consoles.output(server_id)
        if length is None:
            return text
        # Without the last line end: clients count lines by splitting at it.
        return "\n".join(text.splitlines()[-length:]) if length > 0 else ""

    def open_console(
        self, ctxt: Context, *, server_id: str, type: ConsoleType, token_hash: str, ttl_s: int  # noqa: A002
    ) -> ConsoleAddress:
        self._host.driver.host.check("open a console")
        if self._host.driver.power.state(server_id) not in (Power.RUNNING, Power.PAUSED):
            raise errors.Conflict(reason=f"Instance {server_id} is not ready: it is not running")
        record = self._host.records.get(server_id)
        return self._gate.announce(
            server_id, type, project_id=record.guest.project_id if record else "", token_hash=token_hash, ttl_s=ttl_s)
