# SPDX-License-Identifier: Apache-2.0
"""An action's journal: the rows of db/compute/actions.py, written by compare-and-swap under a lease or for a report."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db import changes, clock
from nova_lite.db.compute.actions import ADMIN_PASS, DONE, FAILED, OPEN, UNDOING, Action, ActionEvent, without_secrets
from nova_lite.db.engine import Database


class LeaseLost(Exception):  # not an error: another conductor has the action now
    """Another conductor took the action over, a report came twice, or a later action ended it."""


@dataclasses.dataclass
class Entry:
    """One action's row as the journal last wrote it, with the names of Action's columns.

    It may be written while `lease_owner` is this conductor, or as the answer to the step that it awaits.
    """

    id: int
    resource_type: str
    resource_id: str
    name: str
    request_id: str
    user_id: str
    project_id: str
    start_time: datetime.datetime
    message: str | None
    state: str
    step: str | None
    attempt: int
    inputs: dict[str, Any]
    saved: dict[str, Any]
    lease_owner: str | None
    epoch: int
    nonce: str
    awaiting_step: str | None
    awaiting_host: str | None
    step_started_at: datetime.datetime | None
    retries: int

    @property
    def error(self) -> errors.NovaLiteError:
        return errors.WorkerError(reason=self.message or "failed")


# Statements are built once: building one costs several times what running it does.
_ACTIONS: Any = Action.__table__
_EVENTS: Any = ActionEvent.__table__
_COLUMNS = [_ACTIONS.c[field.name] for field in dataclasses.fields(Entry)]
_FIELDS = frozenset(field.name for field in dataclasses.fields(Entry))
# A list for IN is rendered anew at every use, which doubles the cost of a small statement.
IS_OPEN = sa.or_(*(_ACTIONS.c.state == state for state in OPEN))
_FREE_LEASE = sa.or_(
    _ACTIONS.c.lease_until.is_(None), _ACTIONS.c.lease_until < clock.now(),
    # Longer than any lease lasts: the clock was set back since.
    _ACTIONS.c.lease_until > clock.after(2 * sa.bindparam("lease_s", type_=sa.Float)))
_AWAKE = sa.or_(_ACTIONS.c.wake_at.is_(None), _ACTIONS.c.wake_at <= clock.now(), _ACTIONS.c.wake_at > clock.after(60))
_IS_FREE = sa.and_(_ACTIONS.c.id == sa.bindparam("of"), IS_OPEN, _ACTIONS.c.awaiting_step.is_(None), _FREE_LEASE, _AWAKE)
_READ = sa.select(*_COLUMNS).where(_ACTIONS.c.id == sa.bindparam("of"), IS_OPEN)
_TAKE = sa.update(_ACTIONS).where(_IS_FREE).values(
    lease_owner=sa.bindparam("owner"), lease_until=clock.after(sa.bindparam("lease_s", type_=sa.Float)), updated_at=clock.now(),
    state=sa.case((_ACTIONS.c.state == UNDOING, UNDOING), else_="running"), wake_at=sa.null(),
    step_started_at=sa.func.coalesce(_ACTIONS.c.step_started_at, clock.now()))
_TAKE_AND_READ = _TAKE.returning(*_COLUMNS)
_EVENT = sa.insert(_EVENTS).values(
    {name: sa.bindparam(name, type_=_EVENTS.c[name].type) for name in ("action_id", "attempt", "name", "host", "result", "details")}
    | {"start_time": sa.func.coalesce(
        sa.bindparam("began", type_=_EVENTS.c.start_time.type), clock.after(-sa.bindparam("seconds", type_=sa.Float))),
       "finish_time": clock.now()})
# Columns whose values are moments of the database's clock: `seconds` from now.
_MOMENTS = ("lease_until", "finish_time", "step_started_at", "wake_at")


@functools.cache
def _write_to(columns: tuple[str, ...], moments: tuple[str, ...], *, is_leased: bool) -> sa.Update:
    """An update of these columns of an action that is this conductor's, or that awaits this step."""
    table = _ACTIONS
    guard = (sa.and_(table.c.lease_owner == sa.bindparam("guard"), table.c.awaiting_step.is_(None)) if is_leased
             else table.c.awaiting_step == sa.bindparam("guard"))
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    values |= {name: clock.after(sa.bindparam(f"new_{name}", type_=sa.Float)) for name in moments}
    # With the state: the report of a step must not match the undo of that step, which is awaited by the same key.
    same = (table.c[name] == sa.bindparam(f"of_{name}") for name in ("state", "attempt", "epoch", "nonce"))
    return sa.update(table).where(table.c.id == sa.bindparam("of"), *same, guard, IS_OPEN).values(updated_at=clock.now(), **values)


def write(session: Session, entry: Entry, moments: dict[str, float] | None = None, **values: Any) -> None:
    """Write columns of the action; `moments`: seconds from now for those that are times.

    :raises LeaseLost: it is not this conductor's any more, or does not await this step or undo.
    """
    moments = moments or {}
    is_leased = entry.lease_owner is not None
    statement = _write_to(tuple(values), tuple(moments), is_leased=is_leased)
    done: Any = session.execute(statement, {
        "of": entry.id, "of_state": entry.state, "of_attempt": entry.attempt, "of_epoch": entry.epoch, "of_nonce": entry.nonce,
        "guard": entry.lease_owner if is_leased else entry.awaiting_step,
        **{f"new_{name}": value for name, value in (values | moments).items()}})
    if not done.rowcount:
        raise LeaseLost
    for name, value in values.items():
        if name in _FIELDS:
            setattr(entry, name, value)


def end(session: Session, entry: Entry, *, state: str, message: str | None = None, **values: Any) -> None:
    """The action is over; what was secret of its inputs is forgotten."""
    if ADMIN_PASS in entry.inputs:
        values["inputs"] = without_secrets(entry.inputs)
    if state in (DONE, FAILED):
        values["message"] = message if state == FAILED else None
    write(session, entry, {"finish_time": 0.0}, state=state, lease_until=None, awaiting_step=None, awaiting_host=None, **values)
    changes.note(session, entry.id, changes.Phase.END if state == DONE else changes.Phase.ERROR)


@dataclasses.dataclass(frozen=True)
class Ended:
    """A step that has ended. It began at `began`, or (None) so many `seconds` ago."""

    key: str
    host: str | None
    began: datetime.datetime | None = None
    seconds: float = 0.0
    error: str | None = None


def add_events(session: Session, entry: Entry, ended: Sequence[Ended]) -> None:
    """Write the events of steps that have ended, by one statement."""
    if ended:
        session.execute(_EVENT, [{
            "action_id": entry.id, "attempt": entry.attempt, "name": step.key, "host": step.host, "began": step.began,
            "seconds": step.seconds, "result": "Success" if step.error is None else "Error", "details": step.error} for step in ended])


def take(database: Database, action_id: int, *, owner: str, lease_s: float) -> Entry | None:
    """Take the lease of an open action that nobody works on; None: somebody does, it rests, awaits a report or is over."""
    params = {"of": action_id, "owner": owner, "lease_s": lease_s}
    if database.engine.dialect.update_returning:
        with database.statement() as session:
            row = session.execute(_TAKE_AND_READ, params).one_or_none()
    else:
        with database.writer() as session:
            taken: Any = session.execute(_TAKE, params)
            row = session.execute(_READ, params).one_or_none() if taken.rowcount else None
    return None if row is None else Entry(**row._mapping)


def read(database: Database, action_id: int) -> Entry | None:
    """The action's row; None: it is over, or never was."""
    with database.reader() as session:
        row = session.execute(_READ, {"of": action_id}).one_or_none()
    return None if row is None else Entry(**row._mapping)


def renew(database: Database, action_ids: list[int], *, owner: str, lease_s: float) -> None:
    """Keep the leases of actions that this conductor still works on."""
    if not action_ids:
        return
    with database.writer() as session:
        session.execute(sa.update(Action).where(
            Action.id.in_(action_ids), Action.lease_owner == owner, Action.state.in_(OPEN),
        ).values(lease_until=clock.after(lease_s)).execution_options(synchronize_session=False))


def free(database: Database, owners: Collection[str]) -> int:
    """End the leases of owners that are known to be dead; how many there were."""
    if not owners:
        return 0
    with database.writer() as session:
        freed = session.execute(sa.update(Action).where(
            Action.lease_owner.in_(owners), Action.state.in_(OPEN), Action.lease_until.is_not(None),
        ).values(lease_until=clock.now()).execution_options(synchronize_session=False))
    return int(freed.rowcount)  # type: ignore[attr-defined]


def owners(database: Database) -> set[str]:
    """Who holds leases of open actions."""
    with database.reader() as session:
        return set(session.scalars(sa.select(Action.lease_owner).distinct().where(
            Action.state.in_(OPEN), Action.lease_owner.is_not(None), Action.lease_until.is_not(None))))
