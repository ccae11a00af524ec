# SPDX-License-Identifier: Apache-2.0
"""What a compute worker does after it was started: finish or undo what a crash cut off, start what should run."""

from __future__ import annotations

import dataclasses

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.records import DesiredPower, Phase, Record
from nova_lite.lifecycle.servers import Power
from nova_lite.values import guest_disk

LOG = logging.getLogger(__name__)
_OFF = (Power.NOSTATE, Power.SHUTDOWN, Power.CRASHED)


class Recovery:
    """Brings the host's guests to what the records say; harmless when done again.

    `starts_guests`: guests that are off but ran before are started; right after a restart of the machine, and
    wrong after one of the worker alone, when they were switched off from inside.
    """

    def __init__(self, host: Host, build: Build, *, starts_guests: bool) -> None:
        self._host, self._build, self._starts_guests = host, build, starts_guests
        self._waiting: dict[str, Record] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether guests have not started yet whose storage may come back, as after a power cut of all hosts."""
        return bool(self._waiting)

    def retry(self) -> None:
        """Recover those guests again, unless they have had other requests since."""
        for record in list(self._waiting.values()):
            self._waiting.pop(record.server_id)
            with self._host.locks.hold(record.server_id):
                if self._host.records.get(record.server_id) == record:
                    self._recover(record)

    def run(self) -> None:
        """Recover every record; one that fails is reported and does not hold up the others."""
        records = self._host.records.all()
        dropped = self._host.records.expire_tombstones()
        for record in records:
            with self._host.locks.hold(record.server_id):
                current = self._host.records.get(record.server_id)
                if current == record:
                    self._recover(record)
        LOG.info("recovery: %d guests looked at, %d old tombstones dropped", len(records), dropped)

    def clean(self) -> None:
        """Remove half-made files of a crash and cached images that no guest needs."""
        self._host.driver.host.clean([record.guest for record in self._host.records.all()])

    def _recover(self, record: Record) -> None:
        try:
            if record.phase is Phase.DESTROYING:
                self._build.remove(record.server_id, record)
                LOG.info("server %s: its destroy was cut off; finished", record.server_id)
            elif record.phase is Phase.BUILDING:
                self._recover_build(record)
            elif record.phase is Phase.RESIZING:
                LOG.info("server %s: its resize was cut off; waiting for the request to come again", record.server_id)
            else:
                self._recover_power(record)
        except errors.NovaLiteError as error:
            LOG.warning("server %s: recovery failed: %s", record.server_id, error.text)
            if record.phase is Phase.BUILT and guest_disk.volumes(record.guest.disks):
                self._waiting[record.server_id] = record

    def _recover_build(self, record: Record) -> None:
        """A guest that runs is built; otherwise the conductor sends the build again and it goes on from there."""
        if self._host.driver.power.state(record.server_id) in (Power.RUNNING, Power.PAUSED):
            self._host.records.put(dataclasses.replace(record, phase=Phase.BUILT))
            LOG.info("server %s: its build was cut off after the start; it runs", record.server_id)
        else:
            LOG.info("server %s: its build was cut off; waiting for the request to come again", record.server_id)

    def _recover_power(self, record: Record) -> None:
        driver = self._host.driver
        power = driver.power.state(record.server_id)
        if power in _OFF and record.desired_power is DesiredPower.ON and self._starts_guests:
            driver.power.start(record.guest)
            LOG.info("server %s: started, as it ran before the host went down", record.server_id)
        elif power is Power.NOSTATE:
            driver.guests.define(record.guest)
        self._host.reports.see(record.server_id, driver.power.state(record.server_id))
