# SPDX-License-Identifier: Apache-2.0
"""Group types: what groups of volumes may be, and the queries on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id

DEFAULT = "default_cgsnapshot_type"  # Cinder's name of what consistency groups became


class GroupType(Timestamps, Base):
    """One type. Only admins use one that is not public."""

    __tablename__ = "volume_group_types"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    is_public: Mapped[bool] = mapped_column(default=True)
    group_specs: Mapped[dict[str, str]] = mapped_column(default=dict)


def find(session: Session, *, is_public: bool | None) -> list[GroupType]:
    """Types, newest first; `is_public`: only those of this kind. Operators make them, and a cloud has few."""
    query = sa.select(GroupType).order_by(GroupType.created_at.desc(), GroupType.id.desc())
    if is_public is not None:
        query = query.where(GroupType.is_public.is_(is_public))
    return list(session.scalars(query))


def get(session: Session, type_id: str, *, is_admin: bool, is_locked: bool = False) -> GroupType:
    """The type of this id or name. `is_locked`: others cannot change it until the transaction ends.

    :raises errors.NotFound: there is none that the caller may use.
    """
    for key in (GroupType.id, GroupType.name):
        query = sa.select(GroupType).where(key == type_id, *([] if is_admin else [GroupType.is_public.is_(True)]))
        found = session.scalars(for_update(query) if is_locked else query).one_or_none()
        if found is not None:
            return found
    raise errors.NotFound(f"Group type {type_id} could not be found.", what="Group type", id=type_id)


def add(session: Session, made: GroupType) -> GroupType:
    """:raises errors.Conflict: the name is taken."""
    try:
        with session.begin_nested():  # the unique name decides the race between two API workers
            session.add(made)
    except IntegrityError:
        raise _taken(made.name) from None
    return made


def rename(session: Session, changed: GroupType, name: str) -> None:
    """:raises errors.Conflict: another type has the name."""
    try:
        with session.begin_nested():
            changed.name = name
    except IntegrityError:
        raise _taken(name) from None


def _taken(name: str) -> errors.Conflict:
    return errors.Conflict(reason=f"Group Type {name} already exists.")


def is_consistent(found: GroupType) -> bool:
    """Whether snapshots of its groups are to be of one moment, which no pool here can."""
    return found.group_specs.get("consistent_group_snapshot_enabled", "").replace(" ", "").lower() == "<is>true"


def remove(session: Session, found: GroupType, *, in_use: Any) -> None:  # a SELECT of ids
    """Delete the type, which the caller has locked. `in_use`: the groups that have it.

    :raises errors.BadRequest: there are some.
    """
    if session.scalar(in_use.limit(1)) is not None:
        raise errors.BadRequest(reason=f"Group type {found.name} is in use: delete the groups that have it first")
    session.delete(found)
