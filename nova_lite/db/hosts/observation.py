# SPDX-License-Identifier: Apache-2.0
"""Since when heartbeats are written without a gap: a silent daemon is down only if its observer was not away itself."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db import clock
from nova_lite.db.base import Base


class Observation(Base):
    """One row. Heartbeats are written since `since`, last at `last_at`; before `since` none were after `silent_from`."""

    __tablename__ = "heartbeat_observation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[datetime.datetime]
    last_at: Mapped[datetime.datetime]
    silent_from: Mapped[datetime.datetime | None]


def note(session: Session, *, gap_s: float) -> None:
    """Heartbeats are being written now; after a gap of more than `gap_s` the observation begins anew."""
    was_away = sa.or_(Observation.last_at < clock.after(-gap_s), Observation.last_at > clock.after(gap_s))
    # In this order: to MariaDB, a column that was set before has its new value.
    result = session.execute(sa.update(Observation).ordered_values(
        (Observation.silent_from, sa.case((was_away, Observation.last_at), else_=Observation.silent_from)),
        (Observation.since, sa.case((was_away, clock.now()), else_=Observation.since)),
        (Observation.last_at, clock.now()),
    ).execution_options(synchronize_session=False))
    if not result.rowcount:  # type: ignore[attr-defined]
        session.add(Observation(id=1, since=clock.now(), last_at=clock.now(), silent_from=None))
        session.flush()


def reference_time(session: Session, *, down_time_s: float) -> datetime.datetime:
    """The moment that heartbeats are to be compared with.

    It is now, if they have been written for `down_time_s`; else the last one before whatever wrote them was away: until
    every daemon has had the time to report again, each counts as it did then.
    """
    row = session.execute(sa.select(Observation.since, Observation.last_at, Observation.silent_from, clock.now().label("now"))).one_or_none()
    if row is None:
        return clock.read(session)
    if row.now - row.last_at > datetime.timedelta(seconds=down_time_s / 2):
        last_at: datetime.datetime = row.last_at
        return last_at
    if row.silent_from is not None and row.now - row.since < datetime.timedelta(seconds=down_time_s):
        silent_from: datetime.datetime = row.silent_from
        return silent_from
    now: datetime.datetime = row.now
    return now
