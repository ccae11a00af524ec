# SPDX-License-Identifier: Apache-2.0
"""An action's journal: the rows of db/compute/actions.py, written under a lease that one conductor holds."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db import changes
from nova_lite.db.compute.actions import (
    ADMIN_PASS,
    DONE,
    FAILED,
    OPEN,
    QUEUED,
    RUNNING,
    UNDOING,
    Action,
    ActionEvent,
    without_secrets,
)
from nova_lite.db.engine import Database

if TYPE_CHECKING:
    from nova_lite.conductor.engine.workflow import Run

Record = Callable[[Session, "Run"], None]
Clock = Callable[[], datetime.datetime]


class LeaseLost(Exception):  # noqa: N818 - not an error: somebody else has the action now
    """Another conductor took the action over, or a later action ended it."""


# Statements are built once: building one costs several times what running it does.
_ACTIONS: Any = Action.__table__
_EVENTS: Any = ActionEvent.__table__
# A list for IN is rendered anew at every use, which doubles the cost of a small statement.
_IS_OPEN = sa.or_(*(_ACTIONS.c.state == state for state in OPEN))
_FREE = sa.select(_ACTIONS).where(
    _ACTIONS.c.id == sa.bindparam("of"), _IS_OPEN,
    sa.or_(_ACTIONS.c.lease_until.is_(None), _ACTIONS.c.lease_until < sa.bindparam("now")),
).with_for_update()
_TAKE = sa.update(_ACTIONS).where(_ACTIONS.c.id == sa.bindparam("of")).values(
    lease_owner=sa.bindparam("owner"), lease_until=sa.bindparam("until"), updated_at=sa.bindparam("now"),
    state=sa.bindparam("new_state"))
_OPEN_EVENT = sa.insert(_EVENTS).inline()
_OF_EVENT = (_EVENTS.c.action_id == sa.bindparam("of"), _EVENTS.c.attempt == sa.bindparam("in_attempt"),
             _EVENTS.c.name == sa.bindparam("named"))
_EVENT_ID = sa.select(_EVENTS.c.id).where(*_OF_EVENT)
_NOTE_EVENT = sa.update(_EVENTS).where(*_OF_EVENT).values(details=sa.bindparam("new_details"))
_CLOSE_EVENT = sa.update(_EVENTS).where(*_OF_EVENT).values(
    finish_time=sa.bindparam("now"), result=sa.bindparam("new_result"), details=sa.bindparam("new_details"),
    host=sa.bindparam("new_host"))


@functools.cache
def _write_to(columns: tuple[str, ...]) -> sa.Update:
    """An update of these columns of an action whose lease is held."""
    return sa.update(_ACTIONS).where(
        _ACTIONS.c.id == sa.bindparam("of"), _ACTIONS.c.lease_owner == sa.bindparam("owner"), _IS_OPEN,
    ).values(updated_at=sa.bindparam("now"), **{column: sa.bindparam(f"new_{column}") for column in columns})


def _rowcount(session: Session, statement: sa.Update, values: dict[str, Any]) -> int:
    return int(session.execute(statement, values).rowcount)  # type: ignore[attr-defined]


def take(  # noqa: PLR0913 - who, what, for how long, and what comes next
    database: Database, action_id: int, *, owner: str, lease_s: float, now: Clock,
    next_step: Callable[[Any], str | None] = lambda action: None,
) -> Journal | None:
    """Take the lease of an open action that nobody works on; None: somebody does, or it is closed.

    `next_step(row of the action)` says what is about to be done; it is written down in the same transaction.
    """
    with database.writer() as session:
        moment = now()
        until = moment + datetime.timedelta(seconds=lease_s)
        action: Any = session.execute(_FREE, {"of": action_id, "now": moment}).one_or_none()
        if action is None:
            return None
        state = UNDOING if action.state == UNDOING else RUNNING
        session.execute(_TAKE, {"of": action_id, "now": moment, "until": until, "owner": owner, "new_state": state})
        journal = Journal(database, action, owner=owner, now=now)
        journal.expect(session, next_step(action))
    return journal


class Journal:
    """Writes one action's progress: `action` is its row before the lease was taken, with the names of Action's columns. Each write is one transaction that fails with LeaseLost when the lease is gone."""

    def __init__(self, database: Database, action: Any, *, owner: str, now: Clock) -> None:  # noqa: ANN401 - a row
        self._database = database
        self._owner = owner
        self._now = now
        self._expected: str | None = None
        self.action = action
        self.step: str | None = action.step
        self.error: errors.NovaLiteError | None = None
        if action.state == UNDOING:
            self.error = errors.WorkerError(action.message or "failed")

    def expect(self, session: Session, name: str | None) -> None:
        """The step will start next, as far as one knows when the lease is taken."""
        self._expected = name
        if name is not None:
            write = self._open_event if self.action.state == QUEUED else self._open_event_once
            write(session, name, self.action.attempt, self.action.saved.get("host"))

    def begin(self, name: str, run: Run) -> None:
        """The step is about to start; again after a crash is fine."""
        if name == self._expected and run.attempt == self.action.attempt:
            return
        with self._database.writer() as session:
            self._write(session, {})
            self._open_event_once(session, name, run.attempt, run.saved.get("host"))

    def finish(self, name: str, run: Run, *, record: Record | None, following: str | None) -> None:
        """The step is done, its rows are written, and the `following` one is about to start (None: the action is done)."""
        with self._database.writer() as session:
            values: dict[str, Any] = {"step": name, "saved": run.saved}
            if following is None:
                values |= {"state": DONE} | self._ended()
            self._write(session, values)
            if record is not None:
                record(session, run)
            self._close_event(session, name, run, result="Success", details=None)
            if following is not None:
                self._open_event(session, following, run.attempt, run.saved.get("host"))
            else:
                changes.note(session, self.action.id, changes.Phase.END)
        self.step = name

    def begin_undo(self, name: str, run: Run, error: errors.NovaLiteError) -> None:
        """The step failed: from here on the action goes backward, also after a crash."""
        with self._database.writer() as session:
            self._write(session, {"state": UNDOING, "message": error.text, "saved": run.saved})
            self._close_event(session, name, run, result="Error", details=error.text)

    def note_failure(self, name: str, run: Run, error: errors.NovaLiteError) -> None:
        """The step failed but the action only goes forward: it will be tried again."""
        with self._database.writer() as session:
            self._write(session, {"message": error.text, "saved": run.saved})
            session.execute(_NOTE_EVENT, {**self._key(name, run), "new_details": error.text})

    def start_over(self, run: Run) -> None:
        """All is undone; the action begins again as its next attempt."""
        run.attempt += 1
        with self._database.writer() as session:
            self._write(session, {"state": RUNNING, "step": None, "attempt": run.attempt, "saved": run.saved})
        self.step, self.error = None, None

    def close_failed(self, run: Run, error: errors.NovaLiteError, *, record: Record) -> None:
        """All is undone and the action has failed; `record` tells the user in the same transaction."""
        with self._database.writer() as session:
            self._write(session, {"state": FAILED, "message": error.text} | self._ended())
            record(session, run)
            changes.note(session, self.action.id, changes.Phase.ERROR)

    def _ended(self) -> dict[str, Any]:
        """The columns that an action has when it is over."""
        over: dict[str, Any] = {"finish_time": self._now(), "lease_until": None}
        if ADMIN_PASS in self.action.inputs:
            over["inputs"] = without_secrets(self.action.inputs)
        return over

    def _write(self, session: Session, values: dict[str, Any]) -> None:
        new = {f"new_{column}": value for column, value in values.items()}
        keys = {"of": self.action.id, "owner": self._owner, "now": self._now()}
        if not _rowcount(session, _write_to(tuple(values)), keys | new):
            raise LeaseLost

    def _open_event(self, session: Session, name: str, attempt: int, host: str | None) -> None:
        session.execute(_OPEN_EVENT, {
            "action_id": self.action.id, "attempt": attempt, "name": name, "host": host, "start_time": self._now()})

    def _open_event_once(self, session: Session, name: str, attempt: int, host: str | None) -> None:
        if session.scalar(_EVENT_ID, {"of": self.action.id, "in_attempt": attempt, "named": name}) is None:
            self._open_event(session, name, attempt, host)

    def _close_event(self, session: Session, name: str, run: Run, *, result: str, details: str | None) -> None:
        session.execute(_CLOSE_EVENT, {
            **self._key(name, run), "now": self._now(), "new_result": result, "new_details": details,
            "new_host": run.saved.get("host")})

    def _key(self, name: str, run: Run) -> dict[str, Any]:
        return {"of": self.action.id, "in_attempt": run.attempt, "named": name}


def renew(database: Database, action_ids: list[int], *, owner: str, lease_s: float, now: Clock) -> None:
    """Keep the leases of actions that this conductor still works on."""
    if not action_ids:
        return
    until = now() + datetime.timedelta(seconds=lease_s)
    with database.writer() as session:
        session.execute(sa.update(Action).where(
            Action.id.in_(action_ids), Action.lease_owner == owner, Action.state.in_(OPEN),
        ).values(lease_until=until).execution_options(synchronize_session=False))


def let_go(database: Database, action_id: int, *, owner: str, until: datetime.datetime) -> None:
    """Give up the lease: the action may be taken up again at `until`."""
    with database.writer() as session:
        session.execute(sa.update(Action).where(
            Action.id == action_id, Action.lease_owner == owner, Action.state.in_(OPEN),
        ).values(lease_until=until).execution_options(synchronize_session=False))


def free(database: Database, owners: Collection[str], *, now: Clock) -> int:
    """End the leases of owners that are known to be dead; how many there were."""
    if not owners:
        return 0
    with database.writer() as session:
        freed = session.execute(sa.update(Action).where(
            Action.lease_owner.in_(owners), Action.state.in_(OPEN), Action.lease_until.is_not(None),
        ).values(lease_until=now()).execution_options(synchronize_session=False))
    return int(freed.rowcount)  # type: ignore[attr-defined]


def owners(database: Database) -> set[str]:
    """Who holds leases of open actions."""
    with database.reader() as session:
        return set(session.scalars(sa.select(Action.lease_owner).distinct().where(
            Action.state.in_(OPEN), Action.lease_owner.is_not(None), Action.lease_until.is_not(None))))
