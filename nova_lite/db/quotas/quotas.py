# SPDX-License-Identifier: Apache-2.0
"""Limits of projects, of users in them, and of all by class, where they differ from the configured; and usage."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite.db.base import Base
from nova_lite.db.compute.consoles import ConsoleToken
from nova_lite.db.compute.keypairs import Keypair
from nova_lite.db.compute.server_groups import ServerGroup
from nova_lite.db.compute.servers import COUNTED, Server
from nova_lite.db.network.ports import Port
from nova_lite.db.network.security_groups import SecurityGroup


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


DEFAULT_CLASS = "default"
# Options whose names differ from the API's names of what they limit.
_OPTIONS = {"injected_file_path_bytes": "injected_file_path_length"}

# Built once: building a query costs several times what running it does, and every boot runs these.
_PROJECT: Any = sa.bindparam("project")
_USER: Any = sa.bindparam("user")
_LIMITS: sa.CompoundSelect[Any] = sa.union_all(
    sa.select(sa.literal_column("0").label("level"), QuotaClass.resource, QuotaClass.hard_limit).where(
        QuotaClass.class_name == DEFAULT_CLASS),
    sa.select(sa.literal_column("1"), Quota.resource, Quota.hard_limit).where(Quota.project_id == _PROJECT),
    sa.select(sa.literal_column("2"), UserQuota.resource, UserQuota.hard_limit).where(
        UserQuota.project_id == _PROJECT, UserQuota.user_id == _USER))


def _of_servers(*more: Any) -> sa.Select[Any]:
    return sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(Server.vcpus), 0), sa.func.coalesce(sa.func.sum(Server.ram_mb), 0),
        *more).where(Server.project_id == _PROJECT, *COUNTED)


def _count(table: Any, *conditions: Any) -> Any:
    return sa.select(sa.func.count()).select_from(table).where(table.project_id == _PROJECT, *conditions).scalar_subquery()


_USED = _of_servers(_count(ServerGroup), _count(Port), _count(SecurityGroup))
_USED_BY_USER = _of_servers(_count(ServerGroup, ServerGroup.user_id == _USER)).where(Server.user_id == _USER)
_USED_NAMES = ("instances", "cores", "ram", "server_groups", "ports", "security_groups")
_ALL_LIMITS = _LIMITS.subquery("limits")
_ALL_USED = _USED.subquery("used")
_LIMITS_AND_USED = sa.select(
    *_ALL_LIMITS.c, *(column.label(name) for name, column in zip(_USED_NAMES, _ALL_USED.c, strict=True)),
).select_from(_ALL_USED.outerjoin(_ALL_LIMITS, sa.true()))


def limits(session: Session, conf: cfg.ConfigOpts, project_id: str, *, user_id: str | None = None) -> dict[str, int]:
    """The limits by resource: the user's own (None: of no user), else the project's, else those of all projects."""
    found, own = _limits(session, conf, project_id, user_id)
    return {**found, **own}


def limits_and_usage(
    session: Session, conf: cfg.ConfigOpts, project_id: str, *, user_id: str
) -> tuple[dict[str, int], dict[str, int]]:
    """Limits and usage by resource: those of the project, or of the user where that leaves less. One query as a rule."""
    rows = session.connection().execute(_LIMITS_AND_USED, {"project": project_id, "user": user_id}).all()
    found, own = _by_level(conf, [(row.level, row.resource, row.hard_limit) for row in rows if row.level is not None])
    usage = {name: int(getattr(rows[0], name)) for name in _USED_NAMES}
    by_user = used(session, project_id, user_id=user_id) if own else {}
    for name, limit in own.items():
        if name in by_user and limit >= 0 and (found[name] < 0 or limit - by_user[name] < found[name] - usage[name]):
            found[name], usage[name] = limit, by_user[name]
    return found, usage


def _limits(
    session: Session, conf: cfg.ConfigOpts, project_id: str, user_id: str | None
) -> tuple[dict[str, int], dict[str, int]]:
    """The project's limits, and those that are the user's own."""
    return _by_level(conf, session.execute(_LIMITS, {"project": project_id, "user": user_id or ""}))


def _by_level(conf: cfg.ConfigOpts, rows: Iterable[Any]) -> tuple[dict[str, int], dict[str, int]]:
    levels: tuple[dict[str, int], ...] = ({}, {}, {})
    for level, resource, limit in rows:
        levels[level][resource] = limit
    return {**configured(conf), **levels[0], **levels[1]}, levels[2]


def configured(conf: cfg.ConfigOpts) -> dict[str, int]:
    """The configured limits by resource."""
    words = {option: name for name, option in _OPTIONS.items()}
    return {words.get(name, name): int(value) for name, value in conf.quota.items()}


def defaults(session: Session, conf: cfg.ConfigOpts) -> dict[str, int]:
    """The limits of a project that has none of its own."""
    return {**configured(conf), **of_class(session, DEFAULT_CLASS)}


def of_class(session: Session, class_name: str) -> dict[str, int]:
    """What the class sets; only that of DEFAULT_CLASS means anything."""
    query = sa.select(QuotaClass.resource, QuotaClass.hard_limit).where(QuotaClass.class_name == class_name)
    return {resource: limit for resource, limit in session.execute(query)}


def used(session: Session, project_id: str, *, user_id: str | None = None) -> dict[str, int]:
    """What the project has of `instances`, `cores`, `ram` (MiB), `server_groups`, `ports` and `security_groups`.

    `user_id`: what that user made of the first four. One query.
    """
    query = _USED if user_id is None else _USED_BY_USER
    counted = session.execute(query, {"project": project_id, "user": user_id}).one()
    return {name: int(value) for name, value in zip(_USED_NAMES, counted, strict=False)}


def key_pairs_used(session: Session, user_id: str) -> int:
    """How many keypairs the user has."""
    return session.scalar(sa.select(sa.func.count()).select_from(Keypair).where(Keypair.user_id == user_id)) or 0


def consoles_used(session: Session, project_id: str, *, now: datetime.datetime) -> int:
    """How many tokens of consoles of the project's servers are valid."""
    return session.scalar(
        sa.select(sa.func.count()).select_from(ConsoleToken).join(Server, Server.id == ConsoleToken.server_id)
        .where(Server.project_id == project_id, ConsoleToken.expires_at > now)) or 0


def set_limits(session: Session, project_id: str, limits: Mapping[str, int], *, user_id: str | None = None) -> None:
    """Set limits of the project, or of one user in it; in one order, since others may set the same."""
    for resource, limit in sorted(limits.items()):
        session.merge(
            Quota(project_id=project_id, resource=resource, hard_limit=limit) if user_id is None else
            UserQuota(project_id=project_id, user_id=user_id, resource=resource, hard_limit=limit))
    session.flush()


def set_class(session: Session, class_name: str, limits: Mapping[str, int]) -> None:
    """Set limits of the class; in one order, as above."""
    for resource, limit in sorted(limits.items()):
        session.merge(QuotaClass(class_name=class_name, resource=resource, hard_limit=limit))
    session.flush()


def of_projects(session: Session, resources: Sequence[str]) -> dict[str, dict[str, int]]:
    """The own limits on these resources of each project that has one; one query."""
    query = sa.select(Quota.project_id, Quota.resource, Quota.hard_limit).where(Quota.resource.in_(resources))
    found: dict[str, dict[str, int]] = {}
    for project_id, resource, limit in session.execute(query.order_by(Quota.project_id)):
        found.setdefault(project_id, {})[resource] = limit
    return found


def reset(
    session: Session, project_id: str, *, user_id: str | None = None, resources: Sequence[str] | None = None
) -> None:
    """Delete the project's own limits with those of its users, only the user's, or only the project's of some resources.

    The next level's apply again.
    """
    if resources is not None:
        session.execute(sa.delete(Quota).where(Quota.project_id == project_id, Quota.resource.in_(resources)))
        return
    of_users = sa.delete(UserQuota).where(UserQuota.project_id == project_id)
    if user_id is not None:
        session.execute(of_users.where(UserQuota.user_id == user_id))
        return
    session.execute(of_users)
    session.execute(sa.delete(Quota).where(Quota.project_id == project_id))
