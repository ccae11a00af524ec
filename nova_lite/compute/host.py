# SPDX-License-Identifier: Apache-2.0
"""What every operation of a compute worker shares: driver, records, locks, and the frame around an operation."""

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
from nova_lite.compute.records import DesiredPower, Phase, Progress, Record, Records
from nova_lite.compute.virt.driver import Driver
from nova_lite.context import Context, system_context
from nova_lite.hardware.extra_specs import MAX_SHUTDOWN_S
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import ConductorRpc, Outcome, PowerState, StepReport
from nova_lite.rpc.order import Order
from nova_lite.worker.locks import NamedLocks
from nova_lite.worker.orders import Duplicate, Superseded, Underway, Verdict, compare
from nova_lite.worker.step_reports import log_failure

LOG = logging.getLogger(__name__)


@dataclasses.dataclass
class Operation:
    """One operation under way, as its body sees it. `record`: what is kept of the guest when the operation is done.

    `subject`: the attachment or volume in whose order the request is; None: it is in the server's.
    """

    server_id: str
    name: str
    order: Order
    host: Host
    subject: str | None = None
    record: Record | None = None

    def check(self) -> None:
        """Go on only while no later request has destroyed the server or overtaken this one.

        :raises Superseded: one has.
        """
        self.host.check(self)

    def built(self) -> Record:
        """The record of a guest that is here.

        :raises errors.HypervisorFailed: it is not.
        """
        if self.record is None or self.record.phase is not Phase.BUILT:
            raise errors.HypervisorFailed(host=self.host.name, action=self.name, reason="the server is not on this host")
        return self.record

    def here(self) -> Record:
        """The record of a guest that is here, also in the middle of a resize.

        :raises errors.HypervisorFailed: it is not.
        """
        return self.record if self.record is not None and self.record.phase is Phase.RESIZING else self.built()

    @property
    def guest(self) -> Guest:
        """:raises errors.HypervisorFailed: it is not here."""
        return self.built().guest

    def put(self, record: Record) -> None:
        """Write down what is about to change, with the order of this operation: later ones only from here on."""
        self.record = record.with_progress(self.subject, Progress(order=self.order, is_done=False))
        self.host.records.put(self.record)


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
        self.preemption = Preemption()
        self.underway = Underway()
        self.builds = threading.BoundedSemaphore(conf.compute.max_concurrent_builds)
        self.clock = clock
        self.reports = PowerSync(send=self._send_power, record_of=self.records.get, is_busy=self.locks.is_held)

    def shutdown_timeout_s(self, server_id: str) -> float:
        """Seconds that the guest has to power off by itself: as its image says, up to ten minutes, else as this host does."""
        record = self.records.get(server_id)
        text = record.guest.image.properties.get("os_shutdown_timeout", "") if record else ""
        if not (text.isascii() and text.isdecimal()):
            return self._shutdown_timeout_s
        return float(min(int(text[:9]), MAX_SHUTDOWN_S))

    @contextlib.contextmanager
    def operation(  # noqa: PLR0913 - of which server, which, and what it means for others
        self, ctxt: Context, server_id: str, order: Order, name: str, *, desired: DesiredPower | None = None,
        interrupts: frozenset[str] = frozenset(), lock: str | None = None, destroys: bool = False, subject: str | None = None,
    ) -> Iterator[Operation]:
        """The frame around one operation: holds the server's lock, does each request once, and reports its outcome.

        `desired`: what the power is to be after a restart of the host from now on. `interrupts`: names of older
        operations that need not end by themselves: the guest's power is cut under them. `lock`: to be held instead of the
        server's. `destroys`: all older requests are over from now on, also those at work. `subject`: the attachment or volume in
        whose order the request is, so that only later ones about the same, or a destroy, make it stale.

        :raises Duplicate: it is under way or was done; the conductor has the report of the latter again.
        :raises Superseded: a later request was carried out, or is about to be; the conductor has a report.
        """
        operation = Operation(server_id, name, order, self, subject)
        with self.underway.enter(server_id, order):
            try:
                if destroys:
                    self._end_all(server_id, order)
                elif interrupts:
                    self._interrupt(server_id, order, interrupts)
                check = _never if destroys else operation.check
                with self.locks.hold(lock or server_id, check=check), self._turn(server_id, order, name, lock):
                    if not destroys:
                        self._admit(ctxt, operation)
                    operation.record = self.records.get(server_id)
                    with self._reported(ctxt, operation, desired, is_alone=lock is None):
                        yield operation
            except Superseded as stale:
                LOG.info("server %s: %s is not done: %s", server_id, name, stale.text)
                self._report(ctxt, server_id, order, Outcome.STALE, known=stale.newest)
                raise

    @contextlib.contextmanager
    def _turn(self, server_id: str, order: Order, name: str, lock: str | None) -> Iterator[None]:
        if lock is not None:
            yield
            return
        with self.preemption.take(server_id, order, name):
            yield

    @contextlib.contextmanager
    def _reported(self, ctxt: Context, operation: Operation, desired: DesiredPower | None, *, is_alone: bool) -> Iterator[None]:
        """Whatever becomes of the operation is reported, and raised no further: nobody waits for it here."""
        server_id, name, began = operation.server_id, operation.name, self.clock()
        try:
            yield
            with self.locks.hold(server_id):
                if not is_alone:  # what others did to the guest meanwhile stays
                    operation.record = self.records.get(server_id)
                power = self._remember(operation, desired)
        except Superseded:
            raise
        except Exception as error:  # noqa: BLE001 - the frame: whatever happens, the conductor gets a report
            failure = log_failure(error, kind="compute", host=self.name, subject=f"server {server_id}", action=name)
            self._report(ctxt, server_id, operation.order, Outcome.FAILED, reason=failure.reason, may_pass=failure.may_pass)
        else:
            LOG.info("server %s: %s done in %.2f s", server_id, name, self.clock() - began)
            self._report(ctxt, server_id, operation.order, Outcome.DONE, power_state=int(power))

    def _admit(self, ctxt: Context, operation: Operation) -> None:
        """Let the request be carried out.

        :raises Duplicate: it was. :raises Superseded: a later one was.
        """
        self.check(operation)
        server_id, order, record = operation.server_id, operation.order, self.records.get(operation.server_id)
        if record is None:
            return
        known = record.progress(operation.subject)
        verdict = compare(order, known.order)
        if verdict is Verdict.STALE:
            raise Superseded(resource_id=server_id, order=order, newest=known.order)
        if verdict is Verdict.SAME and known.is_done:
            # The cast came twice; the first report of its outcome may be what was lost.
            self._report(ctxt, server_id, order, Outcome.DONE, power_state=int(self.driver.power.state(server_id)))
            raise Duplicate(id=server_id, fence=order, known=order)

    def check(self, operation: Operation) -> None:
        """:raises Superseded: a later request has destroyed the server, or is about to overtake this operation."""
        server_id, order = operation.server_id, operation.order
        destroyed = self.records.tombstone(server_id)
        if order.key <= destroyed.key:
            raise Superseded(resource_id=server_id, order=order, newest=destroyed)
        if operation.subject is None:
            self.preemption.check(server_id, order)

    def _end_all(self, server_id: str, order: Order) -> None:
        """Write the tombstone, which makes builds give up, and end what waits for the guest."""
        record = self.records.get(server_id)
        newest = max(self.records.tombstone(server_id), record.order if record else order, key=lambda known: known.key)
        if compare(order, newest) is Verdict.STALE:
            raise Superseded(resource_id=server_id, order=order, newest=newest)
        self.records.put_tombstone(server_id, order)
        if self.locks.is_held(server_id):
            self.driver.guests.destroy(server_id)

    def _interrupt(self, server_id: str, order: Order, interrupts: frozenset[str]) -> None:
        """Make an older operation that holds the server's lock end at once, if it is one of `interrupts`."""
        record = self.records.get(server_id)
        if record is None or compare(order, record.order) is not Verdict.NEW:
            return
        interrupted = self.preemption.overtake(server_id, order, interrupts=interrupts)
        if interrupted is not None:
            LOG.info("server %s: request %s interrupts its %s", server_id, order, interrupted)
            try:
                self.driver.power.stop(server_id, timeout_s=0)
            except errors.HypervisorFailed as error:
                LOG.warning("server %s: its %s could not be interrupted: %s", server_id, interrupted, error.text)

    def _remember(self, operation: Operation, desired: DesiredPower | None) -> Power:
        """The operation is done: its order, what it left and the power that the conductor will know.

        One that held no lock of the server may end after a later one, whose record stays.
        """
        server_id, record = operation.server_id, operation.record
        power = self.driver.power.state(server_id)
        if record is not None and self.records.get(server_id) is not None:
            if compare(operation.order, record.progress(operation.subject).order) is not Verdict.STALE:
                done = record.with_progress(operation.subject, Progress(order=operation.order))
                self.records.put(dataclasses.replace(done, desired_power=desired or record.desired_power))
            self.reports.reported(server_id, power)
        return power

    def _report(  # noqa: PLR0913 - the report's parts
        self, ctxt: Context, server_id: str, order: Order, outcome: Outcome, *, power_state: int | None = None, reason: str = "",
        may_pass: bool = False, known: Order | None = None,
    ) -> None:
        record = self.records.get(server_id)
        self.conductor.report_step(ctxt, report=StepReport(
            order=order, resource_type="server", resource_id=server_id, host=record.guest.host if record else self.name,
            outcome=outcome, power_state=power_state, reason=reason, may_pass=may_pass, known=known))

    def _send_power(self, host: str, states: tuple[PowerState, ...]) -> None:
        self.conductor.power_changed(system_context(), host=host, states=states)


def _never() -> None:
    """A destroy waits for its turn as long as it takes."""
