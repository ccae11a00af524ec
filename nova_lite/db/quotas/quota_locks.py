# SPDX-License-Identifier: Apache-2.0
"""One row per project that is locked while its quotas are counted and used, so that two requests cannot both pass."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base


class QuotaLock(Base):
    """`times`: how often it was taken; an UPDATE of it is the lock."""

    __tablename__ = "quota_locks"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    times: Mapped[int] = mapped_column(sa.BigInteger, default=0)


_LOCKS: Any = QuotaLock.__table__
_TAKE = sa.update(_LOCKS).where(_LOCKS.c.project_id == sa.bindparam("project")).values(times=_LOCKS.c.times + 1)
_ADD = sa.insert(_LOCKS)


def take(session: Session, project_id: str) -> None:
    """Keep other requests of the project from counting until this transaction ends; one statement as a rule.

    Transactions read what is committed (READ COMMITTED), so that usage counted after this includes that of others.
    SQLite needs no lock: its writers exclude each other from their begin on.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    if _taken(session, project_id):
        return
    try:
        with session.begin_nested():  # the primary key decides between two first requests of a project
            session.execute(_ADD, {"project_id": project_id, "times": 1})
    except IntegrityError:
        _taken(session, project_id)


def _taken(session: Session, project_id: str) -> bool:
    return bool(session.execute(_TAKE, {"project": project_id}).rowcount)  # type: ignore[attr-defined]
