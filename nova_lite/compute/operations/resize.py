# SPDX-License-Identifier: Apache-2.0
"""Operations that resize a guest where it is, and keep what it was until that is confirmed."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record, Wanted
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestSize
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
_OFF = (Power.NOSTATE, Power.SHUTDOWN, Power.CRASHED)


class Resize:
    """RPC endpoint: the steps of a resize. While one is between steps, its record says RESIZING."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def prepare_resize(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        began = self._host.clock()
        with self._host.locks.hold(server_id):
            record = self._admit(server_id, fence)
            if record.guest.fence < fence:
                self._begin(record, fence)
            fail("resize.stop.before")
            if self._host.driver.power.state(server_id) not in _OFF:
                self._host.driver.power.stop(server_id, timeout_s=self._host.shutdown_timeout_s(server_id))
            self._check(server_id, fence)
            fail("resize.keep_disks.before")
            self._host.driver.disks.set_aside(server_id)
        LOG.info("server %s: prepared for its resize in %.2f s", server_id, self._host.clock() - began)

    def finish_resize(self, ctxt: Context, *, server_id: str, fence: int, size: GuestSize, is_on: bool) -> int:
        began = self._host.clock()
        with self._host.locks.hold(server_id):
            record = self._admit(server_id, fence)
            if record.phase is Phase.RESIZING and record.resized_by == fence:
                guest = _sized(record.guest, size)
                fail("resize.make_disks.before")
                if self._host.driver.power.state(server_id) in _OFF:  # it runs when this was cut off at its end
                    self._host.driver.disks.resize(guest)
                self._check(server_id, fence)
                self._power(guest, is_on=is_on)
                fail("resize.finish.before")
                self._put(dataclasses.replace(record, guest=guest, phase=Phase.BUILT), is_on=is_on)
            power = self._told(server_id)
        LOG.info("server %s: resized in %.2f s", server_id, self._host.clock() - began)
        return power

    def revert_resize(  # noqa: PLR0913 - the contract's shape
        self, ctxt: Context, *, server_id: str, fence: int, resize_fence: int, size: GuestSize, is_on: bool
    ) -> int:
        began = self._host.clock()
        with self._host.locks.hold(server_id):
            record = self._admit(server_id, fence)
            if record.resized_by == resize_fence:
                guest = dataclasses.replace(_sized(record.guest, size), fence=fence)
                fail("revert_resize.stop.before")
                self._host.records.put(dataclasses.replace(record, guest=guest, phase=Phase.RESIZING))
                if self._host.driver.power.state(server_id) not in _OFF:
                    # What it writes is thrown away: it need not shut down in peace.
                    self._host.driver.power.stop(server_id, timeout_s=0)
                self._check(server_id, fence)
                fail("revert_resize.restore_disks.before")
                self._host.driver.disks.restore(guest)
                self._check(server_id, fence)
                self._power(guest, is_on=is_on)
                fail("revert_resize.finish.before")
                self._put(dataclasses.replace(record, guest=guest, phase=Phase.BUILT, resized_by=0), is_on=is_on)
            elif record.guest.fence < fence:
                self._host.records.put(dataclasses.replace(record, guest=dataclasses.replace(record.guest, fence=fence)))
            power = self._told(server_id)
        LOG.info("server %s: has its old size again after %.2f s", server_id, self._host.clock() - began)
        return power

    def confirm_resize(self, ctxt: Context, *, server_id: str, fence: int) -> int:
        with self._host.locks.hold(server_id):
            record = self._admit(server_id, fence)
            fail("confirm_resize.discard_disks.before")
            self._host.driver.disks.discard(server_id)
            fail("confirm_resize.finish.before")
            guest = dataclasses.replace(record.guest, fence=fence)
            self._host.records.put(dataclasses.replace(record, guest=guest, resized_by=0))
            return self._told(server_id)

    def _admit(self, server_id: str, fence: int) -> Record:
        """The record of a guest that no later request has changed.

        :raises errors.StaleRequest: one has. :raises errors.HypervisorFailed: the server is not here.
        """
        self._check(server_id, fence)
        record = self._host.records.get(server_id)
        if record is None or record.phase not in (Phase.BUILT, Phase.RESIZING):
            raise errors.HypervisorFailed(host=self._host.name, action="resize", reason="the server is not on this host")
        if record.guest.fence > fence:
            raise errors.StaleRequest(id=server_id, fence=fence, known=record.guest.fence)
        return record

    def _check(self, server_id: str, fence: int) -> None:
        """Go on only while no later request has destroyed the server."""
        known = self._host.records.fence(server_id)
        if fence <= known:
            raise errors.StaleRequest(id=server_id, fence=fence, known=known)

    def _begin(self, record: Record, fence: int) -> None:
        """Write down what is about to change; disks kept by a resize that an operator's reset ended are of no use."""
        if record.phase is Phase.RESIZING:
            self._host.driver.disks.restore(record.guest)
        elif record.resized_by:
            self._host.driver.disks.discard(record.server_id)
        fail("resize.record.before")
        guest = dataclasses.replace(record.guest, fence=fence)
        self._host.records.put(dataclasses.replace(record, guest=guest, phase=Phase.RESIZING, resized_by=fence))

    def _power(self, guest: Guest, *, is_on: bool) -> None:
        fail("resize.power.before")
        self._host.driver.guests.define(guest)
        if is_on:
            self._host.driver.power.start(guest)

    def _put(self, record: Record, *, is_on: bool) -> None:
        self._host.records.put(dataclasses.replace(record, wanted=Wanted.ON if is_on else Wanted.OFF))

    def _told(self, server_id: str) -> int:
        """The power that the conductor hears of by this answer."""
        power = self._host.driver.power.state(server_id)
        self._host.reports.told(server_id, power)
        return int(power)


def _sized(guest: Guest, size: GuestSize) -> Guest:
    return dataclasses.replace(
        guest, vcpus=size.vcpus, ram_mb=size.ram_mb, disk_gb=size.disk_gb, ephemeral_gb=size.ephemeral_gb,
        swap_mb=size.swap_mb, extra_specs=size.extra_specs)
