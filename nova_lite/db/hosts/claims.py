# SPDX-License-Identifier: Apache-2.0
"""Claims: room on a host for a server, taken and given back so that sums on the host always agree."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.base import for_update
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Claim, Host

# What a claim counts, by its columns' names.
SIZES = ("vcpus", "ram_mb", "disk_gb", "pcpus", "huge_mb")
# Built once: building a statement costs several times what running it does.
_HOSTS: Any = Host.__table__
_OF_SERVER = sa.select(Claim).where(Claim.server_id == sa.bindparam("of"))
_VCPUS, _RAM, _DISK = (sa.bindparam(name, type_=sa.Integer) for name in ("new_vcpus", "new_ram_mb", "new_disk_gb"))
_PCPUS, _HUGE = (sa.bindparam(name, type_=sa.Integer) for name in ("new_pcpus", "new_huge_mb"))
_CPU_RATIO, _RAM_RATIO, _DISK_RATIO = (
    sa.bindparam(name, type_=sa.Float) for name in ("cpu_ratio", "ram_ratio", "disk_ratio"))
_TAKE = sa.update(_HOSTS).where(
    _HOSTS.c.name == sa.bindparam("on"),
    sa.exists().where(Server.id == sa.bindparam("of"), Server.deleted_at.is_(None),
                      sa.func.coalesce(Server.task_state, "") != "deleting"),
    sa.func.coalesce(sa.bindparam("in_zone", type_=sa.String), _HOSTS.c.availability_zone) == _HOSTS.c.availability_zone,
    _HOSTS.c.vcpus_claimed + _VCPUS <= _HOSTS.c.vcpus * _CPU_RATIO,
    _HOSTS.c.ram_mb_claimed + _RAM <= (_HOSTS.c.ram_mb - _HOSTS.c.reserved_ram_mb) * _RAM_RATIO,
    _HOSTS.c.disk_gb_claimed + _DISK <= (_HOSTS.c.disk_gb - _HOSTS.c.reserved_disk_gb) * _DISK_RATIO,
    # Never oversold; who asks for none needs no room, also where an operator took away what is claimed.
    sa.or_(_PCPUS == 0, _HOSTS.c.pcpus_claimed + _PCPUS <= _HOSTS.c.pcpus),
    sa.or_(_HUGE == 0, _HOSTS.c.huge_mb_claimed + _HUGE <= _HOSTS.c.huge_mb),
).values(
    vcpus_claimed=_HOSTS.c.vcpus_claimed + _VCPUS, ram_mb_claimed=_HOSTS.c.ram_mb_claimed + _RAM,
    disk_gb_claimed=_HOSTS.c.disk_gb_claimed + _DISK, pcpus_claimed=_HOSTS.c.pcpus_claimed + _PCPUS,
    huge_mb_claimed=_HOSTS.c.huge_mb_claimed + _HUGE, servers_claimed=_HOSTS.c.servers_claimed + 1)
_CLAIM = sa.insert(Claim.__table__)  # type: ignore[arg-type]


def of_server(session: Session, server_id: str) -> list[Claim]:
    """The server's claims; one at rest, two while it moves."""
    return list(session.scalars(_OF_SERVER, {"of": server_id}))


def take(
    session: Session, *, server_id: str, host: str, vcpus: int, ram_mb: int, disk_gb: int,
    limits: tuple[float, float, float], zone: str | None = None, pcpus: int = 0, huge_mb: int = 0,
) -> bool:
    """Claim room by one guarded UPDATE; `limits` are the allocation ratios of CPUs, memory and disk.

    `pcpus` of the host's CPUs that are kept for one guest each, `huge_mb` of the memory that is in huge pages.

    False: there is not enough room (any more), the host is not in `zone` any more, or the server is gone or being
    deleted.
    """
    cpu_ratio, ram_ratio, disk_ratio = limits
    size = {"vcpus": vcpus, "ram_mb": ram_mb, "disk_gb": disk_gb, "pcpus": pcpus, "huge_mb": huge_mb}
    asked = {f"new_{name}": value for name, value in size.items()}
    taken = session.execute(_TAKE, {
        "of": server_id, "on": host, "cpu_ratio": cpu_ratio, "ram_ratio": ram_ratio, "disk_ratio": disk_ratio,
        "in_zone": zone, **asked})
    if not taken.rowcount:  # type: ignore[attr-defined]
        return False
    session.execute(_CLAIM, {"server_id": server_id, "host": host, **size})
    return True


def change(
    session: Session, *, server_id: str, host: str, vcpus: int, ram_mb: int, disk_gb: int,
    limits: tuple[float, float, float] | None, pcpus: int = 0, huge_mb: int = 0,
) -> bool:
    """Make the server's claim this large; `limits` guard what it grows by, None: it only shrinks.

    False: there is not enough room, or nothing is claimed. Asked for again, nothing changes.
    """
    claim = session.scalars(for_update(
        sa.select(Claim).where(Claim.server_id == server_id, Claim.host == host))).one_or_none()
    if claim is None:
        return False
    size = {"vcpus": vcpus, "ram_mb": ram_mb, "disk_gb": disk_gb, "pcpus": pcpus, "huge_mb": huge_mb}
    grown = {name: value - getattr(claim, name) for name, value in size.items()}
    statement = sa.update(Host).where(Host.name == host)
    if limits is not None:
        statement = statement.where(*_room_for(grown, limits))
    changed = session.execute(statement.values(_sums(grown)).execution_options(synchronize_session=False))
    if not changed.rowcount:  # type: ignore[attr-defined]
        return False
    for name, value in size.items():
        setattr(claim, name, value)
    session.flush()
    return True


def _room_for(grown: dict[str, int], limits: tuple[float, float, float]) -> list[sa.ColumnElement[bool]]:
    """What must hold of the host; what does not grow needs no room, also where the host has less than is claimed."""
    cpu_ratio, ram_ratio, disk_ratio = limits
    rooms = {
        "vcpus": Host.vcpus_claimed + grown["vcpus"] <= Host.vcpus * cpu_ratio,
        "ram_mb": Host.ram_mb_claimed + grown["ram_mb"] <= (Host.ram_mb - Host.reserved_ram_mb) * ram_ratio,
        "disk_gb": Host.disk_gb_claimed + grown["disk_gb"] <= (Host.disk_gb - Host.reserved_disk_gb) * disk_ratio,
        "pcpus": Host.pcpus_claimed + grown["pcpus"] <= Host.pcpus,
        "huge_mb": Host.huge_mb_claimed + grown["huge_mb"] <= Host.huge_mb,
    }
    return [room for name, room in rooms.items() if grown[name] > 0]


def _sums(grown: dict[str, int]) -> dict[str, Any]:
    """The host's sums after claims grew by so much."""
    return {f"{name}_claimed": getattr(Host, f"{name}_claimed") + more for name, more in grown.items()}


def release(session: Session, *, server_id: str, host: str | None = None) -> None:
    """Give the server's room back, on one host or (None) everywhere; nothing claimed is fine."""
    query = sa.select(Claim).where(Claim.server_id == server_id)
    if host is not None:
        query = query.where(Claim.host == host)
    for claim in session.scalars(for_update(query.order_by(Claim.host))):
        gone = session.execute(sa.delete(Claim).where(Claim.server_id == server_id, Claim.host == claim.host)
                               .execution_options(synchronize_session=False))
        if not gone.rowcount:  # type: ignore[attr-defined]
            continue
        session.execute(sa.update(Host).where(Host.name == claim.host).values(
            servers_claimed=Host.servers_claimed - 1, **_sums({name: -getattr(claim, name) for name in SIZES}),
        ).execution_options(synchronize_session=False))
