# SPDX-License-Identifier: Apache-2.0
"""Turns rows of ports, networks and security groups into what workers are told of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from nova_lite.db.addresses import Address
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import Host, is_alive, services
from nova_lite.db.networks import Network
from nova_lite.db.ports import Port, PortSecurityGroup, of_servers
from nova_lite.db.security_groups import SecurityGroupRule
from nova_lite.db.servers import Server
from nova_lite.rpc import compute as compute_rpc
from nova_lite.rpc import network as network_rpc

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone


def server_ports(
    session: Session, server: Server, *, fence: int, documents: dict[str, str]
) -> network_rpc.ServerPorts:
    """All that the network worker of the server's host must know of its ports; nine queries at most.

    `server.host` must be set and its ports plugged there (`ports.plug`) and committed before, so that of two
    servers placed at once on two hosts the later one sees the earlier one's host.
    """
    ports = of_servers(session, [server.id])[server.id]
    network_ids = list(dict.fromkeys(port.network_id for port in ports))
    group_ids = {member.group_id for port in ports for member in port.security_groups}
    return network_rpc.ServerPorts(
        server_id=server.id,
        fence=fence,
        networks=_networks(session, network_ids, host=server.host),
        ports=tuple(_port(port, server.hostname) for port in ports),
        groups=groups(session, group_ids),
        documents=documents,
    )


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


def _port(port: Port, hostname: str) -> network_rpc.Port:
    return network_rpc.Port(
        id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        hostname=hostname,
        addresses=tuple(address.address for address in port.addresses),
        group_ids=tuple(sorted(member.group_id for member in port.security_groups)),
        is_secured=port.port_security_enabled,
    )


def _networks(
    session: Session, network_ids: Sequence[str], *, host: str | None
) -> tuple[network_rpc.Network, ...]:
    if not network_ids:
        return ()
    query = sa.select(Network).where(Network.id.in_(network_ids)).options(selectinload(Network.subnets))
    rows = {
        network.id: network for network in session.scalars(query.execution_options(populate_existing=True))
    }
    tunnels = _tunnels(session, network_ids)
    return tuple(
        network_rpc.Network(
            id=row.id,
            segment=row.segment,
            mtu=row.mtu,
            is_routed=row.is_routed,
            peers=_peers(tunnels[row.id], host),
            subnets=tuple(
                network_rpc.Subnet(
                    id=subnet.id,
                    cidr=subnet.cidr,
                    gateway=subnet.gateway,
                    dns=tuple(subnet.dns_nameservers),
                    enable_dhcp=subnet.enable_dhcp,
                )
                for subnet in row.subnets
            ),
        )
        for row in (rows[network_id] for network_id in network_ids)
    )


def _tunnels(session: Session, network_ids: Sequence[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Network id → host name → (agent, tunnel address) of the hosts that have ports of the network."""
    found: dict[str, dict[str, tuple[str, str]]] = {network_id: {} for network_id in network_ids}
    query = sa.select(Port.network_id, Host.name, Host.agent, Host.tunnel_ip).distinct()
    query = query.join(Host, Host.name == Port.host).where(
        Port.network_id.in_(network_ids), Host.tunnel_ip.is_not(None)
    )
    for network_id, name, agent, tunnel_ip in session.execute(query):
        if tunnel_ip:
            found[network_id][name] = (agent, tunnel_ip)
    return found


def _peers(tunnels: dict[str, tuple[str, str]], host: str | None) -> tuple[str, ...]:
    return tuple(sorted(tunnel_ip for name, (_, tunnel_ip) in tunnels.items() if name != host))


def peers_to_refresh(session: Session, network_id: str) -> dict[str, tuple[str, ...]]:
    """Agent → peers, for `set_peers` on every host that the VXLAN reaches; empty unless there are two."""
    tunnels = _tunnels(session, [network_id])[network_id]
    if len(tunnels) < 2:
        return {}
    return {agent: _peers(tunnels, name) for name, (agent, _) in tunnels.items()}


def groups(session: Session, group_ids: Iterable[str]) -> tuple[network_rpc.SecurityGroup, ...]:
    """These groups and every group that their rules name; four queries.

    Only IPv4 rules: guests have no IPv6 yet. `revision` is when the rows were read, in microseconds: a row
    that counts changes would make all servers of a group wait for each other.

    Members are left out of a group that no rule anywhere names: nobody needs them, and they may be many.
    """
    wanted = set(group_ids)
    if not wanted:
        return ()
    revision = (utcnow() - _EPOCH) // datetime.timedelta(microseconds=1)  # before the first query
    rules = _rules(session, wanted)
    remote = {rule.remote_group_id for rule in rules if rule.remote_group_id} - wanted
    if remote:
        rules += _rules(session, remote)
    known = wanted | remote
    named = set(
        session.scalars(
            sa.select(SecurityGroupRule.remote_group_id)
            .distinct()
            .where(SecurityGroupRule.remote_group_id.in_(known), SecurityGroupRule.ethertype == "IPv4")
        )
    )
    members: dict[str, list[network_rpc.Member]] = {group_id: [] for group_id in known}
    if named:
        query = sa.select(PortSecurityGroup.group_id, Port.network_id, Address.address)
        query = query.join(Port, Port.id == PortSecurityGroup.port_id).join(
            Address, Address.port_id == Port.id
        )
        query = query.where(PortSecurityGroup.group_id.in_(named)).order_by(Port.network_id, Address.address)
        for group_id, network_id, address in session.execute(query):
            members[group_id].append(network_rpc.Member(network_id=network_id, address=address))
    return tuple(
        network_rpc.SecurityGroup(
            id=group_id,
            revision=revision,
            members=tuple(members[group_id]),
            rules=tuple(_rule(rule) for rule in rules if rule.group_id == group_id),
        )
        for group_id in sorted(known)
    )


def _rules(session: Session, group_ids: Iterable[str]) -> list[SecurityGroupRule]:
    query = sa.select(SecurityGroupRule).where(
        SecurityGroupRule.group_id.in_(group_ids), SecurityGroupRule.ethertype == "IPv4"
    )
    return list(session.scalars(query.order_by(SecurityGroupRule.created_at, SecurityGroupRule.id)))


def _rule(rule: SecurityGroupRule) -> network_rpc.Rule:
    return network_rpc.Rule(
        direction=rule.direction,
        protocol=rule.protocol,
        port_min=rule.port_min,
        port_max=rule.port_max,
        remote_cidr=rule.remote_cidr,
        remote_group_id=rule.remote_group_id,
    )


def groups_to_refresh(
    session: Session, group_ids: Iterable[str]
) -> dict[str, tuple[network_rpc.SecurityGroup, ...]]:
    """Agent → groups, for `update_groups` after rules or members of `group_ids` changed; six queries.

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


def servers_to_refresh(
    session: Session, server_ids: Iterable[str]
) -> list[tuple[str, network_rpc.ServerPorts]]:
    """(agent, ports) for `refresh` of each of the servers that has a host; nine queries a server.

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
