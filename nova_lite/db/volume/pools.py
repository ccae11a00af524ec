# SPDX-License-Identifier: Apache-2.0
"""Pools of volume workers: what each reported last, and what volumes claim of it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base, for_update, utcnow
from nova_lite.db.volume.volumes import Volume


class Pool(Base):
    """One pool, `name` = `agent@backend#pool`. Sizes in GiB; `claimed_gb` is the sum of its volumes' claims.

    `reach`: `host`, only guests of the worker's own host; `network`, those of every host.
    """

    __tablename__ = "volume_pools"

    name: Mapped[str] = mapped_column(primary_key=True)
    agent: Mapped[str] = mapped_column(index=True)
    backend: Mapped[str]
    pool: Mapped[str]
    total_gb: Mapped[float]
    free_gb: Mapped[float]
    claimed_gb: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    reserved_percentage: Mapped[int]
    max_over_subscription_ratio: Mapped[float]
    is_thin: Mapped[bool]
    reach: Mapped[str] = mapped_column(sa.String(16))
    capabilities: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime.datetime]

    @property
    def capacity_gb(self) -> int:
        """What volumes may claim in all: Cinder's formula of thin pools, and of thick ones what there is."""
        usable_gb = self.total_gb - math.floor(self.total_gb * self.reserved_percentage / 100)
        return math.floor(usable_gb * (self.max_over_subscription_ratio if self.is_thin else 1))


def name_of(agent: str, backend: str, pool: str) -> str:
    """The pool's name, as Cinder shows a volume's host."""
    return f"{agent}@{backend}#{pool}"


def pools(session: Session) -> list[Pool]:
    """All pools, by name."""
    return list(session.scalars(sa.select(Pool).order_by(Pool.name)))


def reaches_all(session: Session, name: str) -> bool:
    """Whether guests of every host reach the pool's volumes; one that is gone reaches nobody."""
    return session.scalar(sa.select(Pool.reach).where(Pool.name == name)) == "network"


def register(session: Session, agent: str, reported: Iterable[dict[str, Any]]) -> None:
    """Write what a worker reports of its pools (columns of Pool); one that it has no more goes, unless it has volumes."""
    known = {pool.name: pool for pool in session.scalars(for_update(sa.select(Pool).where(Pool.agent == agent).order_by(Pool.name)))}
    names = set()
    for columns in reported:
        name = name_of(agent, columns["backend"], columns["pool"])
        names.add(name)
        pool = known.get(name)
        if pool is None:
            session.add(Pool(name=name, agent=agent, updated_at=utcnow(), **columns))
            continue
        for column, value in columns.items():
            setattr(pool, column, value)
        pool.updated_at = utcnow()
    for name, pool in known.items():
        if name not in names and not pool.claimed_gb:
            session.delete(pool)
    session.flush()


def claim(session: Session, volume: Volume, *, pool: str, size_gb: int) -> bool:
    """Let the volume, whose row is locked, claim so much of its pool: of `pool`, if it has none yet. Repeated, nothing changes.

    False: it grows by more than the pool has left, or there is no such pool.
    """
    growth = size_gb - volume.claimed_gb
    row = session.scalars(for_update(sa.select(Pool).where(Pool.name == pool))).one_or_none()
    if growth > 0 and (row is None or row.claimed_gb + growth > row.capacity_gb):
        return False
    if row is not None:
        row.claimed_gb += growth
    volume.claimed_gb, volume.host = size_gb, pool
    session.flush()
    return True


def release(session: Session, volume: Volume) -> None:
    """Give back what the volume, whose row is locked, claims; it has no pool any more."""
    if volume.host is not None:
        claim(session, volume, pool=volume.host, size_gb=0)
    volume.host = None
    session.flush()
