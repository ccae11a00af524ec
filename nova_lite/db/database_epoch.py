# SPDX-License-Identifier: Apache-2.0
"""The database's epoch: it grows whenever rows may have been lost, so that orders to workers never come twice."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import clock
from nova_lite.db.base import Base, for_update

_UNIX = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone


class DatabaseEpoch(Base):
    """One row."""

    __tablename__ = "database_epoch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(sa.BigInteger)


def current(session: Session) -> int:
    """The epoch; 0: none has begun yet."""
    return session.scalar(sa.select(DatabaseEpoch.epoch)) or 0


def renew(session: Session, *, above: int = 0) -> int:
    """Begin a new epoch: greater than the last one and than `above`, and than any of a copy restored from before."""
    seconds = int((clock.read(session) - _UNIX).total_seconds())
    row = session.scalars(for_update(sa.select(DatabaseEpoch))).one_or_none()
    epoch = max(seconds, above + 1, row.epoch + 1 if row else 0)
    if row is None:
        session.add(DatabaseEpoch(id=1, epoch=epoch))
    else:
        row.epoch = epoch
    session.flush()
    return epoch
