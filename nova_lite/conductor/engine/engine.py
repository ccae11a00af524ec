# SPDX-License-Identifier: Apache-2.0
"""The workflow engine: carries actions from step to step, by journal and reports; no thread waits for a worker."""

from __future__ import annotations

import datetime
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.engine import journal, passing
from nova_lite.conductor.engine.execution import Execution, Progress, Remembered, load, notify
from nova_lite.conductor.engine.journal import Entry, LeaseLost
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import (
    COMPUTE,
    ControlStep,
    HostStep,
    HostUndo,
    NotNow,
    S,
    Step,
    UnknownStep,
    WhenDown,
    Workflow,
)
from nova_lite.db import clock, database_epoch
from nova_lite.db.compute.actions import FAILED, UNDOING
from nova_lite.rpc.conductor import Outcome, StepReport
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
# What undoes an action after its deadline, or goes forward after its pivot, has this long.
GRACE_S = 120.0


class Engine:
    """`submit(work, project_id)` runs control steps beside reports, for projects in turn; `wake(seconds, work)` runs them later; `owner` is in leases."""

    def __init__(
        self, services: Services, workflows: Mapping[str, Workflow[Any]], *, owner: str,
        submit: Callable[[Callable[[], None], str], None], wake: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._services, self.workflows, self._owner = services, workflows, owner
        self._submit, self._wake = submit, wake
        self._lease_s = float(services.conf.conductor.lease_s)
        self._progress = Progress(services, owner=owner, lease_s=self._lease_s, deadline_s=self.deadline_s)
        self._lock = threading.Lock()
        self._queued: set[int] = set()
        self.active: set[int] = set()
        self._remembered = Remembered()

    def start(self, action_id: int, *, project_id: str = "") -> None:
        """Carry the action out in a thread when it is the requesting project's turn, unless that will come anyway."""
        with self._lock:
            if action_id in self._queued:
                return
            self._queued.add(action_id)
        self._submit(functools.partial(self._in_turn, action_id), project_id)

    def _in_turn(self, action_id: int) -> None:
        with self._lock:
            self._queued.discard(action_id)
        self._safely(action_id, functools.partial(self.take_up, action_id))

    def take_up(self, action_id: int) -> None:
        """Carry the action out now, in this thread; nothing happens when it is not free."""
        entry = journal.take(self._services.database, action_id, owner=self._owner, lease_s=self._lease_s)
        execution = None if entry is None else self._load(entry)
        if execution is not None:
            self._work(execution)

    def report(self, report: StepReport) -> None:
        """A worker says how its step ended. What is late, doubled or another's changes nothing."""
        self._safely(report.order.action, functools.partial(self._report, report))

    def resend(self, action_id: int) -> None:
        """Cast the step that the action awaits again, with the same order."""
        self._safely(action_id, functools.partial(self._resend, action_id))

    def expire(self, action_id: int) -> None:
        """The action's deadline has passed, and a worker has its step: it goes backward, or ends."""
        self._safely(action_id, functools.partial(self._expire, action_id))

    def host_is_down(self, action_id: int) -> None:
        """The worker that has the action's step is down."""
        self._safely(action_id, functools.partial(self._host_is_down, action_id))

    def renew_leases(self) -> None:
        """Keep what this conductor works on."""
        with self._lock:
            active = sorted(self.active)
        journal.renew(self._services.database, active, owner=self._owner, lease_s=self._lease_s)

    # Executions

    def _load(self, entry: Entry) -> Execution[Any] | None:
        """None: this release does not know the action or its steps, and it has ended."""
        workflow = self.workflows.get(entry.name)
        try:
            if workflow is None:
                raise UnknownStep(reason=f"this release does not know the action {entry.name!r}")
            return load(entry, workflow)
        except (UnknownStep, TypeError, ValueError) as unknown:
            reason = unknown.text if isinstance(unknown, errors.NovaLiteError) else f"its journal cannot be read: {unknown}"
        error = errors.WorkerError(reason=(
            f"{entry.name} was begun by another release and cannot go on: {reason}. Delete the {entry.resource_type}, or reset its state"))
        LOG.error("%s %s: %s", entry.resource_type, entry.resource_id, error.text)
        with self._services.database.writer() as session:
            journal.end(session, entry, state=FAILED, message=error.text)
            self._services.set_fault(session, entry.resource_type, entry.resource_id, error)
        return None

    def _awaiting(self, action_id: int) -> Execution[Any] | None:
        """The action as it awaits a report; None: it does not."""
        execution = self._remembered.pop(action_id)
        if execution is None:
            entry = journal.read(self._services.database, action_id)
            execution = None if entry is None or entry.awaiting_step is None else self._load(entry)
        return execution

    def _safely(self, action_id: int, work: Callable[[], None]) -> None:
        try:
            work()
        except LeaseLost:
            LOG.debug("action %s goes on elsewhere, or has ended", action_id)
        except Exception as error:  # the row is the truth: whatever broke, a reconciler takes it up again
            LOG.warning("action %s cannot go on now: %s", action_id, error, exc_info=not passing.is_passing(error))

    def _work(self, execution: Execution[S]) -> None:
        """Do control steps and control undos for as long as this conductor has the lease."""
        action_id = execution.entry.id
        with self._lock:
            self.active.add(action_id)
        try:
            while execution.entry.lease_owner == self._owner:
                if execution.entry.state == UNDOING:
                    self._undo_next(execution)
                else:
                    self._do_next(execution)
        finally:
            with self._lock:
                self.active.discard(action_id)
        self._go_on(execution)

    def _go_on(self, execution: Execution[S]) -> None:
        """After what was journaled: cast what is awaited, or work on in a thread. Not to be touched after this: its report may come at once."""
        if execution.is_resting:
            return
        if execution.entry.lease_owner is not None:
            with self._lock:
                self.active.add(execution.entry.id)  # its lease is renewed while it waits for a thread
            self._submit(functools.partial(self._safely, execution.entry.id, functools.partial(self._work, execution)),
                         execution.entry.project_id)
        else:
            self._send(execution)

    # Forward

    def _do_next(self, execution: Execution[S]) -> None:
        workflow, number = execution.workflow, execution.finished
        step = workflow.steps[number] if number < len(workflow.steps) else None
        if not isinstance(step, ControlStep):
            self._finish(execution, None)
            return
        fail(f"{workflow.name}.{step.key}.before")
        run = execution.at(number)
        try:
            execution.run = run.with_state(step.do(self._services, run))
        except Exception as error:  # noqa: BLE001 - one of the three places: what was done must be undone whatever happens
            self._failed(execution, step, error)
            return
        fail(f"{workflow.name}.{step.key}.after")
        self._finish(execution, step)

    def _finish(self, execution: Execution[S], step: Step[S] | None) -> None:
        """The step (None: none) has ended, and what follows that only writes rows."""
        try:
            ended = self._progress.finish(execution, step, execution.run)
        except Exception as error:  # noqa: BLE001 - one of the three places: rows that cannot be written fail the step
            self._failed(execution, step or execution.workflow.steps[execution.finished], error)
            return
        for part in ended:
            fail(f"{execution.workflow.name}.{part.key}.journaled")
            if part.after is not None:
                notify(self._services, execution, part.after)

    def _send(self, execution: Execution[S]) -> None:
        """Cast the awaited step, or its undo, to its worker; what cannot be sent now is sent again by a reconciler."""
        if execution.entry.awaiting_step is None:
            return
        number, step = execution.awaited()
        is_undo = execution.entry.state == UNDOING
        run = execution.at(number, is_undo=is_undo)
        if is_undo and isinstance(step.undo, HostUndo):
            fail(f"{execution.workflow.name}.{step.key}.undo")
            send = step.undo.send
        elif isinstance(step, HostStep) and step.send is not None:
            fail(f"{execution.workflow.name}.{step.key}.before")
            send = step.send
        else:
            return
        self._remembered.put(execution)
        try:
            send(self._services, run)
        except Exception as error:  # noqa: BLE001 - one of the three places: a step that cannot be sent has failed
            self._remembered.pop(execution.entry.id)
            self._step_failed(execution, step, error)
            self._go_on(execution)

    # Failures

    def _failed(self, execution: Execution[S], step: Step[S], error: Exception) -> None:
        """A control step failed: rest and try again, or undo."""
        if isinstance(error, LeaseLost):
            raise error
        passing.log(LOG, f"{execution.subject}: step {step.key} of {execution.workflow.name}", error)
        fault = passing.text_of(error, step.key)
        if passing.is_passing(error) and not self._is_late(execution):
            self._rest(execution, fault)
            if isinstance(error, NotNow) and error.then is not None:
                error.then()
        elif execution.workflow.is_past_pivot(execution.finished):
            if self._is_late(execution, GRACE_S):
                self._progress.give_up(execution, self._too_late(execution, step, fault))
            else:
                self._rest(execution, fault)
        else:
            self._progress.begin_undo(execution, step, fault)

    def _step_failed(self, execution: Execution[S], step: Step[S], error: Exception) -> None:
        """What a worker has, or should have had, failed; it may be the undo, or have been done all the same."""
        if execution.entry.state == UNDOING:
            self._undo_failed(execution, step, error)
        elif execution.is_done(self._services, step):
            LOG.info("%s: step %s of %s is done, though %s", execution.subject, step.key, execution.workflow.name, error)
            fail(f"{execution.workflow.name}.{step.key}.after")
            self._finish(execution, step)
        else:
            self._failed(execution, step, error)

    def _undo_failed(self, execution: Execution[S], step: Step[S], error: Exception) -> None:
        if isinstance(error, LeaseLost):
            raise error
        passing.log(LOG, f"{execution.subject}: step {step.key} of {execution.workflow.name}", error)
        fault = passing.text_of(error, step.key)
        if self._is_late(execution, GRACE_S):
            self._progress.give_up(execution, self._too_late(execution, step, fault))
        else:
            self._rest(execution, fault)

    def _rest(self, execution: Execution[S], fault: errors.NovaLiteError) -> None:
        """Go on soon; at the latest a reconciler does, which looks at `wake_at` too."""
        seconds = passing.backoff_s(execution.entry.retries)
        awaits = execution.entry.awaiting_step is not None
        self._progress.rest(execution, fault, seconds)
        again = self.resend if awaits else functools.partial(self.start, project_id=execution.entry.project_id)
        self._wake(seconds, functools.partial(again, execution.entry.id))

    def deadline_s(self, name: str) -> float:
        """How long an action of this name may take."""
        workflow = self.workflows.get(name)
        return float(self._services.conf.conductor[workflow.deadline.value]) if workflow is not None else 0.0

    def _is_late(self, execution: Execution[S], grace_s: float = 0.0) -> bool:
        with self._services.database.reader() as session:
            age = clock.read(session) - execution.entry.start_time
        return age > datetime.timedelta(seconds=self.deadline_s(execution.entry.name) + grace_s)

    def _too_late(self, execution: Execution[S], step: Step[S], error: errors.NovaLiteError) -> errors.NovaLiteError:
        """The fault that says what is left where, and what to do."""
        direction = "be undone" if execution.entry.state == UNDOING else "end"
        where = f" on host {execution.host}" if execution.host else ""
        return errors.WorkerError(reason=(
            f"{execution.entry.name} could not {direction} within its time: step {step.key}{where} failed: {error.text} "
            f"Part of it may be left{where}; delete the {execution.entry.resource_type}, or reset its state once that is put right."))

    # Backward

    def _undo_next(self, execution: Execution[S]) -> None:
        following = self._progress.next_undo(execution)
        if following is None:
            self._progress.undo_on(execution)
        else:
            number, step = following
            fail(f"{execution.workflow.name}.{step.key}.undo")
            if isinstance(step.undo, HostUndo):
                self._undo_on_host(execution, number, step)
            else:
                try:
                    assert step.undo is not None
                    step.undo(self._services, execution.at(number, is_undo=True))
                except Exception as error:  # noqa: BLE001 - one of the three places: an undo is tried until it succeeds
                    self._undo_failed(execution, step, error)
                    return
                execution.undo_from = number

    def _undo_on_host(self, execution: Execution[S], number: int, step: Step[S]) -> None:
        """Journal that its worker undoes the step; one that is down does so later."""
        execution.undo_from = number + 1
        self._progress.undo_on(execution)
        if execution.entry.lease_owner is not None:
            self._progress.undone(execution, step)

    # Reports

    def _report(self, report: StepReport) -> None:
        execution = self._awaiting(report.order.action)
        if execution is not None and not execution.awaits(report.order):  # what was remembered may be older than the row
            execution = self._awaiting(report.order.action)
        if execution is None or not execution.awaits(report.order):
            if execution is not None and report.outcome is not Outcome.STALE:
                LOG.info("%s: a report of %s is late or doubled", execution.subject, report.host)
            return
        number, step = execution.awaited()
        if report.outcome is Outcome.STALE:
            self._stale(execution, step, report)
        elif report.outcome is Outcome.FAILED:
            kind = errors.Unavailable if report.may_pass else errors.WorkerError
            self._step_failed(execution, step, kind(reason=report.reason))
        elif execution.entry.state == UNDOING:
            self._progress.undone(execution, step)
        else:
            fail(f"{execution.workflow.name}.{step.key}.after")
            execution.run = execution.at(number).with_report(report.power_state, report.result)
            if isinstance(step, HostStep) and step.take is not None:
                execution.run = execution.run.with_state(step.take(self._services, execution.run))
            self._finish(execution, step)
        self._go_on(execution)

    def _stale(self, execution: Execution[S], step: Step[S], report: StepReport) -> None:
        """The host knows a later order. If this database has not issued it, rows were lost: the action gets a newer order."""
        known = report.known
        entry = execution.entry
        if known is not None and entry.state == UNDOING and (known.action, known.nonce) == (entry.id, entry.nonce):
            # A later undo of this action was done, so that this one was before, by a conductor that has ended.
            self._progress.undone(execution, step)
            return
        with self._services.database.reader() as session:
            is_ours = known is not None and self._services.has_issued(session, known)
        if is_ours or known is None:
            self._step_failed(execution, step, errors.WorkerError(
                reason=f"a later action, {known.action if known else 'unknown'}, was carried out on host {report.host}"))
            return
        with self._services.database.writer() as session:
            epoch = max(database_epoch.current(session), database_epoch.renew(session, above=known.epoch))
            journal.write(session, entry, epoch=epoch)
        LOG.warning("%s: host %s knows order %s, which this database has not issued: rows were lost; epoch %s begins",
                    execution.subject, report.host, known, epoch)
        execution.run = execution.run.with_epoch(epoch)

    def _resend(self, action_id: int) -> None:
        self._remembered.pop(action_id)
        execution = self._awaiting(action_id)
        if execution is not None:
            self._go_on(execution)

    def _expire(self, action_id: int) -> None:
        self._remembered.pop(action_id)
        execution = self._awaiting(action_id)
        if execution is None:
            return
        _, step = execution.awaited()
        seconds = self.deadline_s(execution.entry.name)
        is_outdated = self._services.is_outdated(step.binary if isinstance(step, HostStep) else COMPUTE, str(execution.entry.awaiting_host))
        why = "is of an earlier release, and was not upgraded" if is_outdated else "has not reported"
        self._step_failed(execution, step, execution.silence(f"{why} within {seconds:.0f} s; whether it was done is not known"))
        self._go_on(execution)

    def _host_is_down(self, action_id: int) -> None:
        self._remembered.pop(action_id)
        execution = self._awaiting(action_id)
        if execution is None:
            return
        _, step = execution.awaited()
        down = execution.silence("is down")
        if execution.entry.state == UNDOING:
            self._progress.undone(execution, step)
        elif isinstance(step, HostStep) and step.when_down is WhenDown.SKIP:
            LOG.warning("%s: %s: what it has is cleaned up when it is back", execution.subject, down.text)
            self._finish(execution, step)
        else:
            self._step_failed(execution, step, down)
        self._go_on(execution)

    def order_of(self, action_id: int) -> Order | None:
        """The order of the step that the action awaits; None: it awaits none."""
        entry = journal.read(self._services.database, action_id)
        if entry is None or entry.awaiting_step is None:
            return None
        execution = self._load(entry)
        return None if execution is None else execution.awaited_order()
