# SPDX-License-Identifier: Apache-2.0
"""Operations that make a guest and end it: resumable step by step, and fenced against late duplicates."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, OwnedGuests
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
# Waiting builds look this often whether their server was destroyed meanwhile.
_LOOK_S = 0.2


class Build:
    """RPC endpoint: build, destroy, and what is owned."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def build(self, ctxt: Context, *, guest: Guest) -> None:
        began = self._host.clock()
        self._check(guest)
        with self._turn(guest), self._host.locks.hold(guest.server_id, check=lambda: self._check(guest)):
            self._check(guest)
            if not self._is_built(guest):
                self._make(guest)
                self._finish(guest)
        LOG.info("server %s: build done in %.2f s", guest.server_id, self._host.clock() - began)

    def destroy(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        began = self._host.clock()
        fail("destroy.tombstone.before")
        # Before the lock: it is what makes a build at work give up.
        self._host.records.add_tombstone(server_id, fence=fence)
        self._check_destroy(server_id, fence)
        if self._host.locks.is_held(server_id):
            # An operation may be waiting for the guest to power off: let it have its way at once.
            self._host.driver.guests.destroy(server_id)
        with self._host.locks.hold(server_id):
            self.remove(server_id, self._check_destroy(server_id, fence))
        LOG.info("server %s: destroy done in %.2f s", server_id, self._host.clock() - began)

    def owned(self, ctxt: Context) -> OwnedGuests:
        self._host.driver.host.check("list guests")
        known = {record.server_id for record in self._host.records.all()} | set(self._host.driver.guests.list_ours())
        return OwnedGuests(server_ids=tuple(sorted(known)))

    def remove(self, server_id: str, record: Record | None) -> None:
        """Remove all that the server has on this host; the caller holds its lock."""
        records, driver = self._host.records, self._host.driver
        if record and record.phase is not Phase.DESTROYING:
            records.put(dataclasses.replace(record, phase=Phase.DESTROYING))
        fail("destroy.guest.before")
        driver.guests.destroy(server_id)
        fail("destroy.disks.before")
        driver.disks.remove(server_id)
        fail("destroy.record.before")
        records.remove(server_id)
        self._host.reports.forget(server_id)
        fail("destroy.finish.before")

    @contextlib.contextmanager
    def _turn(self, guest: Guest) -> Iterator[None]:
        while not self._host.builds.acquire(timeout=_LOOK_S):
            self._check(guest)
        try:
            yield
        finally:
            self._host.builds.release()

    def _check_destroy(self, server_id: str, fence: int) -> Record | None:
        """The server's record, if it is not newer than the request."""
        record = self._host.records.get(server_id)
        if record and record.guest.fence > fence:
            raise errors.StaleRequest(id=server_id, fence=fence, known=record.guest.fence)
        return record

    def _check(self, guest: Guest) -> None:
        """Go on only while no later request has destroyed the server or built it anew."""
        known = self._host.records.fence(guest.server_id)
        if guest.fence <= known:
            raise errors.StaleRequest(id=guest.server_id, fence=guest.fence, known=known)
        record = self._host.records.get(guest.server_id)
        if record and record.guest.fence > guest.fence:
            raise errors.StaleRequest(id=guest.server_id, fence=guest.fence, known=record.guest.fence)

    def _is_built(self, guest: Guest) -> bool:
        """Built by this very request: whatever its user did with it since is not ours to change."""
        record = self._host.records.get(guest.server_id)
        return record is not None and record.phase is Phase.BUILT and record.guest.fence == guest.fence

    def _make(self, guest: Guest) -> None:
        """The steps of a build; all is undone when one fails."""
        driver = self._host.driver
        with contextlib.ExitStack() as undo:
            fail("build.record.before")
            self._claim(guest)
            undo.callback(self._undo, guest)
            if driver.power.state(guest.server_id) not in (Power.RUNNING, Power.PAUSED):
                fail("build.fetch_image.before")
                driver.images.fetch(guest, check=lambda: self._check(guest))
                fail("build.make_disks.before")
                driver.disks.make(guest)
                if guest.config_drive:
                    fail("build.make_config_drive.before")
                    driver.disks.make_config_drive(guest)
                self._check(guest)
                fail("build.start_guest.before")
                driver.power.start(guest)
            self._check(guest)
            fail("build.finish.before")
            undo.pop_all()

    def _undo(self, guest: Guest) -> None:
        """What cannot be removed now stays written down as being destroyed, for recovery or the next destroy."""
        try:
            self.remove(guest.server_id, self._host.records.get(guest.server_id))
        except errors.NovaLiteError as error:
            LOG.warning("server %s: the failed build could not be undone yet: %s", guest.server_id, error.text)

    def _claim(self, guest: Guest) -> None:
        """Write down what is about to be made; remove what an abandoned build of another image or size left."""
        known = self._host.records.get(guest.server_id)
        if known and (known.phase is Phase.DESTROYING or _disks_of(known.guest) != _disks_of(guest)):
            self.remove(guest.server_id, known)
        last_action = known.last_action if known else 0  # ids of actions, which count apart from fences
        self._host.records.put(Record(guest=guest, phase=Phase.BUILDING, last_action=last_action))

    def _finish(self, guest: Guest) -> None:
        record = self._host.records.get(guest.server_id)
        if record:
            self._host.records.put(dataclasses.replace(record, phase=Phase.BUILT))
        self._host.reports.told(guest.server_id, Power.RUNNING)


def _disks_of(guest: Guest) -> tuple[object, ...]:
    """What a guest's disks depend on."""
    return guest.image.id, guest.image.checksum, guest.disk_gb, guest.ephemeral_gb, guest.swap_mb
