# SPDX-License-Identifier: Apache-2.0
"""Operations that make a guest and end it: resumable step by step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host, Operation
from nova_lite.compute.records import Phase, Record
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, OwnedGuests
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.values import guest_disk

LOG = logging.getLogger(__name__)
# Waiting builds look this often whether their server was destroyed meanwhile.
_LOOK_S = 0.2


class Build:
    """RPC endpoint: build, destroy, what is owned, and what is under way."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def build(self, ctxt: Context, *, order: Order, guest: Guest) -> None:
        # The operation begins before its turn: it is reported as under way while it waits.
        with self._host.operation(ctxt, guest.server_id, order, "build") as operation, self._turn(operation):
            self._make(operation, guest)

    def destroy(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        fail("destroy.tombstone.before")
        with self._host.operation(ctxt, server_id, order, "destroy", destroys=True):
            self.remove(server_id, self._host.records.get(server_id))

    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        return self._host.underway.among(orders)

    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedGuests:
        owned = OwnedGuests(server_ids=tuple(sorted(self._owned())))
        return OwnedGuests(server_ids=(), is_as_expected=True) if owned.digest == digest else owned

    def owned_among(self, ctxt: Context, *, server_ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(self._owned().intersection(server_ids)))

    def _owned(self) -> set[str]:
        self._host.driver.host.check("list guests")
        return {record.server_id for record in self._host.records.all()} | set(self._host.driver.guests.list_ours())

    def remove(self, server_id: str, record: Record | None) -> None:
        """Remove all that the server has on this host; the caller holds its lock."""
        records, driver = self._host.records, self._host.driver
        if record and record.phase is not Phase.DESTROYING:
            records.put(dataclasses.replace(record, phase=Phase.DESTROYING))
        fail("destroy.guest.before")
        driver.guests.destroy(server_id)
        fail("destroy.disks.before")
        driver.disks.remove(server_id)
        for disk in guest_disk.volumes(record.guest.disks).values() if record else ():
            driver.volumes.forget(disk)
        fail("destroy.record.before")
        records.remove(server_id)
        self._host.reports.forget(server_id)
        fail("destroy.finish.before")

    @contextlib.contextmanager
    def _turn(self, operation: Operation) -> Iterator[None]:
        """One of the places for builds.

        :raises Superseded: the server was destroyed meanwhile.
        """
        while not self._host.builds.acquire(timeout=_LOOK_S):
            operation.check()
        try:
            yield
        finally:
            self._host.builds.release()

    def _make(self, operation: Operation, guest: Guest) -> None:
        """The steps of a build; all is undone when one fails."""
        driver = self._host.driver
        with contextlib.ExitStack() as undo:
            fail("build.record.before")
            self._claim(operation, guest)
            undo.callback(self._undo, guest)
            if driver.power.state(guest.server_id) not in (Power.RUNNING, Power.PAUSED):
                fail("build.fetch_image.before")
                driver.images.fetch(guest, check=operation.check)
                fail("build.make_disks.before")
                driver.disks.make(guest)
                if guest.config_drive:
                    fail("build.make_config_drive.before")
                    driver.disks.make_config_drive(guest)
                operation.check()
                fail("build.start_guest.before")
                driver.power.start(guest)
            operation.check()
            fail("build.finish.before")
            undo.pop_all()
        operation.record = Record(guest=guest, phase=Phase.BUILT, subjects_since=operation.order)

    def _undo(self, guest: Guest) -> None:
        """What cannot be removed now stays written down as being destroyed, for recovery or the next destroy."""
        try:
            self.remove(guest.server_id, self._host.records.get(guest.server_id))
        except errors.NovaLiteError as error:
            LOG.warning("server %s: the failed build could not be undone yet: %s", guest.server_id, error.text)

    def _claim(self, operation: Operation, guest: Guest) -> None:
        """Write down what is about to be made; remove what an abandoned build of another image or size left."""
        known = operation.record
        if known and (known.phase is Phase.DESTROYING or _disks_of(known.guest) != _disks_of(guest)):
            self.remove(guest.server_id, known)
        operation.put(Record(guest=guest, phase=Phase.BUILDING, subjects_since=operation.order))


def _disks_of(guest: Guest) -> tuple[object, ...]:
    """What the files of a guest's disks depend on."""
    return guest.image.id, guest.image.checksum, tuple(disk for disk in guest.disks if not disk.is_volume)
