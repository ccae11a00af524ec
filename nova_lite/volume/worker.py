# SPDX-License-Identifier: Apache-2.0
"""What every operation of a volume worker shares: backends, records, locks, and the frame around an operation."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.order import NEVER, Order
from nova_lite.rpc.volume import Backup
from nova_lite.volume.backends import Backends
from nova_lite.volume.driver import Backend
from nova_lite.volume.records import Phase, Record, Records, Subject, id_of, kind_of, volume_of
from nova_lite.worker.locks import NamedLocks
from nova_lite.worker.orders import Duplicate, Superseded, Underway, Verdict, compare
from nova_lite.worker.step_reports import StepReports

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Step:
    """A request: what is to be done with what. `removes`: all older requests about the resource are over from now on, also those
    at work. `also_locks`: ids of other volumes that must not change meanwhile.
    """

    subject: Subject
    order: Order
    name: str
    removes: bool = False
    also_locks: Sequence[str] = ()


@dataclasses.dataclass
class Operation:
    """One operation under way, as its body sees it. `result`: what its report says beside that it is done."""

    subject: Subject
    name: str
    order: Order
    worker: Worker
    record: Record | None
    result: dict[str, Any]

    @property
    def backend(self) -> Backend:
        """The volume's.

        :raises errors.VolumeFailed: it cannot be used now.
        """
        return self.worker.backends.get(volume_of(self.subject).backend, action=self.name)

    @property
    def is_in_use(self) -> bool:
        """Whether the volume is exported."""
        return bool(self.worker.records.exports_of(volume_of(self.subject).volume_id))

    def check(self) -> None:
        """Go on only while no later request has removed the resource.

        :raises Superseded: one has.
        """
        self.worker.check(self.subject, self.order)

    def put(self, phase: Phase) -> None:
        """Write down what is about to change, with the order of this operation: later ones only from here on."""
        before = self.record.result if self.record is not None else {}
        self.record = Record(subject=self.subject, phase=phase, order=self.order, result=before)
        self.worker.records.put(self.record)

    @contextlib.contextmanager
    def making(self, remove: Callable[[], None]) -> Iterator[None]:
        """Write down that the resource is being made; when what is inside fails, `remove` it, unless it was here before."""
        is_new = self.record is None
        self.put(Phase.MAKING)
        with contextlib.ExitStack() as undo:
            if is_new:
                undo.callback(remove)
            yield
            undo.pop_all()

    def failed(self, reason: object) -> errors.VolumeFailed:
        """The error of an operation that cannot be done."""
        return errors.VolumeFailed(host=self.worker.name, action=self.name, reason=reason)


class Worker:
    """The bundle that operations are given. `name`: of this worker, and of its host."""

    def __init__(self, *, name: str, backends: Backends, records: Records, reports: StepReports) -> None:
        self.name = name
        self.backends = backends
        self.records = records
        self.locks = NamedLocks()
        self.underway = Underway()
        self._reports = reports

    def run(self, ctxt: Context, step: Step, work: Callable[[Operation], None]) -> None:
        """The frame around one operation, `work`: holds the volume's lock, does each request once, and reports its outcome.

        :raises Duplicate: it is under way or was done; the conductor has the report of the latter again.
        """
        subject, order = step.subject, step.order
        key = (str(kind_of(subject)), id_of(subject))
        with self.underway.enter(id_of(subject), order), self._reports.reported(ctxt, key, order, step.name) as result:
            if step.removes:
                self._end_older(subject, order)
            check = _never if step.removes else lambda: self.check(subject, order)
            with contextlib.ExitStack() as held:
                for volume_id in sorted({volume_of(subject).volume_id, *step.also_locks}):  # in one order: none waits for the other
                    held.enter_context(self.locks.hold(volume_id, check=check))
                record = self._admit(step, result)
                operation = Operation(subject, step.name, order, self, record, result)
                if volume_of(subject).backend or not isinstance(subject, Backup):
                    operation.backend  # noqa: B018 - refused before anything is written down
                with self._recorded(operation, removes=step.removes):
                    work(operation)

    @contextlib.contextmanager
    def _recorded(self, operation: Operation, *, removes: bool) -> Iterator[None]:
        """What is kept of the resource when the operation has ended: nothing of one that was removed, or could not be made."""
        kind, resource_id, before = kind_of(operation.subject), id_of(operation.subject), operation.record
        try:
            yield
        except Exception:
            record = operation.record
            if before is None and record is not None and record.phase is Phase.MAKING:
                self.records.remove(kind, resource_id)
            raise
        if removes:
            self.records.remove(kind, resource_id)
        else:
            self.records.put(Record(
                subject=operation.subject, phase=Phase.MADE, order=operation.order, is_done=True, result=operation.result))

    def _admit(self, step: Step, result: dict[str, Any]) -> Record | None:
        """The record of the resource; None: there is none.

        :raises Duplicate: the request was carried out. :raises Superseded: a later one was.
        """
        subject, order = step.subject, step.order
        if not step.removes:
            self.check(subject, order)
        record = self.records.get(kind_of(subject), id_of(subject))
        if record is None:
            return None
        verdict = compare(order, record.order)
        if verdict is Verdict.STALE:
            raise Superseded(resource_id=id_of(subject), order=order, newest=record.order)
        if verdict is Verdict.SAME and record.is_done:
            result.update(record.result)
            raise Duplicate(id=id_of(subject), fence=order, known=order)
        return record

    def check(self, subject: Subject, order: Order) -> None:
        """:raises Superseded: a later request has removed the resource."""
        removed = self.records.tombstone(id_of(subject))
        if order.key <= removed.key:
            raise Superseded(resource_id=id_of(subject), order=order, newest=removed)

    def _end_older(self, subject: Subject, order: Order) -> None:
        """Write the tombstone, which makes what is at work on the resource give up.

        :raises Superseded: a later request was carried out.
        """
        record = self.records.get(kind_of(subject), id_of(subject))
        known = (self.records.tombstone(id_of(subject)), record.order if record else NEVER)
        newest = max(known, key=lambda one: one.key)
        if newest is not NEVER and compare(order, newest) is Verdict.STALE:
            raise Superseded(resource_id=id_of(subject), order=order, newest=newest)
        self.records.put_tombstone(id_of(subject), order)


def _never() -> None:
    """A removal waits for its turn as long as it takes."""
