# SPDX-License-Identifier: Apache-2.0
"""One server with all that its document shows, in two queries, since clients poll it most."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db import clock
from nova_lite.db.compute.server_lists import host_status, shown_address
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Address, Port, PortSecurityGroup
from nova_lite.db.network.security_groups import SecurityGroup

# Two queries: as one of seven tables, PostgreSQL plans it for a millisecond longer than it runs.
_SERVER = (
    sa.select(*Server.__table__.c, Service.seen_at.label("host_seen_at"), Service.forced_down.label("host_forced_down"),
              Service.disabled.label("host_disabled"), clock.now().label("now"))
    .select_from(sa.outerjoin(Server.__table__, Service.__table__, sa.and_(
        Service.binary == "nova-compute", Service.host == Server.host)))
    .where(Server.id == sa.bindparam("server_id"), Server.deleted_at.is_(None)))
_SERVER_OF_PROJECT = _SERVER.where(Server.project_id == sa.bindparam("project_id"))
# A row for each pair of an address and a group of a port: one for nearly every server.
_PORTS = (
    sa.select(Network.name, Port.mac_address, Address.address, SecurityGroup.id, SecurityGroup.name, FloatingIp.address)
    .select_from(
        sa.join(Port.__table__, Network.__table__, Network.id == Port.network_id)
        .outerjoin(Address.__table__, Address.port_id == Port.id)
        .outerjoin(FloatingIp.__table__, sa.and_(
            FloatingIp.port_id == Port.id, FloatingIp.fixed_address == Address.address))
        .outerjoin(PortSecurityGroup.__table__, PortSecurityGroup.port_id == Port.id)
        .outerjoin(SecurityGroup.__table__, SecurityGroup.id == PortSecurityGroup.group_id))
    .where(Port.device_id == sa.bindparam("server_id"))
    .order_by(Port.position, Port.created_at, Address.id))


@dataclasses.dataclass(frozen=True)
class ServerDetail:
    """`row` has the names of Server's columns; the others are as the functions of db/compute/server_lists.py give them."""

    row: Any
    addresses: dict[str, list[dict[str, Any]]]
    groups: list[dict[str, str]]
    host_status: str


def get(
    session: Session, server_id: str, *, project_id: str | None, down_time_s: float
) -> ServerDetail:
    """The server that is not deleted; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    query, values = _SERVER, {"server_id": server_id}
    if project_id is not None:
        query, values = _SERVER_OF_PROJECT, {**values, "project_id": project_id}
    connection = session.connection()
    row: Any = connection.execute(query, values).first()
    if row is None:
        raise errors.NotFound(f"Instance {server_id} could not be found.", what="Instance", id=server_id)
    addresses: dict[str, dict[tuple[str, str, str], None]] = {}
    groups: dict[str, str] = {}
    for network, mac, address, group_id, group, floating in connection.execute(_PORTS, {"server_id": server_id}):
        if address is not None:
            addresses.setdefault(network, {})[mac, address, "fixed"] = None
        if floating is not None:
            addresses.setdefault(network, {})[mac, floating, "floating"] = None
        if group_id is not None:
            groups[group_id] = group
    status = "" if row.host_seen_at is None else host_status(
        row.host_seen_at, forced_down=row.host_forced_down, disabled=row.host_disabled, now=row.now, down_time_s=down_time_s)
    return ServerDetail(
        row, {network: [shown_address(*one) for one in held] for network, held in addresses.items()},
        [{"name": name} for name, _ in sorted((name, group_id) for group_id, name in groups.items())], status)
