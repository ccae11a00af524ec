# SPDX-License-Identifier: Apache-2.0
"""Migrations of servers: resizes, with what a revert needs and what users may look at later."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, new_id, utcnow
from nova_lite.db.compute.flavors import FlavorCopy
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Vm
from nova_lite.values.flavor import Flavor

RESIZE = "resize"
# Nova's values of `status`; the last four are final.
PRE_MIGRATING, MIGRATING, FINISHED = "pre-migrating", "migrating", "finished"
CONFIRMING, REVERTING = "confirming", "reverting"
CONFIRMED, REVERTED, ERROR, DONE = "confirmed", "reverted", "error", "done"
ENDS = (CONFIRMED, REVERTED, ERROR, DONE)


class ServerMigration(Timestamps, Base):
    """One migration of one server; `number` is the id that the API shows. Flavors are copies, as servers keep them."""

    __tablename__ = "moves"
    __table_args__ = (
        sa.Index("ix_moves_status_updated_at", "status", "updated_at"), sa.Index("ix_moves_project_id", "project_id"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    server_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    type: Mapped[str] = mapped_column(sa.String(32))
    status: Mapped[str] = mapped_column(sa.String(32))
    source_host: Mapped[str]
    dest_host: Mapped[str] = mapped_column("target_host", key="dest_host")
    dest_address: Mapped[str] = mapped_column("target_address", key="dest_address", default="")
    old_flavor: Mapped[Flavor] = mapped_column(FlavorCopy)
    new_flavor: Mapped[Flavor] = mapped_column(FlavorCopy)
    old_vm_state: Mapped[str] = mapped_column(sa.String(32))
    old_disk_config: Mapped[str] = mapped_column(sa.String(16))
    fence: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # identifies the disks that the host keeps of it


def begin(
    session: Session, server: Server, *, user_id: str, new_flavor: Flavor, old_vm_state: str,
    old_disk_config: str,
) -> ServerMigration:
    """Add the migration of a requested resize; until its end the server counts, for quotas, as the larger of both.

    Both flavors have the size of the image, for a root disk that a flavor leaves to it.
    """
    migration = ServerMigration(
        server_id=server.id, project_id=server.project_id, user_id=user_id, type=RESIZE, status=PRE_MIGRATING,
        source_host=str(server.host), dest_host=str(server.host), old_flavor=server.flavor.with_image_gb(server.root_disk_gb),
        new_flavor=new_flavor.with_image_gb(server.root_disk_gb),
        old_vm_state=old_vm_state, old_disk_config=old_disk_config, updated_at=utcnow())
    server.vcpus = max(server.vcpus, new_flavor.vcpus)
    server.ram_mb = max(server.ram_mb, new_flavor.ram_mb)
    session.add(migration)
    session.flush()
    return migration


def is_claiming(session: Session, number: int) -> bool:
    """Whether the migration is still before the step that claims for its new size, as its committed row says."""
    return session.scalar(sa.select(ServerMigration.status).where(ServerMigration.number == number)) == PRE_MIGRATING


def latest(session: Session, server_id: str) -> ServerMigration:
    """The server's newest migration: the one that is under way, or waits for its confirmation.

    :raises errors.NotFound: it has none.
    """
    migration = session.scalars(
        sa.select(ServerMigration).where(ServerMigration.server_id == server_id).order_by(ServerMigration.number.desc()).limit(1)).first()
    if migration is None:
        raise errors.NotFound(f"Instance {server_id} has not been resized.")
    return migration


def end_open(session: Session, server_id: str, *, status: str) -> None:
    """End the open migrations of a server that is deleted."""
    session.flush()
    session.connection().execute(_END_OPEN, {"of": server_id, "ended_as": status, "now": utcnow()})


# Built once: building a statement costs several times what running it does, and every delete runs it.
_MIGRATIONS: Any = ServerMigration.__table__
_END_OPEN = sa.update(_MIGRATIONS).where(
    _MIGRATIONS.c.server_id == sa.bindparam("of"), _MIGRATIONS.c.status.not_in(ENDS),
).values(status=sa.bindparam("ended_as"), updated_at=sa.bindparam("now", type_=_MIGRATIONS.c.updated_at.type))


def waiting(session: Session, *, finished_before: datetime.datetime, limit: int) -> list[tuple[ServerMigration, Server]]:
    """Resizes that finished before then and are not confirmed, oldest first."""
    query = sa.select(ServerMigration, Server).join(Server, Server.id == ServerMigration.server_id).where(
        ServerMigration.status == FINISHED, ServerMigration.updated_at < finished_before, Server.vm_state == str(Vm.RESIZED),
        Server.task_state.is_(None), Server.deleted_at.is_(None)).order_by(ServerMigration.number).limit(limit)
    return [(migration, server) for migration, server in session.execute(query)]


def find(
    session: Session, *, equal: dict[str, str], host: str | None = None,
    changed: tuple[datetime.datetime | None, datetime.datetime | None] = (None, None), marker: str | None = None,
    limit: int,
) -> list[ServerMigration]:
    """Migrations that match, newest first. `equal`: columns and their values; `host`: source or dest; `changed`: between.

    :raises errors.InvalidMarker: no migration has this id.
    """
    query = sa.select(ServerMigration).order_by(ServerMigration.number.desc()).limit(limit)
    for column, value in equal.items():
        query = query.where(getattr(ServerMigration, column) == value)
    if host is not None:
        query = query.where(sa.or_(ServerMigration.source_host == host, ServerMigration.dest_host == host))
    since, before = changed
    if since is not None:
        query = query.where(ServerMigration.updated_at >= since)
    if before is not None:
        query = query.where(ServerMigration.updated_at <= before)
    if marker is not None:
        last = session.scalar(sa.select(ServerMigration.number).where(ServerMigration.id == marker))
        if last is None:
            raise errors.InvalidMarker(marker=marker)
        query = query.where(ServerMigration.number < last)
    return list(session.scalars(query))


def purge(session: Session) -> None:
    """Delete the migrations of servers whose rows are gone."""
    session.execute(sa.delete(ServerMigration).where(ServerMigration.server_id.not_in(sa.select(Server.id))).execution_options(
        synchronize_session=False))


def crowded(session: Session, *, kept: int, limit: int) -> list[str]:
    """Up to `limit` servers that have more than `kept` ended migrations. It counts all ended ones: once a run."""
    return list(session.scalars(
        sa.select(ServerMigration.server_id).where(ServerMigration.status.in_(ENDS)).group_by(ServerMigration.server_id)
        .having(sa.func.count() > kept).limit(limit)))


def trim(session: Session, owner: str, *, kept: int, limit: int) -> int:
    """Of the ended migrations of the server `owner` but for the newest `kept`, delete up to `limit` of the oldest; how many."""
    ended = sa.select(ServerMigration.number).where(ServerMigration.server_id == owner, ServerMigration.status.in_(ENDS))
    newest = session.scalar(ended.order_by(ServerMigration.number.desc()).offset(kept).limit(1))
    if newest is None:
        return 0
    gone = list(session.scalars(ended.where(ServerMigration.number <= newest).order_by(ServerMigration.number).limit(limit)))
    session.execute(sa.delete(ServerMigration).where(ServerMigration.number.in_(gone)).execution_options(synchronize_session=False))
    return len(gone)
