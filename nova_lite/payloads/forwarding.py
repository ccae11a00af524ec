# SPDX-License-Identifier: Apache-2.0
"""Where the ports of networks are, as hosts get it: whole when a host fetches it, else what changed between two revisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.hosts.hosts import Host
from nova_lite.db.network import revisions
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.db.network.revisions import Revision
from nova_lite.rpc import network as network_rpc

# Statements are built once: building one costs several times what running it does.
_REVISION: Any = Revision.__table__
_PORT: Any = Port.__table__
_HOST: Any = Host.__table__
_NETWORK: Any = Network.__table__
_IDS: Any = sa.bindparam("ids", expanding=True)
_PLACED = _PORT.join(_HOST, _HOST.c.name == _PORT.c.host)
_PLACES = (
    sa.select(_PORT.c.network_id, _PORT.c.mac_address, _PORT.c.port_security_enabled, _HOST.c.tunnel_ip)
    .select_from(_PLACED).where(_PORT.c.network_id.in_(_IDS), _HOST.c.tunnel_ip.is_not(None)).order_by(_PORT.c.mac_address))
_CHANGED = _PLACES.where(_PORT.c.mac_address.in_(sa.bindparam("macs", expanding=True)))
_AGENTS = sa.select(_PORT.c.network_id, _HOST.c.agent).distinct().select_from(_PLACED)
_AGENTS_OF = _AGENTS.where(_PORT.c.network_id.in_(_IDS))
_KNOWN = sa.select(_REVISION.c.resource_id, _REVISION.c.revision).where(_REVISION.c.resource_id.in_(_IDS))
_OF_AGENTS = sa.select(_HOST.c.agent, _PORT.c.network_id, _REVISION.c.revision).distinct().select_from(
    _PLACED.outerjoin(
        _REVISION, _REVISION.c.resource_id == sa.literal(revisions.FORWARDING) + sa.func.replace(_PORT.c.network_id, "-", "")))
_PORT_OF = sa.select(_PORT.c.id).select_from(_PLACED).where(_PORT.c.network_id == _NETWORK.c.id).correlate(_NETWORK)
_OF_AGENT = sa.select(_NETWORK.c.id, _REVISION.c.revision).select_from(_NETWORK.outerjoin(
    _REVISION, _REVISION.c.resource_id == sa.literal(revisions.FORWARDING) + sa.func.replace(_NETWORK.c.id, "-", ""))).where(
    _NETWORK.c.id.in_(_IDS), _PORT_OF.where(_HOST.c.agent == sa.bindparam("agent")).exists(),
    _PORT_OF.where(_HOST.c.agent != sa.bindparam("agent")).exists())


@dataclasses.dataclass
class ChangedPlaces:
    """What the record of changes says of networks: (network, MAC) that came or went; networks that hosts are to fetch whole."""

    macs: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    reload: set[str] = dataclasses.field(default_factory=set)


def forwarding(session: Session, network_ids: Collection[str]) -> tuple[network_rpc.Forwarding, ...]:
    """Where all ports of the networks are; two queries. Places may be newer than the revision, never older."""
    if not network_ids:
        return ()
    known = _known(session, network_ids)
    places: dict[str, list[network_rpc.PortPlace]] = {network_id: [] for network_id in network_ids}
    for row in session.execute(_PLACES, {"ids": list(network_ids)}):
        places[row.network_id].append(_place(row))
    return tuple(
        network_rpc.Forwarding(network_id=network_id, revision=known.get(network_id, 0), places=tuple(of_network))
        for network_id, of_network in places.items())


def take_changes(
    session: Session, changed: ChangedPlaces, *, revision: int
) -> dict[str, tuple[network_rpc.ForwardingChange, ...]]:
    """Agent → what it is to be sent; each network that a host has gets a new revision, `revision` unless it has that."""
    network_ids = {network_id for network_id, _ in changed.macs} | changed.reload
    agents: dict[str, set[str]] = {}
    for network_id, agent in session.execute(_AGENTS_OF, {"ids": sorted(network_ids)}) if network_ids else ():
        agents.setdefault(network_id, set()).add(agent)
    if not agents:
        return {}
    keys = {network_id: revisions.of_forwarding(network_id) for network_id in agents}
    steps = revisions.advance(session, list(keys.values()), to=revision)
    found: dict[str, dict[str, network_rpc.PortPlace]] = {}
    macs = sorted({mac for _, mac in changed.macs})
    for row in session.execute(_CHANGED, {"ids": sorted(agents), "macs": macs}) if macs else ():
        found.setdefault(row.network_id, {})[row.mac_address] = _place(row)
    sent: dict[str, list[network_rpc.ForwardingChange]] = {}
    for network_id in sorted(agents):
        before, after = steps[keys[network_id]]
        concerned = {mac for of_network, mac in changed.macs if of_network == network_id}
        here = found.get(network_id, {})
        change = network_rpc.ForwardingChange(
            network_id=network_id, base_revision=after if network_id in changed.reload else before, revision=after,
            places=tuple(here[mac] for mac in sorted(concerned & here.keys())), gone=tuple(sorted(concerned - here.keys())))
        for agent in agents[network_id]:
            sent.setdefault(agent, []).append(change)
    return {agent: tuple(of_agent) for agent, of_agent in sent.items()}


def revisions_of_agents(session: Session) -> dict[str, dict[str, int]]:
    """Agent → network → revision, of every network that it shares with others."""
    of_networks: dict[str, dict[str, int]] = {}
    for agent, network_id, revision in session.execute(_OF_AGENTS):
        of_networks.setdefault(network_id, {})[agent] = revision or 0
    found: dict[str, dict[str, int]] = {}
    for network_id, agents in sorted(of_networks.items()):
        for agent, revision in agents.items() if len(agents) > 1 else ():
            found.setdefault(agent, {})[network_id] = revision
    return found


def revisions_of_agent(session: Session, agent: str, network_ids: Collection[str]) -> dict[str, int]:
    """Network → revision, of those of the networks that the agent shares with others; one query, whatever their number of hosts."""
    found = session.execute(_OF_AGENT, {"ids": list(network_ids), "agent": agent})
    return {network_id: revision or 0 for network_id, revision in found}


def _known(session: Session, network_ids: Iterable[str]) -> dict[str, int]:
    keys = {revisions.of_forwarding(network_id): network_id for network_id in network_ids}
    return {keys[key]: revision for key, revision in session.execute(_KNOWN, {"ids": list(keys)})}


def _place(row: Any) -> network_rpc.PortPlace:  # a row
    return network_rpc.PortPlace(mac=row.mac_address, tunnel_ip=row.tunnel_ip, is_secured=row.port_security_enabled)
