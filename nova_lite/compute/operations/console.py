# SPDX-License-Identifier: Apache-2.0
"""Operations that show what a guest's consoles say."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.context import Context


class Console:
    """RPC endpoint: consoles."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def console_output(self, ctxt: Context, *, server_id: str, length: int | None) -> str:
        if self._host.records.get(server_id) is None:
            reason = "the server is not on this host"
            raise errors.HypervisorFailed(host=self._host.name, action="read the console", reason=reason)
        text = self._host.driver.console_output(server_id)
        if length is None:
            return text
        lines = text.splitlines(keepends=True)
        return "".join(lines[-length:]) if length > 0 else ""
