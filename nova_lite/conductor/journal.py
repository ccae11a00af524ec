# SPDX-License-Identifier: Apache-2.0
"""An action's journal: the rows of db/actions.py, written under a lease that one conductor holds."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.actions import CANCELLED, DONE, FAILED, OPEN, RUNNING, UNDOING, Action, ActionEvent
from nova_lite.db.engine import Database

if TYPE_CHECKING:
    from nova_lite.conductor.workflow import Run

Record = Callable[[Session, "Run"], None]
Clock = Callable[[], datetime.datetime]


class LeaseLost(Exception):  # noqa: N818 - not an error: somebody else has the action now
    """Another conductor took the action over, or a later action ended it."""


def take(
    database: Database, action_id: int, *, owner: str, lease_s: float, now: Clock
) -> Journal | None:
    """Take the lease of an open action that nobody works on; None: somebody does, or it is closed."""
    with database.writer() as session:
        moment = now()
        taken = session.execute(
            sa.update(Action).where(
                Action.id == action_id, Action.state.in_(OPEN),
                sa.or_(Action.lease_until.is_(None), Action.lease_until < moment),
            ).values(
                lease_owner=owner, lease_until=moment + datetime.timedelta(seconds=lease_s), updated_at=moment,
                state=sa.case((Action.state == UNDOING, UNDOING), else_=RUNNING),
            ).execution_options(synchronize_session=False))
        if not taken.rowcount:  # type: ignore[attr-defined]
            return None
        action = session.get_one(Action, action_id)
    return Journal(database, action, owner=owner, now=now)


class Journal:
    """Writes one action's progress; each write is one transaction that fails with LeaseLost when the lease is gone."""

    def __init__(self, database: Database, action: Action, *, owner: str, now: Clock) -> None:
        self._database = database
        self._owner = owner
        self._now = now
        self.action = action
        self.step: str | None = action.step
        self.error: errors.NovaLiteError | None = None
        if action.state == UNDOING:
            self.error = errors.WorkerError(action.message or "failed")

    def begin(self, name: str, run: Run) -> None:
        """The step is about to start; again after a crash is fine."""
        with self._database.writer() as session:
            self._write(session, {})
            event = session.scalars(sa.select(ActionEvent).where(
                ActionEvent.action_id == self.action.id, ActionEvent.attempt == run.attempt, ActionEvent.name == name)).first()
            if event is None:
                self._open_event(session, name, run)

    def finish(self, name: str, run: Run, *, record: Record | None, following: str | None) -> None:
        """The step is done, its rows are written, and the `following` one is about to start (None: the action is done)."""
        with self._database.writer() as session:
            values: dict[str, Any] = {"step": name, "saved": run.saved}
            if following is None:
                values |= {"state": DONE, "finish_time": self._now(), "lease_until": None}
            self._write(session, values)
            if record is not None:
                record(session, run)
            self._close_event(session, name, run, result="Success", details=None)
            if following is not None:
                self._open_event(session, following, run)
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
            session.execute(self._event(name, run).values(details=error.text))

    def start_over(self, run: Run) -> None:
        """All is undone; the action begins again as its next attempt."""
        run.attempt += 1
        with self._database.writer() as session:
            self._write(session, {"state": RUNNING, "step": None, "attempt": run.attempt, "saved": run.saved})
        self.step, self.error = None, None

    def close_failed(self, run: Run, error: errors.NovaLiteError, *, record: Record) -> None:
        """All is undone and the action has failed; `record` tells the user in the same transaction."""
        with self._database.writer() as session:
            self._write(session, {"state": FAILED, "message": error.text, "finish_time": self._now(), "lease_until": None})
            record(session, run)

    def _write(self, session: Session, values: dict[str, Any]) -> None:
        written = session.execute(
            sa.update(Action).where(
                Action.id == self.action.id, Action.lease_owner == self._owner, Action.state.in_(OPEN),
            ).values(updated_at=self._now(), **values).execution_options(synchronize_session=False))
        if not written.rowcount:  # type: ignore[attr-defined]
            raise LeaseLost

    def _open_event(self, session: Session, name: str, run: Run) -> None:
        session.execute(sa.insert(ActionEvent).values(
            action_id=self.action.id, attempt=run.attempt, name=name, host=run.saved.get("host"), start_time=self._now()))

    def _close_event(self, session: Session, name: str, run: Run, *, result: str, details: str | None) -> None:
        session.execute(self._event(name, run).values(
            finish_time=self._now(), result=result, details=details, host=run.saved.get("host")))

    def _event(self, name: str, run: Run) -> sa.Update:
        return sa.update(ActionEvent).where(
            ActionEvent.action_id == self.action.id, ActionEvent.attempt == run.attempt, ActionEvent.name == name,
        ).execution_options(synchronize_session=False)


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


def cancel_others(session: Session, *, server_id: str, action_id: int, reason: str, now: Clock) -> None:
    """End the server's other open actions: whoever works on one finds its lease lost at its next write."""
    session.execute(sa.update(Action).where(
        Action.server_id == server_id, Action.id < action_id, Action.state.in_(OPEN),
    ).values(state=CANCELLED, message=reason, finish_time=now(), lease_owner=None, lease_until=None)
        .execution_options(synchronize_session=False))
