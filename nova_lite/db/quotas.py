# SPDX-License-Identifier: Apache-2.0
"""Limits of projects that differ from the configured defaults; usage is counted, never stored."""

from __future__ import annotations

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base


class Quota(Base):
    """One limit of one project; -1: none."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int]


def limits(session: Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """The project's limits by resource: its own, else the configured."""
    own = {row.resource: row.hard_limit for row in session.scalars(
        sa.select(Quota).where(Quota.project_id == project_id))}
    return {**{name: int(value) for name, value in conf.quota.items()}, **own}
