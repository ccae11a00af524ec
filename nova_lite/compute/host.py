# SPDX-License-Identifier: Apache-2.0
"""What every operation of a compute worker shares: driver, records, locks, and the frame around an action."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.power_sync import PowerSync
from nova_lite.compute.preemption import Preemption
from nova_lite.compute.records import Phase, Records, Wanted
from nova_lite.compute.virt.driver import Driver
from nova_lite.context import Context, system_context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import ConductorRpc, PowerState
from nova_lite.worker.locks import NamedLocks

LOG = logging.getLogger(__name__)


class Host:
    """The bundle that operations are given."""

    def __init__(
        self, *, conf: cfg.ConfigOpts, driver: Driver, records: Records, conductor: ConductorRpc,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name: str = conf.host
        self._shutdown_timeout_s: float = conf.compute.shutdown_timeout
        self.detach_timeout_s: float = conf.libvirt.device_detach_attempts * conf.libvirt.device_detach_timeout
        self.driver = driver
        self.records = records
        self.conductor = conductor
        self.locks = NamedLocks()
        self.turns = Preemption()
        self.builds = threading.BoundedSemaphore(conf.compute.max_concurrent_builds)
        self.clock = clock
        self.reports = PowerSync(send=self._send_power, host_of=self._host_of, is_busy=self.locks.is_held)

    def shutdown_timeout_s(self, server_id: str) -> float:
        """Seconds that the guest has to power off by itself: as its image says, else as this host does."""
        record = self.records.get(server_id)
        said = record.guest.image.properties.get("os_shutdown_timeout", "") if record else ""
        return float(said) if said.isdecimal() else self._shutdown_timeout_s

    @contextlib.contextmanager
    def action(  # noqa: PLR0913 - of whom, which, and what it means for others
        self, ctxt: Context, server_id: str, action_id: int, name: str, *, wanted: Wanted | None = None,
        cuts: frozenset[str] = frozenset(),
    ) -> Iterator[Guest]:
        """The frame around one action on a guest that is here; yields the guest.

        Holds the server's lock, writes one line, and tells the conductor once: done, or failed and why.
        `wanted`: what the power is to be after a restart of the host from now on. `cuts`: names of older actions
        that need not end by themselves: the guest's power is cut under them.

        :raises errors.StaleRequest: the action came again after it, or a newer one, was done; nothing is to be done.
        :raises errors.HypervisorFailed: the server is not here (the conductor was told).
        """
        if cuts:
            self._cut_short(server_id, action_id, cuts)
        with self.locks.hold(server_id), self.turns.take(server_id, action_id, name):
            began = self.clock()
            guest = self._admit(ctxt, server_id, action_id, name)
            try:
                yield guest
                power = self._remember(server_id, action_id, wanted)
            except Exception as error:  # noqa: BLE001 - the frame: whatever happens, the conductor hears of it
                self._failed(ctxt, server_id, action_id, name, error)
                return
            LOG.info("server %s: %s done in %.2f s", server_id, name, self.clock() - began)
            self._done(ctxt, guest, action_id, power)

    def _admit(self, ctxt: Context, server_id: str, action_id: int, name: str) -> Guest:
        record = self.records.get(server_id)
        if record is None or record.phase is not Phase.BUILT:
            missing = errors.HypervisorFailed(host=self.name, action=name, reason="the server is not on this host")
            self._failed(ctxt, server_id, action_id, name, missing)
            raise missing
        if action_id == record.last_action:
            # The cast came twice; the first telling of its outcome may be what was lost.
            self._done(ctxt, record.guest, action_id, self.driver.power.state(server_id))
        if action_id <= record.last_action:
            raise errors.StaleRequest(id=server_id, fence=action_id, known=record.last_action)
        self.turns.check(server_id, action_id)
        return record.guest

    def _cut_short(self, server_id: str, action_id: int, cuts: frozenset[str]) -> None:
        """Make an older action that holds the server's lock end at once, if it is one of `cuts`."""
        record = self.records.get(server_id)
        if record is None or action_id <= record.last_action:
            return
        cut = self.turns.overtake(server_id, action_id, cuts=cuts)
        if cut is not None:
            LOG.info("server %s: action %s cuts its %s short", server_id, action_id, cut)
            try:
                self.driver.power.stop(server_id, timeout_s=0)
            except errors.HypervisorFailed as error:
                LOG.warning("server %s: its %s could not be cut short: %s", server_id, cut, error.text)

    def _done(self, ctxt: Context, guest: Guest, action_id: int, power: Power) -> None:
        self.reports.told(guest.server_id, power)
        self.conductor.action_done(
            ctxt, server_id=guest.server_id, action_id=action_id, host=guest.host, power_state=int(power)
        )

    def _remember(self, server_id: str, action_id: int, wanted: Wanted | None) -> Power:
        record = self.records.get(server_id)
        if record is not None:
            self.records.put(
                dataclasses.replace(record, last_action=action_id, wanted=wanted or record.wanted)
            )
        return self.driver.power.state(server_id)

    def _failed(self, ctxt: Context, server_id: str, action_id: int, name: str, error: Exception) -> None:
        if isinstance(error, errors.NovaLiteError):
            LOG.warning("server %s: %s failed: %s", server_id, name, error.text)
            reason = error.text
        elif isinstance(error, OSError):  # a full or broken disk, of whom the user and the operator must know
            LOG.exception("server %s: %s failed", server_id, name)
            reason = f"host {self.name}: {name} failed: {error.strerror}: {error.filename}"
        else:
            LOG.exception("server %s: %s failed", server_id, name)
            reason = f"host {self.name}: {name} failed inside the compute worker; the operator's log has the details"
        self.conductor.action_failed(
            ctxt, server_id=server_id, action_id=action_id, host=self._host_of(server_id) or self.name, reason=reason
        )

    def _host_of(self, server_id: str) -> str | None:
        record = self.records.get(server_id)
        return record.guest.host if record else None

    def _send_power(self, host: str, states: tuple[PowerState, ...]) -> None:
        self.conductor.power_changed(system_context(), host=host, states=states)
