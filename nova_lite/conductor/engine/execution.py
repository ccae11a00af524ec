# SPDX-License-Identifier: Apache-2.0
"""One action in a conductor's hands, and how its journal moves from step to step: forward, backward, to its end."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine import journal
from nova_lite.conductor.engine.journal import Ended, Entry
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import (
    Act,
    ControlStep,
    HostStep,
    HostUndo,
    RowStep,
    Run,
    S,
    Step,
    WhenDown,
    Workflow,
)
from nova_lite.context import Context
from nova_lite.db import clock
from nova_lite.db.compute.actions import DONE, FAILED, RUNNING, UNDOING
from nova_lite.rpc.order import LAST_SEQUENCE, Order
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)
# Actions whose state a conductor remembers between two steps.
_REMEMBERED = 2000


@dataclasses.dataclass
class Execution(Generic[S]):
    """An action's row, its workflow, and what its steps see. `undo_from`: undos of the steps before it are still to be done."""

    entry: Entry
    workflow: Workflow[S]
    run: Run[S]
    undo_from: int = 0
    is_resting: bool = False
    began: float | None = None  # when the present step began, by this process's monotonic clock

    @property
    def finished(self) -> int:
        return self.workflow.position(self.entry.step)

    @property
    def host(self) -> str | None:
        return self.run.state.host or None

    @property
    def subject(self) -> str:
        return f"{self.entry.resource_type} {self.entry.resource_id}"

    def at(self, number: int, *, is_undo: bool = False) -> Run[S]:
        """The run as the step of this number (from 0) sees it: with its order."""
        sequence = LAST_SEQUENCE - number if is_undo else number + 1
        return dataclasses.replace(self.run, order=dataclasses.replace(self.run.order, sequence=sequence))

    def awaited(self) -> tuple[int, Step[S]]:
        """The step that a worker has, and its number."""
        number = self.workflow.position(self.entry.awaiting_step) - 1
        return number, self.workflow.steps[number]

    def awaited_order(self) -> Order:
        number, _ = self.awaited()
        return self.at(number, is_undo=self.entry.state == UNDOING).order

    def awaits(self, order: Order) -> bool:
        """Whether it awaits the report of this very order."""
        return self.entry.awaiting_step is not None and self.awaited_order() == order

    def is_done(self, services: Services, step: Step[S]) -> bool:
        """Whether the step has been done, whatever was reported of it."""
        number = self.workflow.position(step.key) - 1
        return isinstance(step, HostStep) and step.is_done is not None and step.is_done(services, self.at(number))

    def silence(self, what: str) -> errors.NovaLiteError:
        """The error of the awaited step, whose worker `what`; with what has failed before."""
        _, step = self.awaited()
        before = f"{self.entry.message}; " if self.entry.message else ""
        worker = step.binary if isinstance(step, HostStep) else "its worker"
        return errors.WorkerError(reason=f"{before}{worker} on {self.entry.awaiting_host} {what}")

    def ended(self, step: Step[S], error: str | None = None) -> Ended:
        """The event of the present step."""
        if self.began is not None:
            return Ended(step.key, self.host, None, time.monotonic() - self.began, error)
        return Ended(step.key, self.host, self.entry.step_started_at or self.entry.start_time, 0.0, error)


class Remembered:
    """Executions between two steps, by action, so that a report costs no query; bounded, and safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: collections.OrderedDict[int, Execution[Any]] = collections.OrderedDict()

    def put(self, execution: Execution[Any]) -> None:
        """Remember it; beyond the bound the one that has waited longest is forgotten."""
        with self._lock:
            self._executions[execution.entry.id] = execution
            if len(self._executions) > _REMEMBERED:
                self._executions.popitem(last=False)

    def pop(self, action_id: int) -> Execution[Any] | None:
        """Forget it; None: it is not remembered."""
        with self._lock:
            return self._executions.pop(action_id, None)


def is_skipped(step: Step[S], run: Run[S]) -> bool:
    """Whether it is a step of the conductor that is not needed, and ends without a trace."""
    return isinstance(step, ControlStep) and step.needed is not None and not step.needed(run)


def load(entry: Entry, workflow: Workflow[S]) -> Execution[S]:
    """:raises UnknownStep, TypeError, ValueError: this release does not know its steps or cannot read its state."""
    ctxt = Context(user_id=entry.user_id, project_id=entry.project_id, request_id=entry.request_id)
    order = Order(epoch=entry.epoch, action=entry.id, attempt=entry.attempt, nonce=entry.nonce)
    run = Run(ctxt=ctxt, resource_id=entry.resource_id, action_id=entry.id, state=workflow.load(entry.inputs, entry.saved), order=order)
    execution = Execution(entry, workflow, run)
    execution.undo_from = min(execution.finished + 1, len(workflow.steps))
    while execution.undo_from < len(workflow.steps) and is_skipped(workflow.steps[execution.undo_from - 1], run):
        execution.undo_from += 1  # the step that failed is the next one that was needed
    if entry.awaiting_step is not None:
        number, _ = execution.awaited()
        if entry.state == UNDOING:
            execution.undo_from = number + 1
    return execution


class Progress:
    """Journals what has happened to an execution and what comes next; each method is one transaction."""

    def __init__(self, services: Services, *, owner: str, lease_s: float, deadline_s: Callable[[str], float]) -> None:
        self._services, self._owner, self._lease_s, self._deadline_s = services, owner, lease_s, deadline_s

    @contextlib.contextmanager
    def _journaling(self, execution: Execution[S]) -> Iterator[Session]:
        """One transaction; when it is rolled back, the execution is as before."""
        before, run, undo_from = dataclasses.replace(execution.entry), execution.run, execution.undo_from
        try:
            with self._services.database.writer() as session:
                yield session
        except BaseException:
            execution.entry, execution.run, execution.undo_from = before, run, undo_from
            raise

    def finish(self, execution: Execution[S], step: Step[S] | None, run: Run[S]) -> list[Step[S]]:
        """`step` has ended (None: none has), and with it all after it that only write rows; what has ended."""
        workflow = execution.workflow
        # Not the next after the last that is journaled: a later release may have put steps that are not needed between both.
        number = workflow.position(step.key) if step is not None else execution.finished
        ended = [step] if step is not None else []
        execution.run = dataclasses.replace(run, order=dataclasses.replace(run.order, sequence=0))
        while number < len(workflow.steps) and self._only_writes_rows(workflow.steps[number], execution.run):
            if isinstance(workflow.steps[number], ControlStep):  # it is not needed, and leaves no event
                number += 1
                continue
            fail(f"{workflow.name}.{workflow.steps[number].key}.before")
            ended.append(workflow.steps[number])
            number += 1
        events = [execution.ended(part) if part is step else Ended(part.key, execution.host) for part in ended]
        with self._journaling(execution) as session:
            self._write_forward(session, execution, number)
            for part in ended:
                _record(session, execution, part)
            journal.add_events(session, execution.entry, events)
        return ended

    def _write_forward(self, session: Session, execution: Execution[S], number: int) -> None:
        """The row's columns when the steps before `number` are done."""
        entry, workflow = execution.entry, execution.workflow
        values: dict[str, Any] = {"saved": workflow.dump(execution.run.state, entry.inputs), "retries": 0, "message": None}
        if number:
            values["step"] = workflow.steps[number - 1].key
        if number < len(workflow.steps):
            self._begin_step(session, execution, workflow.steps[number], values)
        else:
            journal.end(session, entry, state=DONE, **values)
            entry.lease_owner = None

    def _begin_step(self, session: Session, execution: Execution[S], step: Step[S], values: dict[str, Any]) -> None:
        """The action awaits the step's report, or this conductor works on it under its lease."""
        host = step.host(execution.run) if isinstance(step, HostStep) else None
        self._wait_or_work(session, execution, (step.key, host) if host is not None else None, {"state": RUNNING, **values})

    def _wait_or_work(
        self, session: Session, execution: Execution[S], awaiting: tuple[str, str] | None, values: dict[str, Any]
    ) -> None:
        entry, moments = execution.entry, {"step_started_at": 0.0}
        values["wake_at"] = None
        if awaiting is not None:
            values |= {"awaiting_step": awaiting[0], "awaiting_host": awaiting[1], "lease_owner": None, "lease_until": None}
        elif entry.lease_owner is None:
            values |= {"awaiting_step": None, "awaiting_host": None, "lease_owner": self._owner}
            moments["lease_until"] = self._lease_s
        journal.write(session, entry, moments, **values)
        execution.began = time.monotonic()

    def _only_writes_rows(self, step: Step[S], run: Run[S]) -> bool:
        if isinstance(step, HostStep):
            return self._is_skipped(step.binary, step.host(run), step.when_down)
        if isinstance(step, ControlStep):
            return is_skipped(step, run)
        return isinstance(step, RowStep)

    def _is_skipped(self, binary: str, host: str | None, when_down: WhenDown) -> bool:
        """Whether no worker needs to do anything: there is none, or it is down and cleans up when it is back."""
        if host is not None and (when_down is not WhenDown.SKIP or not self._services.is_down(binary, host)):
            return False
        if host is not None:
            LOG.warning("%s on %s is down: what it has is cleaned up when it is back", binary, host)
        return True

    # Backward

    def begin_undo(self, execution: Execution[S], step: Step[S], error: errors.NovaLiteError) -> None:
        """The step failed: from here on the action goes backward, also after a crash."""
        event = execution.ended(step, error.text)
        execution.undo_from = execution.workflow.position(step.key)
        with self._journaling(execution) as session:
            saved = execution.workflow.dump(execution.run.state, execution.entry.inputs)
            self._write_backward(session, execution, {"message": error.text, "saved": saved, "retries": 0}, error)
            journal.add_events(session, execution.entry, [event])

    def undone(self, execution: Execution[S], step: Step[S]) -> None:
        """The step's undo is done; its rows are written."""
        execution.undo_from = execution.workflow.position(step.key) - 1
        with self._journaling(execution) as session:
            self._write_backward(session, execution, {"retries": 0}, execution.entry.error)
            if isinstance(step.undo, HostUndo) and step.undo.record is not None:
                step.undo.record(session, execution.run)

    def undo_on(self, execution: Execution[S]) -> None:
        """Journal the next undo of a worker, or the end, since no control undo comes before."""
        with self._journaling(execution) as session:
            self._write_backward(session, execution, {}, execution.entry.error)

    def next_undo(self, execution: Execution[S]) -> tuple[int, Step[S]] | None:
        """The step that is to be undone next, with its number; None: all is undone."""
        for number in range(execution.undo_from - 1, -1, -1):
            step = execution.workflow.steps[number]
            if step.undo is not None and not self._is_undo_skipped(step, execution.run):
                return number, step
        return None

    def _is_undo_skipped(self, step: Step[S], run: Run[S]) -> bool:
        if isinstance(step, ControlStep):
            return is_skipped(step, run)
        return (isinstance(step.undo, HostUndo) and isinstance(step, HostStep) and step.undo.record is None
                and self._is_skipped(step.binary, step.host(run), step.undo.when_down))

    def _write_backward(
        self, session: Session, execution: Execution[S], values: dict[str, Any], error: errors.NovaLiteError
    ) -> None:
        """The row's columns when the undo of the next step begins, or all is undone."""
        following = self.next_undo(execution)
        if following is None:
            self._end_undone(session, execution, error, values)
            return
        number, step = following
        execution.undo_from = number + 1
        host = step.host(execution.run) if isinstance(step.undo, HostUndo) and isinstance(step, HostStep) else None
        if host is not None and isinstance(step, HostStep) and isinstance(step.undo, HostUndo) and self._is_skipped(
                step.binary, host, step.undo.when_down):
            host = None
        self._wait_or_work(session, execution, (step.key, host) if host is not None else None, {"state": UNDOING, **values})

    def _end_undone(
        self, session: Session, execution: Execution[S], error: errors.NovaLiteError, values: dict[str, Any]
    ) -> None:
        """All is undone: the next attempt begins, or the action has failed."""
        workflow, entry = execution.workflow, execution.entry
        state = workflow.again(self._services, execution.run, error)
        if state is None or clock.read(session) - entry.start_time > datetime.timedelta(seconds=self._deadline_s(entry.name)):
            fail(f"{workflow.name}.failed.before")
            values.pop("message", None)
            journal.end(session, entry, state=FAILED, message=error.text, **values)
            entry.lease_owner = None
            workflow.failed(session, execution.run, error)
            self._services.add_message(session, entry.name, execution.run, error)
            return
        order = dataclasses.replace(execution.run.order, attempt=entry.attempt + 1)
        execution.run = dataclasses.replace(execution.run, state=state, order=order)
        values |= {"saved": workflow.dump(state, entry.inputs), "step": None, "attempt": entry.attempt + 1, "retries": 0}
        self._begin_step(session, execution, workflow.steps[0], values)

    def give_up(self, execution: Execution[S], error: errors.NovaLiteError) -> None:
        """The action cannot end as it should: it has failed, and the resource's fault says what is left to be done."""
        entry = execution.entry
        LOG.error("%s: %s is given up: %s", execution.subject, entry.name, error.text)
        with self._journaling(execution) as session:
            journal.end(session, entry, state=FAILED, message=error.text)
            self._services.set_fault(session, entry.resource_type, entry.resource_id, error)
            self._services.add_message(session, entry.name, execution.run, error)
        entry.lease_owner = None

    def rest(self, execution: Execution[S], error: errors.NovaLiteError, seconds: float) -> None:
        """A failure that may pass: go on after so many seconds. What awaits a worker goes on awaiting it.

        The message of what is undone stays: it says why that is, which the user is to see in the end.
        """
        entry = execution.entry
        values: dict[str, Any] = {"message": entry.message if entry.state == UNDOING else error.text, "retries": entry.retries + 1}
        if entry.lease_owner is not None:
            values |= {"lease_owner": None, "lease_until": None}
        with self._journaling(execution) as session:
            journal.write(session, entry, {"wake_at": seconds}, **values)
        execution.is_resting = True



def _record(session: Session, execution: Execution[S], step: Step[S]) -> None:
    if step.record is not None:
        state = step.record(session, execution.run)
        if state is not None:
            execution.run = dataclasses.replace(execution.run, state=state)


def notify(services: Services, execution: Execution[S], after: Act[S]) -> None:
    """Notify others of what is committed: best effort."""
    try:
        after(services, execution.run)
    except Exception:  # a reconciler repeats it; the workflow is not to suffer
        name = after.func.__name__ if isinstance(after, functools.partial) else getattr(after, "__name__", repr(after))
        LOG.warning("%s: notification %s failed", execution.subject, name, exc_info=True)


