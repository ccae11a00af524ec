# SPDX-License-Identifier: Apache-2.0
"""Claims: room on a host for a server, taken and given back so that sums on the host always agree."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.hosts import Claim, Host
from nova_lite.db.servers import Server


def of_server(session: Session, server_id: str) -> list[Claim]:
    """The server's claims; one at rest, two while it moves."""
    return list(session.scalars(sa.select(Claim).where(Claim.server_id == server_id)))


def take(
    session: Session, *, server_id: str, host: str, vcpus: int, ram_mb: int, disk_gb: int,
    limits: tuple[float, float, float],
) -> bool:
    """Claim room by one guarded UPDATE; `limits` are the allocation ratios of CPUs, memory and disk.

    False: there is not enough room (any more), or the server is gone or being deleted.
    """
    cpu_ratio, ram_ratio, disk_ratio = limits
    wanted = sa.exists().where(
        Server.id == server_id, Server.deleted_at.is_(None), sa.func.coalesce(Server.task_state, "") != "deleting")
    taken = session.execute(
        sa.update(Host).where(
            Host.name == host, wanted,
            Host.vcpus_claimed + vcpus <= Host.vcpus * cpu_ratio,
            Host.ram_mb_claimed + ram_mb <= (Host.ram_mb - Host.reserved_ram_mb) * ram_ratio,
            Host.disk_gb_claimed + disk_gb <= (Host.disk_gb - Host.reserved_disk_gb) * disk_ratio,
        ).values(
            vcpus_claimed=Host.vcpus_claimed + vcpus, ram_mb_claimed=Host.ram_mb_claimed + ram_mb,
            disk_gb_claimed=Host.disk_gb_claimed + disk_gb, servers_claimed=Host.servers_claimed + 1,
        ).execution_options(synchronize_session=False))
    if not taken.rowcount:  # type: ignore[attr-defined]
        return False
    session.execute(sa.insert(Claim).values(server_id=server_id, host=host, vcpus=vcpus, ram_mb=ram_mb, disk_gb=disk_gb))
    return True


def release(session: Session, *, server_id: str, host: str | None = None) -> None:
    """Give the server's room back, on one host or (None) everywhere; nothing claimed is fine."""
    query = sa.select(Claim).where(Claim.server_id == server_id)
    if host is not None:
        query = query.where(Claim.host == host)
    for claim in session.scalars(query.with_for_update()):
        gone = session.execute(sa.delete(Claim).where(Claim.server_id == server_id, Claim.host == claim.host)
                               .execution_options(synchronize_session=False))
        if not gone.rowcount:  # type: ignore[attr-defined]
            continue
        session.execute(sa.update(Host).where(Host.name == claim.host).values(
            vcpus_claimed=Host.vcpus_claimed - claim.vcpus, ram_mb_claimed=Host.ram_mb_claimed - claim.ram_mb,
            disk_gb_claimed=Host.disk_gb_claimed - claim.disk_gb, servers_claimed=Host.servers_claimed - 1,
        ).execution_options(synchronize_session=False))
