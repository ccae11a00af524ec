# SPDX-License-Identifier: Apache-2.0
"""Pools of volume workers: what each reported last, and what is claimed of it."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base


class Pool(Base):
    """One pool, `name` = `agent@backend#pool`. Sizes in GiB; `claimed_gb` is the sum of its volumes' and snapshots' sizes.

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


def name_of(agent: str, backend: str, pool: str) -> str:
    return f"{agent}@{backend}#{pool}"


def pools(session: Session) -> list[Pool]:
    """All pools, by name."""
    return list(session.scalars(sa.select(Pool).order_by(Pool.name)))


def change_claim(session: Session, name: str, by_gb: int) -> None:
    """What is claimed of the pool changes by so much, whatever the pool has; a pool that is gone is fine."""
    session.execute(sa.update(Pool).where(Pool.name == name).values(claimed_gb=Pool.claimed_gb + by_gb)
                    .execution_options(synchronize_session=False))
