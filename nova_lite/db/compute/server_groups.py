# SPDX-License-Identifier: Apache-2.0
"""Server groups: which servers belong together or apart. Membership is a column of the server, so it ends with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, new_id
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Claim
from nova_lite.db.quotas import quota_locks

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"
SOFT_AFFINITY, SOFT_ANTI_AFFINITY = "soft-affinity", "soft-anti-affinity"


class ServerGroup(Timestamps, Base):
    """One group. `max_per_host`: with anti-affinity, how many members a host may have; None: one."""

    __tablename__ = "server_groups"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str]
    policy: Mapped[str] = mapped_column(sa.String(32))
    max_per_host: Mapped[int | None]


_ONE = sa.select(ServerGroup).where(ServerGroup.id == sa.bindparam("of"))
_ONE_LOCKED = for_update(_ONE)


def get(session: Session, group_id: str, *, project_id: str | None, is_locked: bool = False) -> ServerGroup:
    """The group; `project_id`: only of that project. `is_locked`: placements and deletion wait for each other.

    :raises errors.NotFound: none, or another project's.
    """
    group = session.scalars(_ONE_LOCKED if is_locked else _ONE, {"of": group_id}).one_or_none()
    if group is None or project_id not in (None, group.project_id):
        raise errors.NotFound(f"Instance group {group_id} could not be found.")
    return group


def find(session: Session, *, project_id: str | None, limit: int, offset: int = 0) -> Sequence[ServerGroup]:
    """A page of the project's groups (None: of all projects), oldest first."""
    query = sa.select(ServerGroup).order_by(ServerGroup.number).limit(limit).offset(offset)
    if project_id is not None:
        query = query.where(ServerGroup.project_id == project_id)
    return session.scalars(query).all()


def members(session: Session, group_ids: Collection[str]) -> dict[str, list[str]]:
    """By group: the ids of its servers that are not deleted; one query."""
    found: dict[str, list[str]] = {}
    if group_ids:
        query = sa.select(Server.group_id, Server.id).where(
            Server.group_id.in_(group_ids), Server.deleted_at.is_(None)).order_by(Server.number)
        for group_id, server_id in session.execute(query):
            found.setdefault(str(group_id), []).append(server_id)
    return found


def of_servers(session: Session, server_ids: Collection[str]) -> dict[str, str]:
    """By server: the id of its group; servers without one are left out. One query."""
    query = sa.select(Server.id, Server.group_id).where(Server.id.in_(server_ids), Server.group_id.is_not(None))
    return {server_id: str(group_id) for server_id, group_id in session.execute(query)} if server_ids else {}


def count_members(session: Session, group_id: str, *, user_id: str) -> int:
    """How many servers the user has in the group."""
    return session.scalar(sa.select(sa.func.count()).select_from(Server).where(
        Server.group_id == group_id, Server.user_id == user_id, Server.deleted_at.is_(None))) or 0


def add(session: Session, group: ServerGroup, *, limit: int) -> ServerGroup:
    """Add a group. `limit`: how many its project may have; -1: any number.

    :raises errors.OverQuota: too many; the text is Nova's.
    """
    quota_locks.take(session, group.project_id)
    if 0 <= limit <= count(session, group.project_id):
        raise errors.OverQuota("Quota exceeded, too many server groups.")
    session.add(group)
    session.flush()
    return group


def count(session: Session, project_id: str) -> int:
    """How many groups the project has."""
    return session.scalar(
        sa.select(sa.func.count()).select_from(ServerGroup).where(ServerGroup.project_id == project_id)) or 0


def remove(session: Session, group: ServerGroup) -> None:
    """Delete a group; its servers stay where they are."""
    session.execute(sa.update(Server).where(Server.group_id == group.id).values(group_id=None)
                    .execution_options(synchronize_session=False))
    session.delete(group)


def claims_by_host(session: Session, group_id: str, *, but: str) -> dict[str, int]:
    """By host: how many servers of the group have a claim on it, without the server `but`."""
    query = sa.select(Claim.host, sa.func.count(sa.distinct(Claim.server_id))).join(
        Server, Server.id == Claim.server_id).where(
            Server.group_id == group_id, Server.id != but, Server.deleted_at.is_(None)).group_by(Claim.host)
    return {host: int(number) for host, number in session.execute(query)}


def hosts_of(session: Session, server_ids: Collection[str], *, project_id: str) -> set[str]:
    """The hosts on which any of these servers of the project have a claim."""
    query = sa.select(Claim.host).join(Server, Server.id == Claim.server_id).where(
        Server.id.in_(server_ids), Server.project_id == project_id, Server.deleted_at.is_(None))
    return set(session.scalars(query)) if server_ids else set()
