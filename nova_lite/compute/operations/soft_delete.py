# SPDX-License-Identifier: Apache-2.0
"""Operations on a guest that may be deleted later: off at once and kept, or on again."""

from __future__ import annotations

from nova_lite.compute.host import Host
from nova_lite.compute.records import Wanted
from nova_lite.context import Context
from nova_lite.failpoints import fail


class SoftDelete:
    """RPC endpoint: soft delete and restore; each tells the conductor its outcome."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def soft_delete(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "soft_delete", wanted=Wanted.OFF):
            fail("soft_delete.before")
            self._host.driver.stop(server_id, timeout_s=0)

    def restore(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "restore", wanted=Wanted.ON) as guest:
            fail("restore.before")
            self._host.driver.start(guest)
