# SPDX-License-Identifier: Apache-2.0
"""Since when heartbeats are written without a gap: a silent daemon is down only if its observer was not away itself."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import clock
from nova_lite.db.base import Base


@dataclasses.dataclass(frozen=True)
class Observed:
    """What heartbeats are compared with: `now` by the database's clock, and `until` when they were written without a gap."""

    now: datetime.datetime
    until: datetime.datetime

    def is_recent(self, seen_at: datetime.datetime, *, within_s: float) -> bool:
        """Whether a daemon's last heartbeat says that it is up.

        One in the future was written before the clock was set back. It is void, unless `until` is of that clock too:
        then the daemon has not had the time to report again.
        """
        ahead = datetime.timedelta(seconds=within_s / 2)
        if seen_at <= self.now + ahead:
            return min(self.now, self.until) - seen_at <= datetime.timedelta(seconds=within_s)
        return self.until > self.now + ahead and abs(self.until - seen_at) <= datetime.timedelta(seconds=within_s)


class Observation(Base):
    """One row. Heartbeats are written since `since`, last at `last_at`; before `since` none were after `silent_from`."""

    __tablename__ = "heartbeat_observation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[datetime.datetime]
    last_at: Mapped[datetime.datetime]
    silent_from: Mapped[datetime.datetime | None]


# Built once: building a statement costs several times what running it does.
_ROW: Any = Observation.__table__
_WAS_AWAY = sa.or_(_ROW.c.last_at < clock.after(sa.bindparam("minus_gap_s", type_=sa.Float)),
                   _ROW.c.last_at > clock.after(sa.bindparam("gap_s", type_=sa.Float)))
# In this order: to MariaDB, a column that was set before has its new value.
_NOTE = sa.update(_ROW).ordered_values(
    (_ROW.c.silent_from, sa.case((_WAS_AWAY, _ROW.c.last_at), else_=_ROW.c.silent_from)),
    (_ROW.c.since, sa.case((_WAS_AWAY, clock.now()), else_=_ROW.c.since)),
    (_ROW.c.last_at, clock.now()))
_OBSERVED = sa.select(_ROW.c.since, _ROW.c.last_at, _ROW.c.silent_from, clock.now().label("now"))


def note(session: Session, *, gap_s: float) -> None:
    """Heartbeats are being written now; after a gap of more than `gap_s` the observation begins anew."""
    noted = session.connection().execute(_NOTE, {"gap_s": gap_s, "minus_gap_s": -gap_s})
    if not noted.rowcount:
        session.add(Observation(id=1, since=clock.now(), last_at=clock.now(), silent_from=None))
        session.flush()


def observed(session: Session, *, down_time_s: float) -> Observed:
    """What heartbeats are to be compared with when the control plane decides whom to use.

    Now, if they have been written for `down_time_s`; else the last one before whatever wrote them was away, or its
    clock was set back: until every daemon has had the time to report again, each counts as it did then.
    """
    row = session.connection().execute(_OBSERVED).one_or_none()
    if row is None:
        now = clock.read(session)
        return Observed(now, now)
    if abs(row.now - row.last_at) > datetime.timedelta(seconds=down_time_s / 2):
        return Observed(row.now, row.last_at)
    if row.silent_from is not None and abs(row.now - row.since) < datetime.timedelta(seconds=down_time_s):
        return Observed(row.now, row.silent_from)
    return Observed(row.now, row.now)
