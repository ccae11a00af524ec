# SPDX-License-Identifier: Apache-2.0
"""Operations that replace what a guest boots from: for good (rebuild), or until its own disk is mended (rescue)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record, Wanted
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, Image
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)


class Rebuild:
    """RPC endpoint: rebuild, rescue, unrescue; each done twice is done once."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def rebuild(self, ctxt: Context, *, guest: Guest, keeps_ephemeral: bool, is_on: bool) -> None:
        driver, records = self._host.driver, self._host.records
        with self._alone(guest.server_id, guest.fence, "rebuild") as check:
            known = records.get(guest.server_id)
            if known and known.phase is Phase.BUILT and known.guest.fence == guest.fence:
                return
            fail("rebuild.fetch_image.before")
            driver.images.fetch(guest, check=check)
            fail("rebuild.destroy.before")
            driver.guests.destroy(guest.server_id)
            fail("rebuild.clear_disks.before")
            driver.disks.clear(guest.server_id, keeps_ephemeral=keeps_ephemeral)
            # Only now: a guest that is being built and runs is taken for built, after a crash.
            begun = Record(guest=guest, phase=Phase.BUILDING, last_action=known.last_action if known else 0,
                           nic_turn=known.nic_turn if known else 0, wanted=Wanted.ON if is_on else Wanted.OFF)
            records.put(begun)
            self._make(guest, check, is_on=is_on)
            records.put(dataclasses.replace(begun, phase=Phase.BUILT))
            self._host.reports.told(guest.server_id, Power.RUNNING if is_on else Power.SHUTDOWN)

    def rescue(
        self, ctxt: Context, *, server_id: str, fence: int, image: Image, documents: dict[str, str] | None = None
    ) -> None:
        driver, records = self._host.driver, self._host.records
        with self._alone(server_id, fence, "rescue") as check:
            record = self._built(server_id, "rescue")
            guest = dataclasses.replace(record.guest, rescue=image)
            fail("rescue.fetch_image.before")
            driver.images.cache(image)
            check()
            if record.guest.rescue is None:
                self._off_for_rescue(record)
                driver.disks.remove_rescue(server_id)
                fail("rescue.record.before")
                records.put(dataclasses.replace(self._built(server_id, "rescue"), guest=guest, wanted=Wanted.ON))
            fail("rescue.make_disks.before")
            driver.disks.make_rescue(guest)
            if documents is not None:
                driver.disks.make_config_drive(dataclasses.replace(guest, documents=documents))
            check()
            fail("rescue.start.before")
            driver.power.reboot_hard(guest)
            self._host.reports.told(server_id, Power.RUNNING)

    def unrescue(self, ctxt: Context, *, server_id: str, fence: int, is_on: bool) -> None:
        with self._alone(server_id, fence, "unrescue"):
            self._unrescue(self._built(server_id, "unrescue"), is_on=is_on)

    def undo_rescue(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        with self._alone(server_id, fence, "undo of rescue"):
            record = self._built(server_id, "unrescue")
            if record.before_rescue is not None:
                self._unrescue(record, is_on=record.before_rescue is Wanted.ON)
            elif record.guest.rescue is None:
                self._host.driver.disks.remove_rescue(server_id)

    def _unrescue(self, record: Record, *, is_on: bool) -> None:
        driver, server_id = self._host.driver, record.server_id
        guest = dataclasses.replace(record.guest, rescue=None)
        if record.guest.rescue is not None:
            fail("unrescue.start.before")
            self._restore(guest, is_on=is_on)
        elif is_on:
            driver.power.start(guest)
        fail("unrescue.record.before")
        # Only now: asked again after a crash, it is done again from the start.
        self._host.records.put(dataclasses.replace(
            record, guest=guest, wanted=Wanted.ON if is_on else Wanted.OFF, before_rescue=None))
        fail("unrescue.remove_disk.before")
        driver.disks.remove_rescue(server_id)
        self._host.reports.told(server_id, driver.power.state(server_id))

    def _off_for_rescue(self, record: Record) -> None:
        """Power off, as the guest likes; what its power was is written down first, once."""
        driver, server_id = self._host.driver, record.server_id
        if record.before_rescue is None:
            is_on = driver.power.state(server_id) in (Power.RUNNING, Power.PAUSED)
            self._host.records.put(dataclasses.replace(record, before_rescue=Wanted.ON if is_on else Wanted.OFF))
        fail("rescue.stop.before")
        driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))

    def _restore(self, guest: Guest, *, is_on: bool) -> None:
        if is_on:
            self._host.driver.power.reboot_hard(guest)
            return
        self._host.driver.power.stop(guest.server_id, timeout_s=0)
        self._host.driver.guests.define(guest)

    def _make(self, guest: Guest, check: Callable[[], None], *, is_on: bool) -> None:
        driver = self._host.driver
        fail("rebuild.make_disks.before")
        driver.disks.make(guest)
        if guest.config_drive:
            driver.disks.make_config_drive(guest)
        check()
        fail("rebuild.start.before")
        if is_on:
            driver.power.start(guest)
        else:
            driver.guests.define(guest)
        fail("rebuild.finish.before")

    def _built(self, server_id: str, action: str) -> Record:
        record = self._host.records.get(server_id)
        if record is None or record.phase is not Phase.BUILT:
            raise errors.HypervisorFailed(host=self._host.name, action=action, reason="the server is not on this host")
        return record

    @contextlib.contextmanager
    def _alone(self, server_id: str, fence: int, name: str) -> Iterator[Callable[[], None]]:
        """Hold the server; yields what raises once a later request has destroyed it."""
        began = self._host.clock()

        def check() -> None:
            known = self._host.records.fence(server_id)
            if fence <= known:
                raise errors.StaleRequest(id=server_id, fence=fence, known=known)

        with self._host.locks.hold(server_id, check=check):
            check()
            record = self._host.records.get(server_id)
            if record and record.guest.fence > fence:
                raise errors.StaleRequest(id=server_id, fence=fence, known=record.guest.fence)
            yield check
        LOG.info("server %s: %s done in %.2f s", server_id, name, self._host.clock() - began)
