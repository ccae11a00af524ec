# SPDX-License-Identifier: Apache-2.0
"""Operations that change whether and how a guest runs."""

from __future__ import annotations

from nova_lite.compute.host import Host
from nova_lite.compute.records import Wanted
from nova_lite.context import Context
from nova_lite.rpc.compute import RebootType
from nova_lite.runtime.failpoints import fail

# Whoever waits for the guest, or for its memory on its way to or from the disk, does so no more.
_CUT_BY_A_HARD_REBOOT = frozenset({"reboot", "pause", "unpause", "suspend", "resume"})


class Power:
    """RPC endpoint: power operations; each tells the conductor its outcome."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "start", wanted=Wanted.ON) as guest:
            fail("start.before")
            self._host.driver.power.start(guest)

    def stop(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "stop", wanted=Wanted.OFF):
            fail("stop.before")
            self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))

    def reboot(self, ctxt: Context, *, server_id: str, action_id: int, reboot_type: RebootType) -> None:
        is_hard, driver = reboot_type is RebootType.HARD, self._host.driver
        cuts = _CUT_BY_A_HARD_REBOOT if is_hard else frozenset[str]()
        with self._host.action(ctxt, server_id, action_id, "reboot", wanted=Wanted.ON, cuts=cuts) as guest:
            fail("reboot.before")
            if is_hard or not driver.power.reboot_soft(server_id, timeout_s=self._host.shutdown_timeout_s(server_id)):
                self._host.turns.check(server_id, action_id)
                driver.power.reboot_hard(guest)

    def pause(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "pause"):
            fail("pause.before")
            self._host.driver.power.pause(server_id)

    def unpause(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "unpause"):
            fail("unpause.before")
            self._host.driver.power.unpause(server_id)

    def suspend(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "suspend", wanted=Wanted.OFF):
            fail("suspend.before")
            self._host.driver.power.suspend(server_id)

    def resume(self, ctxt: Context, *, server_id: str, action_id: int) -> None:
        with self._host.action(ctxt, server_id, action_id, "resume", wanted=Wanted.ON) as guest:
            fail("resume.before")
            self._host.driver.power.resume(guest)
