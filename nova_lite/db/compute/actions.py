# SPDX-License-Identifier: Apache-2.0
"""Actions on resources and their events: at once the log that users read and the journal that survives a crash."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import secrets
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import changes, clock
from nova_lite.db.base import Base, LongText, utcnow
from nova_lite.db.database_epoch import DatabaseEpoch

# An action's `state`: how its work stands. Ends are DONE, FAILED and CANCELLED.
QUEUED, RUNNING, UNDOING, DONE, FAILED, CANCELLED = "queued", "running", "undoing", "done", "failed", "cancelled"
OPEN = (QUEUED, RUNNING, UNDOING)
# Requested, and not begun before another action has ended; a reconciler puts a new action in its place then.
WAITING = "waiting"
SERVER, VOLUME, SNAPSHOT, ATTACHMENT = "server", "volume", "snapshot", "attachment"


class Action(Base):
    """One operation on one resource. `step`: the key of the last step finished; `saved`: the workflow's state.

    A conductor, `lease_owner`, works on it until `lease_until`; then any other may take it over. While `awaiting_step`
    is set nobody does: the worker on `awaiting_host` has that step, and its report wakes the action. `wake_at`: it
    rests until then, after `retries` failures that may pass. `epoch` and `nonce` are those of its orders to workers.
    """

    __tablename__ = "actions"
    __table_args__ = (sa.Index("ix_actions_state_lease_until", "state", "lease_until"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    resource_type: Mapped[str] = mapped_column(sa.String(32), default=SERVER, server_default=SERVER)
    resource_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    request_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    project_id: Mapped[str] = mapped_column(sa.String(64))
    start_time: Mapped[datetime.datetime] = mapped_column(default=utcnow)
    finish_time: Mapped[datetime.datetime | None]
    updated_at: Mapped[datetime.datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    message: Mapped[str | None] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.String(16), default=QUEUED)
    step: Mapped[str | None] = mapped_column(sa.String(64))
    attempt: Mapped[int] = mapped_column(default=1)
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    saved: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lease_owner: Mapped[str | None] = mapped_column(sa.String(64))
    lease_until: Mapped[datetime.datetime | None]
    epoch: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    nonce: Mapped[str] = mapped_column(sa.String(16), default="", server_default="")
    awaiting_step: Mapped[str | None] = mapped_column(sa.String(64))
    awaiting_host: Mapped[str | None]
    step_started_at: Mapped[datetime.datetime | None]
    wake_at: Mapped[datetime.datetime | None]
    retries: Mapped[int] = mapped_column(default=0, server_default="0")


class ActionEvent(Base):
    """One step of an action that has ended: `result` Success or Error. The one under way is in the action's own row."""

    __tablename__ = "action_events"
    __table_args__ = (sa.UniqueConstraint("action_id", "attempt", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    action_id: Mapped[int] = mapped_column(sa.ForeignKey("actions.id"))
    attempt: Mapped[int] = mapped_column(default=1)
    name: Mapped[str] = mapped_column(sa.String(64))
    host: Mapped[str | None]
    start_time: Mapped[datetime.datetime] = mapped_column(default=utcnow)
    finish_time: Mapped[datetime.datetime | None]
    result: Mapped[str | None] = mapped_column(sa.String(16))
    details: Mapped[str | None] = mapped_column(LongText)


def add(
    session: Session, *, server_id: str, name: str, request_id: str, user_id: str, project_id: str,
    inputs: dict[str, Any] | None = None, state: str = QUEUED,
) -> Action:
    """As `record`; the action itself, for callers that have more to write on it."""
    return session.get_one(Action, record(
        session, server_id=server_id, name=name, request_id=request_id, user_id=user_id, project_id=project_id,
        inputs=inputs, state=state))


def record(
    session: Session, *, server_id: str, name: str, request_id: str, user_id: str, project_id: str,
    inputs: dict[str, Any] | None = None, state: str = QUEUED,
) -> int:
    """Write an action of a server by one INSERT; its id."""
    return begin(session, (SERVER, server_id), name, Requester(request_id, user_id, project_id), inputs=inputs, state=state).id


@dataclasses.dataclass(frozen=True)
class Requester:
    """On whose behalf an action is done."""

    request_id: str
    user_id: str
    project_id: str


@dataclasses.dataclass(frozen=True)
class Awaiting:
    """Where a new action stands whose first steps are done: a worker has the `step`; `saved` is the workflow's state."""

    done: str | None
    step: str | None
    host: str | None
    saved: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Begun:
    """A new action: what its orders to workers are made of."""

    id: int
    epoch: int
    nonce: str


def begin(  # the columns of an action
    session: Session, resource: tuple[str, str], name: str, requester: Requester, *, inputs: dict[str, Any] | None = None,
    state: str = QUEUED, awaiting: Awaiting | None = None,
) -> Begun:
    """Write an action of a resource (type, id) by one INSERT; `awaiting`: what the caller casts once this is committed."""
    nonce = secrets.token_hex(4)
    at = awaiting or Awaiting(done=None, step=None, host=None, saved={})
    row = session.execute(_ADD, {
        "resource_type": resource[0], "resource_id": resource[1], "name": name, "request_id": requester.request_id,
        "user_id": requester.user_id, "project_id": requester.project_id, "inputs": inputs or {}, "saved": at.saved,
        "state": RUNNING if awaiting else state, "nonce": nonce, "step": at.done, "awaiting_step": at.step, "awaiting_host": at.host,
        "attempt": 1, "retries": 0, "is_over": state == DONE}).one()
    if state != WAITING:
        changes.note(session, row.id, changes.Phase.ALONE if state == DONE else changes.Phase.START)
    return Begun(int(row.id), int(row.epoch), nonce)


# The administrator's password, sealed; for a config drive, and forgotten when the action ends.
ADMIN_PASS = "admin_pass"


def without_secrets(inputs: dict[str, Any]) -> dict[str, Any]:
    """What may stay when the action has ended."""
    return {name: value for name, value in inputs.items() if name != ADMIN_PASS}


_TABLE: Any = Action.__table__
_ADD = sa.insert(_TABLE).values(
    {name: sa.bindparam(name, type_=_TABLE.c[name].type) for name in (
        "resource_type", "resource_id", "name", "request_id", "user_id", "project_id", "inputs", "saved", "state", "nonce",
        "step", "awaiting_step", "awaiting_host", "attempt", "retries")}
    | {"epoch": sa.func.coalesce(sa.select(DatabaseEpoch.epoch).scalar_subquery(), 0),
       "start_time": clock.now(), "updated_at": clock.now(),
       "finish_time": sa.case((sa.bindparam("is_over", type_=sa.Boolean), clock.now()), else_=sa.null())},
).returning(_TABLE.c.id, _TABLE.c.epoch)


def cancel_open(  # which, why and when
    session: Session, *, server_id: str, before: int | None, reason: str, now: datetime.datetime | None = None,
    names: Collection[str] | None = None, states: Collection[str] = (*OPEN, WAITING),
) -> None:
    """End the server's open actions, those older than `before` or all: a conductor that works on one finds its lease lost.

    `names`, `states`: only actions of these.
    """
    statements = _ending_open(None if names is None else tuple(names), tuple(states), is_before=before is not None)
    which = {"of": server_id, **({} if before is None else {"before": before})}
    session.flush()
    if changes.are_noted(session):
        for action_id in session.connection().scalars(statements[0], which).all():
            changes.note(session, action_id, changes.Phase.ERROR)
    session.connection().execute(statements[1], {**which, "reason": reason, "now": now or utcnow()})


@functools.cache  # building a statement costs several times what running it does
def _ending_open(names: tuple[str, ...] | None, states: tuple[str, ...], *, is_before: bool) -> tuple[sa.Select[Any], sa.Update]:
    """Select and cancel the actions that cancel_open means."""
    table: Any = Action.__table__
    are_open = [table.c.resource_id == sa.bindparam("of"), table.c.state.in_(states)]
    if names is not None:
        are_open.append(table.c.name.in_(names))
    if is_before:
        are_open.append(table.c.id < sa.bindparam("before"))
    return sa.select(table.c.id).where(*are_open), sa.update(table).where(*are_open).values(
        state=CANCELLED, message=sa.bindparam("reason", type_=sa.Text), finish_time=sa.bindparam("now", type_=table.c.finish_time.type),
        lease_owner=None, lease_until=None)


def newest(session: Session, resource_id: str) -> int | None:
    """Id of the resource's newest action; None: it has none."""
    return session.scalar(sa.select(sa.func.max(Action.id)).where(Action.resource_id == resource_id))


def is_waiting(session: Session, server_id: str) -> bool:
    """Whether an action of the server waits for another's end."""
    return session.scalar(sa.select(sa.exists().where(Action.resource_id == server_id, Action.state == WAITING))) is True


def open_action(session: Session, server_id: str, *, names: Collection[str]) -> int | None:
    """Id of the server's open action of one of these names; None: there is none."""
    matching = (Action.resource_type == SERVER, Action.resource_id == server_id, Action.state.in_(OPEN), Action.name.in_(names))
    return session.scalar(sa.select(Action.id).where(*matching).order_by(Action.id.desc()).limit(1))


def has_open(session: Session, resource: tuple[str, str]) -> bool:
    """Whether an action of the resource (type, id) is open."""
    resource_type, resource_id = resource
    return session.scalar(sa.select(sa.exists().where(
        Action.resource_type == resource_type, Action.resource_id == resource_id, Action.state.in_(OPEN)))) is True


def outcome(session: Session, action_id: int) -> tuple[str, str | None]:
    """How the action stands: its state, and why it failed."""
    state, message = session.execute(sa.select(Action.state, Action.message).where(Action.id == action_id)).one()
    return state, message


def of_server(session: Session, server_id: str) -> list[Action]:
    """The server's actions, newest first."""
    return list(session.scalars(
        sa.select(Action).where(Action.resource_id == server_id).order_by(Action.id.desc())))


def by_request(session: Session, server_id: str, request_id: str) -> Action | None:
    """The server's action that the request began."""
    return session.scalars(sa.select(Action).where(
        Action.resource_id == server_id, Action.request_id == request_id).order_by(Action.id.desc()).limit(1)).first()


def events(session: Session, action: Action) -> list[ActionEvent]:
    """The action's events, oldest first; the last one is under way where a worker has a step."""
    ended = list(session.scalars(
        sa.select(ActionEvent).where(ActionEvent.action_id == action.id).order_by(ActionEvent.id)))
    if action.awaiting_step is None or action.state not in (QUEUED, RUNNING):
        return ended
    under_way = ActionEvent(
        action_id=action.id, attempt=action.attempt, name=action.awaiting_step, host=action.saved.get("host"),
        start_time=action.step_started_at or action.start_time, finish_time=None, result=None, details=None)
    return [*(event for event in ended if event.finish_time is not None), under_way]


_HAS_ENDED = Action.state.in_((DONE, FAILED, CANCELLED))


def crowded(session: Session, *, kept: int, limit: int) -> list[str]:
    """Up to `limit` resources that have more than `kept` ended actions. It counts all ended ones: once a run."""
    return list(session.scalars(
        sa.select(Action.resource_id).where(_HAS_ENDED).group_by(Action.resource_id).having(sa.func.count() > kept).limit(limit)))


def purge_storage(session: Session, *, ended_before: datetime.datetime, limit: int) -> int:
    """Delete up to `limit` actions of volumes, snapshots and others that are no servers, ended before then, with their events; how many.

    Their resources' rows go when they are deleted, so that nobody looks their actions up any more.
    """
    gone = list(session.scalars(sa.select(Action.id).where(
        _HAS_ENDED, Action.resource_type != SERVER, Action.finish_time < ended_before).order_by(Action.id).limit(limit)))
    for table, column in ((ActionEvent, ActionEvent.action_id), (Action, Action.id)):
        session.execute(sa.delete(table).where(column.in_(gone)).execution_options(synchronize_session=False))
    return len(gone)


def trim(session: Session, owner: str, *, kept: int, limit: int) -> int:
    """Of the ended actions of the resource `owner` but for the newest `kept`, delete up to `limit` of the oldest, with their events; how many."""
    ended = sa.select(Action.id).where(Action.resource_id == owner, _HAS_ENDED)
    newest = session.scalar(ended.order_by(Action.id.desc()).offset(kept).limit(1))
    if newest is None:
        return 0
    gone = list(session.scalars(ended.where(Action.id <= newest).order_by(Action.id).limit(limit)))
    for table, column in ((ActionEvent, ActionEvent.action_id), (Action, Action.id)):
        session.execute(sa.delete(table).where(column.in_(gone)).execution_options(synchronize_session=False))
    return len(gone)
