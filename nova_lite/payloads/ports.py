# SPDX-License-Identifier: Apache-2.0
"""Turn rows of ports, networks and security groups into what workers are told of them."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.base import utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Host, is_alive, services
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.db.network.ports import Port, PortSecurityGroup
from nova_lite.db.network.security_groups import SecurityGroupRule
from nova_lite.rpc import compute as compute_rpc
from nova_lite.rpc import network as network_rpc

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone


def server_ports(
    session: Session, server: Server, *, fence: int, documents: dict[str, str]
) -> network_rpc.ServerPorts:
    """All that the network worker of the server's host must know of its ports; five queries at most.

    `server.host` must be set and its ports plugged there (`ports.plug`) and committed before, so that of two
    servers placed at once on two hosts the later one sees the earlier one's host.
    """
    ports = _ports(session, server)
    network_ids = list(dict.fromkeys(port.network_id for port in ports))
    return network_rpc.ServerPorts(
        server_id=server.id,
        fence=fence,
        networks=_networks(session, network_ids, host=server.host),
        ports=tuple(ports),
        groups=groups(session, {group_id for port in ports for group_id in port.group_ids}),
        documents=documents,
    )


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
_FLOATING: Any = FloatingIp.__table__
_HOST: Any = Host.__table__
_PORTS = (
    sa.select(
        _PORT.c.id,
        _PORT.c.network_id,
        _PORT.c.mac_address,
        _PORT.c.port_security_enabled,
        _ADDRESS.c.address,
        _MEMBER.c.group_id,
        _FLOATING.c.address,
        _FLOATING.c.fixed_address,
        _PORT.c.tag,
    )
    .select_from(
        _PORT.outerjoin(_ADDRESS, _ADDRESS.c.port_id == _PORT.c.id)
        .outerjoin(_MEMBER, _MEMBER.c.port_id == _PORT.c.id)
        .outerjoin(_FLOATING, _FLOATING.c.port_id == _PORT.c.id)
    )
    .where(_PORT.c.device_id == sa.bindparam("of"))
    .order_by(_PORT.c.position, _PORT.c.created_at, _PORT.c.id, _ADDRESS.c.id)
)
_IDS: Any = sa.bindparam("ids", expanding=True)
_NETWORKS = (
    sa.select(*Network.__table__.c, *(column.label(f"subnet_{column.name}") for column in Subnet.__table__.c))
    .select_from(sa.outerjoin(Network.__table__, Subnet.__table__))
    .where(Network.__table__.c.id.in_(_IDS))
    .order_by(Subnet.__table__.c.created_at)
)
_TUNNELS = (
    sa.select(_PORT.c.network_id, _HOST.c.name, _HOST.c.agent, _HOST.c.tunnel_ip)
    .distinct()
    .select_from(_PORT.join(_HOST, _HOST.c.name == _PORT.c.host))
    .where(_PORT.c.network_id.in_(_IDS), _HOST.c.tunnel_ip.is_not(None))
)


def _ports(session: Session, server: Server) -> list[network_rpc.Port]:
    """The server's ports in the order of its NICs; the query has a row per address, group and floating address."""
    facts: dict[str, tuple[str, str, bool, str | None]] = {}
    addresses: dict[str, dict[str, None]] = {}
    group_ids: dict[str, set[str]] = {}
    floating: dict[str, dict[str, str]] = {}
    for port_id, network_id, mac, is_secured, address, group_id, outer, inner, tag in session.execute(
        _PORTS, {"of": server.id}
    ):
        facts[port_id] = (network_id, mac, is_secured, tag)
        held, joined = addresses.setdefault(port_id, {}), group_ids.setdefault(port_id, set())
        if address is not None:
            held[address] = None
        if group_id is not None:
            joined.add(group_id)
        if outer is not None and inner is not None:
            floating.setdefault(port_id, {})[outer] = inner
    return [
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


def _networks(
    session: Session, network_ids: Sequence[str], *, host: str | None
) -> tuple[network_rpc.Network, ...]:
    if not network_ids:
        return ()
    rows: dict[str, list[Any]] = {}
    for row in session.execute(_NETWORKS, {"ids": list(network_ids)}):
        rows.setdefault(row.id, []).append(row)
    tunnels = _tunnels(session, network_ids)
    return tuple(_network(rows[network_id], _peers(tunnels[network_id], host)) for network_id in network_ids)


def _network(rows: list[Any], peers: tuple[str, ...]) -> network_rpc.Network:
    """From a row for each subnet, or one without any."""
    first = rows[0]
    return network_rpc.Network(
        id=first.id,
        segment=first.segment,
        mtu=first.mtu,
        is_routed=first.shared or first.is_external,
        peers=peers,
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


def _tunnels(session: Session, network_ids: Sequence[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Network id → host name → (agent, tunnel address) of the hosts that have ports of the network."""
    found: dict[str, dict[str, tuple[str, str]]] = {network_id: {} for network_id in network_ids}
    for network_id, name, agent, tunnel_ip in session.execute(_TUNNELS, {"ids": list(network_ids)}):
        if tunnel_ip:
            found[network_id][name] = (agent, tunnel_ip)
    return found


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


def _peers(tunnels: dict[str, tuple[str, str]], host: str | None) -> tuple[str, ...]:
    return tuple(sorted(tunnel_ip for name, (_, tunnel_ip) in tunnels.items() if name != host))


def peers_to_refresh(session: Session, network_id: str) -> dict[str, tuple[str, ...]]:
    """Agent → peers, for `set_peers` on every host that the VXLAN reaches; empty unless there are two."""
    tunnels = _tunnels(session, [network_id])[network_id]
    if len(tunnels) < 2:
        return {}
    return {agent: _peers(tunnels, name) for name, (agent, _) in tunnels.items()}


_RULE: Any = SecurityGroupRule.__table__.c
_NAMING = sa.select(_RULE.remote_group_id).where(_RULE.ethertype == "IPv4")
# The rules of the groups, and of every group that these name.
_RULES = (
    sa.select(*_RULE)
    .where(
        _RULE.ethertype == "IPv4",
        sa.or_(_RULE.group_id.in_(_IDS), _RULE.group_id.in_(_NAMING.where(_RULE.group_id.in_(_IDS)).correlate(None))),
    )
    .order_by(_RULE.created_at, _RULE.id)
)
_MEMBERS = (
    sa.select(_MEMBER.c.group_id, _PORT.c.network_id, _ADDRESS.c.address)
    .select_from(_MEMBER.join(_PORT, _PORT.c.id == _MEMBER.c.port_id).join(_ADDRESS, _ADDRESS.c.port_id == _PORT.c.id))
    .where(_MEMBER.c.group_id.in_(_IDS), _MEMBER.c.group_id.in_(_NAMING.where(_RULE.remote_group_id.in_(_IDS))))
    .order_by(_PORT.c.network_id, _ADDRESS.c.address)
)


def groups(session: Session, group_ids: Iterable[str]) -> tuple[network_rpc.SecurityGroup, ...]:
    """These groups and every group that their rules name; two queries.

    Only IPv4 rules: guests have no IPv6 yet. `revision` is when the rows were read, in microseconds: a row
    that counts changes would make all servers of a group wait for each other.

    Members are left out of a group that no rule anywhere names: nobody needs them, and they may be many.
    """
    wanted = set(group_ids)
    if not wanted:
        return ()
    revision = (utcnow() - _EPOCH) // datetime.timedelta(microseconds=1)  # before the first query
    rules: dict[str, list[network_rpc.Rule]] = {}
    known = set(wanted)
    for rule in session.execute(_RULES, {"ids": sorted(wanted)}):
        rules.setdefault(rule.group_id, []).append(_rule(rule))
        if rule.group_id in wanted and rule.remote_group_id:
            known.add(rule.remote_group_id)
    members: dict[str, list[network_rpc.Member]] = {}
    for group_id, network_id, address in session.execute(_MEMBERS, {"ids": sorted(known)}):
        members.setdefault(group_id, []).append(network_rpc.Member(network_id=network_id, address=address))
    return tuple(
        network_rpc.SecurityGroup(
            id=group_id,
            revision=revision,
            members=tuple(members.get(group_id, ())),
            rules=tuple(rules.get(group_id, ())),
        )
        for group_id in sorted(known)
    )


def _rule(rule: Any) -> network_rpc.Rule:  # noqa: ANN401 - a row
    return network_rpc.Rule(
        direction=rule.direction,
        protocol=rule.protocol,
        port_min=rule.port_min,
        port_max=rule.port_max,
        remote_cidr=str(ipaddress.ip_network(rule.remote_cidr, strict=False)) if rule.remote_cidr else None,
        remote_group_id=rule.remote_group_id,
    )


def groups_to_refresh(
    session: Session, group_ids: Iterable[str]
) -> dict[str, tuple[network_rpc.SecurityGroup, ...]]:
    """Agent → groups, for `update_groups` after rules or members of `group_ids` changed; four queries.

    The agents are those of hosts with a port in one of them, or in a group whose rules name one of them.
    """
    changed = set(group_ids)
    if not changed:
        return {}
    naming = session.scalars(
        sa.select(SecurityGroupRule.group_id)
        .distinct()
        .where(SecurityGroupRule.remote_group_id.in_(changed), SecurityGroupRule.ethertype == "IPv4")
    )
    concerned = changed | set(naming)
    query = sa.select(Host.agent).distinct().join(Port, Port.host == Host.name)
    query = query.join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
    agents = list(
        session.scalars(query.where(PortSecurityGroup.group_id.in_(concerned)).order_by(Host.agent))
    )
    if not agents:
        return {}
    described = groups(session, changed)
    return dict.fromkeys(agents, described)


def groups_of_agents(session: Session) -> dict[str, tuple[network_rpc.SecurityGroup, ...]]:
    """Agent → every group that its hosts need, for `update_groups`; three queries."""
    query = sa.select(Host.agent, PortSecurityGroup.group_id).distinct().join(Port, Port.host == Host.name)
    used: dict[str, set[str]] = {}
    for agent, group_id in session.execute(query.join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)):
        used.setdefault(agent, set()).add(group_id)
    known = {group.id: group for group in groups(session, set().union(*used.values()))}
    needed = {
        agent: own | {rule.remote_group_id for group_id in own for rule in known[group_id].rules if rule.remote_group_id}
        for agent, own in used.items()
    }
    return {agent: tuple(known[group_id] for group_id in sorted(ids)) for agent, ids in needed.items()}


def servers_to_refresh(
    session: Session, server_ids: Iterable[str]
) -> list[tuple[str, network_rpc.ServerPorts]]:
    """(agent, ports) for `refresh` of each of the servers that has a host; five queries a server.

    Fence and documents are left out: `refresh` keeps those that the host has.
    """
    query = sa.select(Server).where(
        Server.id.in_(set(server_ids)), Server.deleted_at.is_(None), Server.agent.is_not(None)
    )
    return [
        (str(server.agent), server_ports(session, server, fence=0, documents={}))
        for server in session.scalars(query)
    ]


def one_server_per_host(session: Session, network_id: str) -> list[str]:
    """Ids of servers, one on each host that has a port of the network: a refresh of each reaches all hosts."""
    query = sa.select(sa.func.min(Port.device_id)).where(
        Port.network_id == network_id, Port.host.is_not(None)
    )
    return [server_id for server_id in session.scalars(query.group_by(Port.host)) if server_id]


def agents(session: Session, *, down_time_s: float) -> list[str]:
    """The network workers that live, by their names on the bus."""
    found = services(session, binary="nova-network")
    now = utcnow()
    return sorted({row.agent for row in found if is_alive(row, now=now, down_time_s=down_time_s)})
