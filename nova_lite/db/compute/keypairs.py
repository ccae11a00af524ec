# SPDX-License-Identifier: Apache-2.0
"""Keypairs, and the queries on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps
from nova_lite.db.quotas import quota_locks


class Keypair(Timestamps, Base):
    """A user's public key. The private half is never stored."""

    __tablename__ = "keypairs"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str]
    type: Mapped[str] = mapped_column(sa.String(8), default="ssh")
    fingerprint: Mapped[str]
    public_key: Mapped[str] = mapped_column(sa.Text)


def get(session: Session, *, user_id: str, name: str) -> Keypair:
    """:raises errors.NotFound: the user has no keypair of this name."""
    keypair = get_or_none(session, user_id=user_id, name=name)
    if keypair is None:
        raise errors.NotFound(f"Keypair {name} not found for user {user_id}")
    return keypair


def get_or_none(session: Session, *, user_id: str, name: str) -> Keypair | None:
    """None: the user has no keypair of this name."""
    return session.scalars(sa.select(Keypair).where(Keypair.user_id == user_id, Keypair.name == name)).one_or_none()


def find(session: Session, *, user_id: str, marker: str | None = None, limit: int | None = None) -> list[Keypair]:
    """The user's keypairs by name, after the one named `marker`.

    :raises errors.InvalidMarker: the user has none of that name.
    """
    query = sa.select(Keypair).where(Keypair.user_id == user_id).order_by(Keypair.name)
    if marker is not None:
        position = session.scalar(sa.select(Keypair.number).where(Keypair.user_id == user_id, Keypair.name == marker))
        if position is None:
            raise errors.InvalidMarker(marker=marker)
        query = query.where(Keypair.name > marker)
    return list(session.scalars(query if limit is None else query.limit(limit)))


def add(session: Session, keypair: Keypair, *, limit: int) -> Keypair:
    """Add a keypair. `limit`: how many its user may have; -1: any number.

    :raises errors.Conflict: the user has one of this name. :raises errors.OverQuota: too many.
    """
    quota_locks.take(session, keypair.user_id)  # keypairs are counted by user, over all projects
    names = set(session.scalars(sa.select(Keypair.name).where(Keypair.user_id == keypair.user_id)))
    if keypair.name in names:
        raise errors.Conflict(reason=f"Key pair '{keypair.name}' already exists.")
    if 0 <= limit <= len(names):
        raise errors.OverQuota("Quota exceeded, too many key pairs.")
    try:
        with session.begin_nested():  # the unique key decides the race between two API workers
            session.add(keypair)
    except IntegrityError:
        raise errors.Conflict(reason=f"Key pair '{keypair.name}' already exists.") from None
    return keypair


def remove(session: Session, keypair: Keypair) -> None:
    """Delete a keypair; servers created with it keep a copy."""
    session.delete(keypair)
