# SPDX-License-Identifier: Apache-2.0
"""One row per project that is locked while its quotas are counted and used, so that two requests cannot both pass.

Networks have one too, for their ranges, and users, for their keypairs. docs/decisions/0024 has the order in which they are taken.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base


class QuotaLock(Base):
    """`times`: how often it was taken; an UPDATE of it is the lock."""

    __tablename__ = "quota_locks"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    times: Mapped[int] = mapped_column(sa.BigInteger, default=0)


# One statement: an UPDATE that finds no row would lock the gap in MariaDB, where the INSERT after it then waits in a circle.
_VALUES = {"project_id": sa.bindparam("project"), "times": 1}
_ON_POSTGRESQL = postgresql.insert(QuotaLock).values(_VALUES).on_conflict_do_update(
    index_elements=["project_id"], set_={"times": QuotaLock.times + 1})
_ON_MARIADB = mysql.insert(QuotaLock).values(_VALUES).on_duplicate_key_update(times=QuotaLock.times + 1)


def forget(session: Session, name: str) -> None:
    """What the lock was of is deleted. The caller has it."""
    session.execute(sa.delete(QuotaLock).where(QuotaLock.project_id == name))


def take(session: Session, project_id: str) -> None:
    """Keep other requests of the project from counting until this transaction ends; one statement.

    Transactions read what is committed (READ COMMITTED), so that usage counted after this includes that of others.
    SQLite needs no lock: its writers exclude each other from their begin on.
    """
    dialect = session.get_bind().dialect.name
    if dialect != "sqlite":
        session.connection().execute(_ON_POSTGRESQL if dialect == "postgresql" else _ON_MARIADB, {"project": project_id})
