# SPDX-License-Identifier: Apache-2.0
"""Messages to users of block storage: why what they requested failed later, after the request was accepted."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, new_id, utcnow
from nova_lite.db.volume.lists import Lists
from nova_lite.lifecycle.volume_messages import MessageAction, MessageDetail, MessageSubject, event_id

KEPT = 1000  # of one project: users cause as many as they like
_BATCH = 100
_MAX_TEXT = 1024


class Message(Base):
    """One message. It is there until `guaranteed_until`, unless the project has very many."""

    __tablename__ = "volume_messages"
    __table_args__ = (
        sa.Index("ix_volume_messages_project_id_created_at", "project_id", "created_at", "id"),
        sa.Index("ix_volume_messages_guaranteed_until", "guaranteed_until"),
    )

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    request_id: Mapped[str]
    event_id: Mapped[str]
    message_level: Mapped[str] = mapped_column(sa.String(16), default="ERROR")
    user_message: Mapped[str] = mapped_column(sa.String(_MAX_TEXT))
    resource_type: Mapped[str | None]
    resource_uuid: Mapped[str | None] = mapped_column(sa.String(36))
    created_at: Mapped[datetime.datetime] = mapped_column(default=utcnow)
    guaranteed_until: Mapped[datetime.datetime]


_COLUMNS: dict[str, Any] = {  # SQLAlchemy types columns as something else
    "id": Message.id, "project_id": Message.project_id, "request_id": Message.request_id, "event_id": Message.event_id,
    "message_level": Message.message_level, "resource_type": Message.resource_type, "resource_uuid": Message.resource_uuid,
    "created_at": Message.created_at, "guaranteed_until": Message.guaranteed_until,
}
LISTS = Lists(Message, columns=_COLUMNS, order={
    name: _COLUMNS[name] for name in ("id", "created_at", "event_id", "guaranteed_until", "message_level", "request_id")})


def add(
    session: Session, conf: cfg.ConfigOpts, *, project_id: str, request_id: str, subject: MessageSubject, resource_id: str,
    action: MessageAction, detail: MessageDetail, reason: str = "",
) -> Message:
    """Add a message for the project. `reason`: what the user should know in place of the detail's words.

    The project's oldest go where it has more than KEPT.
    """
    now = utcnow()
    made = Message(
        project_id=project_id, request_id=request_id, event_id=event_id(subject, action, detail), resource_type=subject.value,
        resource_uuid=resource_id, user_message=f"{action.text}: {reason or detail.text}"[:_MAX_TEXT], created_at=now,
        guaranteed_until=now + datetime.timedelta(seconds=conf.message_ttl))
    session.add(made)
    session.flush()
    _remove(session, sa.select(Message.id).where(Message.project_id == project_id).order_by(
        Message.created_at.desc(), Message.id.desc()).offset(KEPT).limit(_BATCH))
    return made


def purge(session: Session, *, now: datetime.datetime, limit: int) -> int:
    """Remove messages that are no longer guaranteed; how many went."""
    return _remove(session, sa.select(Message.id).where(Message.guaranteed_until < now).order_by(Message.guaranteed_until).limit(limit))


def _remove(session: Session, query: Any) -> int:  # a SELECT of ids
    ids = list(session.scalars(query))  # first: MariaDB deletes by no subquery with a limit
    if ids:
        session.execute(sa.delete(Message).where(Message.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def get(session: Session, message_id: str, *, project_id: str | None) -> Message:
    """:raises errors.NotFound: none, or another project's (None: any project's will do)."""
    found = session.get(Message, message_id)
    if found is None or project_id not in (None, found.project_id):
        raise errors.NotFound(f"Message {message_id} could not be found.", what="Message", id=message_id)
    return found
