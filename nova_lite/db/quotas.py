# SPDX-License-Identifier: Apache-2.0
"""Limits of projects that differ from the configured defaults; usage is counted, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base
from nova_lite.db.keypairs import Keypair
from nova_lite.db.ports import Port
from nova_lite.db.security_groups import SecurityGroup
from nova_lite.db.server_groups import ServerGroup
from nova_lite.db.servers import COUNTED, Server


class Quota(Base):
    """One limit of one project; -1: none."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int]


class QuotaClass(Base):
    """One limit of all projects that have none of their own, in place of the configured; only class `default` is read."""

    __tablename__ = "quota_classes"

    class_name: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int]


class UserQuota(Base):
    """One limit of one user in one project, beside the project's."""

    __tablename__ = "user_quotas"

    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    resource: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    hard_limit: Mapped[int]


# Built once: building a query costs several times what running it does, and every boot runs these.
_PROJECT: Any = sa.bindparam("project")
_LIMITS = sa.select(Quota.resource, Quota.hard_limit).where(Quota.project_id == _PROJECT)
_USED = sa.select(
    sa.func.count(), sa.func.coalesce(sa.func.sum(Server.vcpus), 0), sa.func.coalesce(sa.func.sum(Server.ram_mb), 0),
    sa.select(sa.func.count()).select_from(Port).where(Port.project_id == _PROJECT).scalar_subquery(),
    sa.select(sa.func.count()).select_from(SecurityGroup).where(SecurityGroup.project_id == _PROJECT).scalar_subquery(),
    sa.select(sa.func.count()).select_from(ServerGroup).where(ServerGroup.project_id == _PROJECT).scalar_subquery(),
).where(Server.project_id == _PROJECT, *COUNTED)


def limits(session: Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """The project's limits by resource: its own, else the configured."""
    own = {resource: limit for resource, limit in session.execute(_LIMITS, {"project": project_id})}
    return {**defaults(conf), **own}


def defaults(conf: cfg.ConfigOpts) -> dict[str, int]:
    """The configured limits by resource."""
    return {name: int(value) for name, value in conf.quota.items()}


def used(session: Session, project_id: str) -> dict[str, int]:
    """What the project has of `instances`, `cores`, `ram` (MiB), `ports`, `security_groups`, `server_groups`; one query."""
    counted = session.execute(_USED, {"project": project_id}).one()
    return dict(zip(("instances", "cores", "ram", "ports", "security_groups", "server_groups"), map(int, counted), strict=True))


def key_pairs_used(session: Session, user_id: str) -> int:
    """How many keypairs the user has."""
    return session.scalar(sa.select(sa.func.count()).select_from(Keypair).where(Keypair.user_id == user_id)) or 0


def set_limits(session: Session, project_id: str, asked: Mapping[str, int]) -> None:
    """Give the project these limits of its own."""
    own = {row.resource: row for row in session.scalars(sa.select(Quota).where(Quota.project_id == project_id))}
    for resource, limit in asked.items():
        if resource in own:
            own[resource].hard_limit = limit
        else:
            session.add(Quota(project_id=project_id, resource=resource, hard_limit=limit))


def reset(session: Session, project_id: str) -> None:
    """Take the project's own limits away: the configured ones hold again."""
    session.execute(sa.delete(Quota).where(Quota.project_id == project_id))
