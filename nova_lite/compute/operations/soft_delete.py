# SPDX-License-Identifier: Apache-2.0
"""Operations on a guest that may be deleted later: off at once and kept, or on again."""

from __future__ import annotations

import dataclasses

from nova_lite.compute.host import Host
from nova_lite.compute.records import Wanted
from nova_lite.context import Context
from nova_lite.runtime.failpoints import fail

# What waits for the guest; memory on its way to or from the disk is kept.
_CUT_BY_A_SOFT_DELETE = frozenset({"reboot", "stop", "change_password"})


class SoftDelete:
    """RPC endpoint: soft delete and restore; each tells the conductor its outcome."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def soft_delete(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "soft_delete", wanted=Wanted.OFF, cuts=_CUT_BY_A_SOFT_DELETE):
            fail("soft_delete.before")
            self._host.driver.power.stop(server_id, timeout_s=0)
            self._settle(server_id)

    def restore(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "restore", wanted=Wanted.ON) as guest:
            fail("restore.before")
            self._host.driver.power.start(guest)

    def _settle(self, server_id: str) -> None:
        """What waited for its user's word does no more: a rescue ends, a resize is confirmed, as in Nova."""
        driver, record = self._host.driver, self._host.records.get(server_id)
        if record is None or (record.guest.rescue is None and not record.resized_by):
            return
        guest = dataclasses.replace(record.guest, rescue=None)
        if record.guest.rescue is not None:
            driver.guests.define(guest)
        fail("soft_delete.settle.before")
        driver.disks.remove_rescue(server_id)
        driver.disks.discard(server_id)
        self._host.records.put(dataclasses.replace(record, guest=guest, resized_by=0, before_rescue=None))
        fail("soft_delete.settle.after")
