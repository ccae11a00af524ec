# SPDX-License-Identifier: Apache-2.0
"""Networks as hosts get them: their subnets, and the tunnel addresses of the other hosts that they reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.hosts.hosts import Host
from nova_lite.db.network import revisions
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.db.network.ports import Port
from nova_lite.db.network.revisions import Revision
from nova_lite.rpc import network as network_rpc

# Statements are built once: building one costs several times what running it does.
_NETWORK: Any = Network.__table__
_REVISION: Any = Revision.__table__
_PORT: Any = Port.__table__
_HOST: Any = Host.__table__
_IDS: Any = sa.bindparam("ids", expanding=True)
_NETWORKS = (
    sa.select(*_NETWORK.c, _REVISION.c.revision, *(column.label(f"subnet_{column.name}") for column in Subnet.__table__.c))
    .select_from(
        _NETWORK.outerjoin(_REVISION, _REVISION.c.resource_id == _NETWORK.c.id)
        .outerjoin(Subnet.__table__, Subnet.__table__.c.network_id == _NETWORK.c.id))
    .where(_NETWORK.c.id.in_(_IDS))
    .order_by(Subnet.__table__.c.created_at)
)
_TUNNELS = (
    sa.select(_PORT.c.network_id, _HOST.c.agent, _HOST.c.tunnel_ip)
    .distinct()
    .select_from(_PORT.join(_HOST, _HOST.c.name == _PORT.c.host))
    .where(_PORT.c.network_id.in_(_IDS))
)
_OF_AGENTS = (
    sa.select(_HOST.c.agent, _PORT.c.network_id, _REVISION.c.revision).distinct()
    .select_from(
        _PORT.join(_HOST, _HOST.c.name == _PORT.c.host).outerjoin(_REVISION, _REVISION.c.resource_id == _PORT.c.network_id))
    .order_by(_PORT.c.network_id)
)
_Tunnels = dict[str, set[str]]  # agent → tunnel addresses of its hosts


def networks(session: Session, network_ids: Collection[str], *, agent: str | None) -> tuple[network_rpc.Network, ...]:
    """The networks in this order, for the network worker `agent`; two queries. One that was deleted is left out."""
    return read(session, network_ids, agent=agent)[0]


def read(session: Session, network_ids: Collection[str], *, agent: str | None) -> tuple[tuple[network_rpc.Network, ...], bool]:
    """As `networks`, and whether another agent's hosts are on any of them."""
    if not network_ids:
        return (), False
    rows, tunnels = _rows(session, network_ids), _tunnels(session, network_ids)
    return tuple(
        _network(rows[network_id], _peers(tunnels[network_id], agent)) for network_id in network_ids if network_id in rows
    ), any(other != agent for agents in tunnels.values() for other in agents)


def take_changes(session: Session, network_ids: Collection[str], *, revision: int) -> dict[str, tuple[network_rpc.Network, ...]]:
    """Agent → the networks that it is to be sent; each that a host has gets a new revision, `revision` unless it has that.

    A host has a network if a port there is on it.
    """
    if not network_ids:
        return {}
    tunnels = _tunnels(session, network_ids)
    with_hosts = [network_id for network_id, agents in tunnels.items() if agents]
    if not with_hosts:
        return {}
    revisions.advance(session, with_hosts, to=revision)
    rows, tunnels = _rows(session, with_hosts), _tunnels(session, with_hosts)
    sent: dict[str, list[network_rpc.Network]] = {}
    for network_id in sorted(rows):
        for agent in sorted(tunnels[network_id]):
            sent.setdefault(agent, []).append(_network(rows[network_id], _peers(tunnels[network_id], agent)))
    return {agent: tuple(of_agent) for agent, of_agent in sent.items()}


def revisions_of_agents(session: Session) -> dict[str, dict[str, int]]:
    """Agent → network → revision, of every network that each should have."""
    found: dict[str, dict[str, int]] = {}
    for agent, network_id, revision in session.execute(_OF_AGENTS):
        found.setdefault(agent, {})[network_id] = revision or 0
    return found


def _rows(session: Session, network_ids: Collection[str]) -> dict[str, list[Any]]:
    """Network → a row for each of its subnets, or one without any."""
    rows: dict[str, list[Any]] = {}
    for row in session.execute(_NETWORKS, {"ids": list(network_ids)}):
        rows.setdefault(row.id, []).append(row)
    return rows


def _tunnels(session: Session, network_ids: Collection[str]) -> dict[str, _Tunnels]:
    """Network → the agents of hosts that have ports of it, with their tunnel addresses."""
    found: dict[str, _Tunnels] = {network_id: {} for network_id in network_ids}
    for network_id, agent, tunnel_ip in session.execute(_TUNNELS, {"ids": list(network_ids)}):
        of_agent = found[network_id].setdefault(agent, set())
        if tunnel_ip:
            of_agent.add(tunnel_ip)
    return found


def _peers(tunnels: _Tunnels, agent: str | None) -> tuple[str, ...]:
    return tuple(sorted(address for other, addresses in tunnels.items() if other != agent for address in addresses))


def _network(rows: list[Any], peers: tuple[str, ...]) -> network_rpc.Network:
    first = rows[0]
    return network_rpc.Network(
        id=first.id,
        segment=first.segment,
        mtu=first.mtu,
        is_routed=first.shared or first.is_external,
        peers=peers,
        revision=first.revision or 0,
        subnets=tuple(
            network_rpc.Subnet(
                id=row.subnet_id,
                cidr=row.subnet_cidr,
                gateway=row.subnet_gateway,
                dns=tuple(row.subnet_dns_nameservers),
                enable_dhcp=row.subnet_enable_dhcp,
            )
            for row in rows
            if row.subnet_id is not None
        ),
    )
