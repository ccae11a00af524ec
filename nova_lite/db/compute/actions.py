# SPDX-License-Identifier: Apache-2.0
"""Actions on servers and their events: at once the log that users read and the journal that survives a crash."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import changes
from nova_lite.db.base import Base, LongText, utcnow

# An action's `state`: how its work stands. Ends are DONE, FAILED and CANCELLED.
QUEUED, RUNNING, UNDOING, DONE, FAILED, CANCELLED = "queued", "running", "undoing", "done", "failed", "cancelled"
OPEN = (QUEUED, RUNNING, UNDOING)
# Asked for, and not begun before another action has ended; a reconciler puts a new action in its place then.
WAITING = "waiting"


class Action(Base):
    """One thing asked of one server. `saved`: results by step name; `step`: the last step finished.

    `lease_owner` works on it until `lease_until`; then any conductor may take it over.
    """

    __tablename__ = "actions"
    __table_args__ = (sa.Index("ix_actions_state_lease_until", "state", "lease_until"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    server_id: Mapped[str] = mapped_column(sa.String(36), index=True)
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


class ActionEvent(Base):
    """One step of an action: `result` Success or Error once finished."""

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
    """As `record`; the action itself, for who has more to write on it."""
    return session.get_one(Action, record(
        session, server_id=server_id, name=name, request_id=request_id, user_id=user_id, project_id=project_id,
        inputs=inputs, state=state))


def record(
    session: Session, *, server_id: str, name: str, request_id: str, user_id: str, project_id: str,
    inputs: dict[str, Any] | None = None, state: str = QUEUED,
) -> int:
    """Write that an action was asked for, by one INSERT; its id."""
    now = utcnow()
    made: Any = session.execute(_ADD, {
        "server_id": server_id, "name": name, "request_id": request_id, "user_id": user_id, "project_id": project_id,
        "inputs": inputs or {}, "state": state, "start_time": now, "updated_at": now,
        "finish_time": now if state == DONE else None})
    action_id = int(made.inserted_primary_key[0])
    if state != WAITING:
        changes.note(session, action_id, changes.Phase.ALONE if state == DONE else changes.Phase.START)
    return action_id


# The administrator's password, sealed; for a config drive, and forgotten when the action ends.
ADMIN_PASS = "admin_pass"


def without_secrets(inputs: dict[str, Any]) -> dict[str, Any]:
    """What may stay when the action has ended."""
    return {name: value for name, value in inputs.items() if name != ADMIN_PASS}


_ADD = sa.insert(Action.__table__)  # type: ignore[arg-type]


def cancel_open(  # noqa: PLR0913 - which, why and when
    session: Session, *, server_id: str, before: int | None, reason: str, now: datetime.datetime | None = None,
    names: Collection[str] | None = None, states: Collection[str] = (*OPEN, WAITING),
) -> None:
    """End the server's open actions, those older than `before` or all: whoever works on one finds its lease lost.

    `names`, `states`: only actions of these.
    """
    are_open = [Action.server_id == server_id, Action.state.in_(states)]
    if names is not None:
        are_open.append(Action.name.in_(names))
    if before is not None:
        are_open.append(Action.id < before)
    if changes.are_noted(session):
        for action_id in session.scalars(sa.select(Action.id).where(*are_open)).all():
            changes.note(session, action_id, changes.Phase.ERROR)
    session.execute(sa.update(Action).where(*are_open).values(
        state=CANCELLED, message=reason, finish_time=now or utcnow(), lease_owner=None, lease_until=None,
    ).execution_options(synchronize_session=False))


def is_waiting(session: Session, server_id: str) -> bool:
    """Whether an action of the server waits for another's end."""
    return session.scalar(sa.select(sa.exists().where(Action.server_id == server_id, Action.state == WAITING))) is True


def outcome(session: Session, action_id: int) -> tuple[str, str | None]:
    """How the action stands: its state, and why it failed."""
    state, message = session.execute(sa.select(Action.state, Action.message).where(Action.id == action_id)).one()
    return state, message


def of_server(session: Session, server_id: str) -> list[Action]:
    """The server's actions, newest first."""
    return list(session.scalars(
        sa.select(Action).where(Action.server_id == server_id).order_by(Action.id.desc())))


def by_request(session: Session, server_id: str, request_id: str) -> Action | None:
    """The server's action that the request asked for."""
    return session.scalars(sa.select(Action).where(
        Action.server_id == server_id, Action.request_id == request_id).order_by(Action.id.desc()).limit(1)).first()


def events(session: Session, action_id: int) -> list[ActionEvent]:
    """The action's events, oldest first."""
    return list(session.scalars(
        sa.select(ActionEvent).where(ActionEvent.action_id == action_id).order_by(ActionEvent.id)))
