# SPDX-License-Identifier: Apache-2.0
"""A server's ports as its host gets them, and as its guest has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db import clock
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import is_alive, services
from nova_lite.db.network import revisions
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.ports import Port, PortSecurityGroup
from nova_lite.db.network.revisions import Revision
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.payloads import networks
from nova_lite.rpc import compute as compute_rpc
from nova_lite.rpc import network as network_rpc
from nova_lite.rpc.order import NEVER, Order


def server_ports(
    session: Session, server: Server, *, order: Order = NEVER, documents: dict[str, str], revision: int | None = None
) -> network_rpc.ServerPorts:
    """What the network worker of the server's host must know of its ports: `read` with documents; `revision` None: the rows' own."""
    bare = read(session, server, order=order).ports
    return dataclasses.replace(bare, documents=documents, revision=bare.revision if revision is None else revision)


@dataclasses.dataclass(frozen=True)
class PortsRead:
    """A server's ports without documents, their security groups' names by id, and whether other hosts are on their networks."""

    ports: network_rpc.ServerPorts
    group_names: dict[str, str]
    has_peers: bool


def read(session: Session, server: Server, *, order: Order = NEVER) -> PortsRead:
    """Read the ports of a server on a host; three queries.

    `server.host` must be set and its ports plugged there (`ports.plug`) and committed before, so that of two
    servers placed at once on two hosts the later one sees the earlier one's host.
    """
    ports, revision, names = _ports(session, server)
    network_ids = list(dict.fromkeys(port.network_id for port in ports))
    on_host, has_peers = networks.read(session, network_ids, agent=server.agent)
    return PortsRead(network_rpc.ServerPorts(
        server_id=server.id, fence=0, order=order, networks=on_host, ports=tuple(ports), groups=(), documents={},
        revision=revision), names, has_peers)


def without(known: network_rpc.ServerPorts, port_id: str) -> network_rpc.ServerPorts:
    """The same less one port, and the network that only it was on."""
    ports = tuple(port for port in known.ports if port.id != port_id)
    on = {port.network_id for port in ports}
    return dataclasses.replace(known, ports=ports, networks=tuple(net for net in known.networks if net.id in on))


# Statements are built once: building one costs several times what running it does.
# They are of tables, not of mapped classes: the ORM's way to a plain row costs as much again as the query.
_PORT: Any = Port.__table__
_ADDRESS: Any = Address.__table__
_MEMBER: Any = PortSecurityGroup.__table__
_GROUP: Any = SecurityGroup.__table__
_FLOATING: Any = FloatingIp.__table__
_REVISION: Any = Revision.__table__
_PORTS = (
    sa.select(
        _PORT.c.id,
        _PORT.c.network_id,
        _PORT.c.mac_address,
        _PORT.c.port_security_enabled,
        _ADDRESS.c.address,
        _MEMBER.c.group_id,
        _GROUP.c.name,
        _FLOATING.c.address,
        _FLOATING.c.fixed_address,
        _PORT.c.tag,
        _REVISION.c.revision,
    )
    .select_from(
        _PORT.outerjoin(_ADDRESS, _ADDRESS.c.port_id == _PORT.c.id)
        .outerjoin(_MEMBER, _MEMBER.c.port_id == _PORT.c.id)
        .outerjoin(_GROUP, _GROUP.c.id == _MEMBER.c.group_id)
        .outerjoin(_FLOATING, _FLOATING.c.port_id == _PORT.c.id)
        .outerjoin(_REVISION, _REVISION.c.resource_id == _PORT.c.device_id)
    )
    .where(_PORT.c.device_id == sa.bindparam("of"))
    .order_by(_PORT.c.position, _PORT.c.created_at, _PORT.c.id, _ADDRESS.c.id)
)


def _ports(session: Session, server: Server) -> tuple[list[network_rpc.Port], int, dict[str, str]]:
    """The server's ports in the order of its NICs, their revision, and the names of their groups.

    The query has a row per address, group and floating address.
    """
    revision, names = 0, dict[str, str]()
    facts: dict[str, tuple[str, str, bool, str | None]] = {}
    addresses: dict[str, dict[str, None]] = {}
    group_ids: dict[str, set[str]] = {}
    floating: dict[str, dict[str, str]] = {}
    for port_id, network_id, mac, is_secured, address, group_id, group_name, outer, inner, tag, known in session.execute(
        _PORTS, {"of": server.id}
    ):
        revision = known or 0
        facts[port_id] = (network_id, mac, is_secured, tag)
        held, joined = addresses.setdefault(port_id, {}), group_ids.setdefault(port_id, set())
        if address is not None:
            held[address] = None
        if group_id is not None:
            joined.add(group_id)
            names[group_id] = group_name
        if outer is not None and inner is not None:
            floating.setdefault(port_id, {})[outer] = inner
    ports = [
        network_rpc.Port(
            id=port_id,
            network_id=network_id,
            mac=mac,
            hostname=server.hostname,
            addresses=tuple(addresses[port_id]),
            group_ids=tuple(sorted(group_ids[port_id])),
            is_secured=is_secured,
            tag=tag,
            floating=tuple(
                network_rpc.Floating(address=outer, fixed_address=inner)
                for outer, inner in sorted(floating.get(port_id, {}).items())
            ),
        )
        for port_id, (network_id, mac, is_secured, tag) in facts.items()
    ]
    return ports, revision, names


def nics(ports: Iterable[Port]) -> tuple[compute_rpc.Nic, ...]:
    """The guest's NICs, in the order of the ports; each port with `network` loaded, whose MTU is used."""
    return tuple(
        compute_rpc.Nic(
            port_id=port.id,
            mac=port.mac_address,
            tap=network_rpc.tap_name(port.id),
            bridge=network_rpc.bridge_name(port.network_id),
            mtu=port.network.mtu,
        )
        for port in ports
    )


def take_changes(session: Session, server_ids: Collection[str], *, revision: int) -> list[tuple[str, network_rpc.ServerPorts]]:
    """(agent, ports) for `refresh` of each of the servers that has a host; their ports get a new revision.

    Three queries a server. Order and documents are left out: `refresh` keeps those that the host has.
    """
    if not server_ids:
        return []
    on_hosts = _on_hosts(session, server_ids)
    if not on_hosts:
        return []
    steps = revisions.advance(session, [server.id for server in on_hosts], to=revision)
    return _described(session, on_hosts, {server_id: after for server_id, (_, after) in steps.items()})


def ports_of_servers(session: Session, server_ids: Collection[str], *, agent: str) -> tuple[network_rpc.ServerPorts, ...]:
    """For a host that is behind: the ports of those of the servers that are on it, without order and documents."""
    if not server_ids:
        return ()
    known = {server_id: revision for server_id, revision in session.execute(_REVISIONS, {"ids": list(server_ids)})}
    on_host = [server for server in _on_hosts(session, server_ids) if server.agent == agent]
    return tuple(ports for _, ports in _described(session, on_host, known))


def revisions_of_agents(session: Session) -> dict[str, dict[str, int]]:
    """Agent → server → revision of its ports, of every server whose ports were changed on its host."""
    found: dict[str, dict[str, int]] = {}
    for agent, server_id, revision in session.execute(_REVISIONS_OF_AGENTS):
        found.setdefault(agent, {})[server_id] = revision
    return found


_REVISIONS = sa.select(_REVISION.c.resource_id, _REVISION.c.revision).where(
    _REVISION.c.resource_id.in_(sa.bindparam("ids", expanding=True)))
_REVISIONS_OF_AGENTS = sa.select(Server.agent, Server.id, _REVISION.c.revision).join(
    _REVISION, _REVISION.c.resource_id == Server.id).where(Server.agent.is_not(None), Server.deleted_at.is_(None))


def _on_hosts(session: Session, server_ids: Collection[str]) -> list[Server]:
    return list(session.scalars(sa.select(Server).where(
        Server.id.in_(set(server_ids)), Server.deleted_at.is_(None), Server.agent.is_not(None))))


def _described(
    session: Session, servers: Iterable[Server], known: Mapping[str, int]
) -> list[tuple[str, network_rpc.ServerPorts]]:
    return [
        (str(server.agent), server_ports(session, server, documents={}, revision=known.get(server.id, 0)))
        for server in servers]


def agents(session: Session, *, down_time_s: float) -> list[str]:
    """The network workers that live, by their names on the bus."""
    found = services(session, binary="nova-network")
    now = clock.read(session)
    return sorted({row.agent for row in found if is_alive(row, now=now, down_time_s=down_time_s)})
