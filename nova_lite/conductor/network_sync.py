# SPDX-License-Identifier: Apache-2.0
"""The one pusher of network state: sends hosts what the record of changes says, coalesced for each host.

Who changes a group, a network or a server's ports writes a row of db/network/network_changes.py in the same transaction
and wakes this up; a periodic look at the rows makes up for a lost wake-up. What a host misses it fetches here.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from typing import Any

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Run
from nova_lite.context import Context, system_context
from nova_lite.db.network import interfaces, network_changes, ports
from nova_lite.db.network.network_changes import Kind
from nova_lite.db.volume import attachments
from nova_lite.payloads import forwarding, networks, security_groups
from nova_lite.payloads import ports as port_payloads
from nova_lite.payloads.cloud_addresses import cloud_addresses
from nova_lite.rpc.network import (
    Forwarding,
    ForwardingChange,
    Network,
    NetworkState,
    Revisions,
    SecurityGroupChange,
    ServerPorts,
    digest_of,
)

LOG = logging.getLogger(__name__)
# Changes of one pass: bounds the lists in its statements and the size of its messages.
BATCH = 500
# So long a wake-up is left for others to come: the changes of many servers that start at once are one pass.
COALESCE_S = 0.05
_UNIX_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone


@dataclasses.dataclass
class _Pushes:
    """What one pass sends, by agent."""

    groups: dict[str, tuple[SecurityGroupChange, ...]]
    networks: dict[str, tuple[Network, ...]]
    forwarding: dict[str, tuple[ForwardingChange, ...]]
    servers: list[tuple[str, ServerPorts]]
    deleted_networks: dict[str, list[str]]
    addresses: dict[str, str]


class NetworkSync:
    """Endpoint, and the work of a thread: `push` sends what is pending; several conductors may do it at once."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def push_network(self, ctxt: Context) -> None:
        self._services.network_changed()

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        with self._services.database.reader() as session:
            return NetworkState(
                groups=security_groups.groups(session, group_ids),
                networks=networks.networks(session, network_ids, agent=agent),
                servers=port_payloads.ports_of_servers(session, server_ids, agent=agent))

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        with self._services.database.reader() as session:
            return forwarding.forwarding(session, network_ids)

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        with self._services.database.reader() as session:
            return cloud_addresses(session, self._services.conf)

    def push(self) -> None:
        """Send what is pending, oldest first, until nothing is.

        Rows are deleted after the messages are sent: what a crash cuts off is pushed again, under a newer revision.
        """
        while True:
            with self._services.database.reader() as session:
                changes = network_changes.pending(session, limit=BATCH)
            if not changes:
                return
            with self._services.database.writer() as session:
                pushes = self._take(session, changes)
            self._send(pushes)
            with self._services.database.statement() as session:
                network_changes.delete(session, changes)
            if len(changes) < BATCH:
                return

    def _take(self, session: Session, changes: Iterable[network_changes.Row]) -> _Pushes:
        """Give what changed its new revisions, and read it."""
        groups = security_groups.ChangedGroups()
        places = forwarding.ChangedPlaces()
        ids: dict[str, set[str]] = {kind: set() for kind in Kind}
        for change in changes:
            if change.kind == Kind.MEMBER:
                groups.members.add((change.resource_id, str(change.port_id), str(change.network_id), str(change.address)))
            if change.kind == Kind.PLACE:
                places.macs.add((change.resource_id, str(change.address)))
            ids[change.kind].add(change.resource_id)
        groups.rules, groups.reload = ids[Kind.RULES], ids[Kind.RELOAD]
        places.reload = ids[Kind.RELOAD_PLACES]
        revision = revision_of(self._services.now())
        deleted = sorted(ids[Kind.NETWORK_DELETED])
        has_addresses = bool(ids[Kind.ADDRESSES])
        agents = port_payloads.agents(session, down_time_s=self._services.conf.service_down_time) if deleted or has_addresses else []
        digest = digest_of(cloud_addresses(session, self._services.conf)) if has_addresses else ""
        return _Pushes(
            groups=security_groups.take_changes(session, groups, revision=revision),
            networks=networks.take_changes(session, ids[Kind.NETWORK], revision=revision),
            forwarding=forwarding.take_changes(session, places, revision=revision),
            servers=port_payloads.take_changes(session, ids[Kind.SERVER], revision=revision),
            deleted_networks=dict.fromkeys(agents, deleted),
            addresses=dict.fromkeys(agents, digest) if has_addresses else {})

    def _send(self, pushes: _Pushes) -> None:
        ctxt = system_context()
        for agent, changes in sorted(pushes.groups.items()):
            self._services.network(agent).change_groups(ctxt, changes=changes)
        for agent, of_agent in sorted(pushes.networks.items()):
            self._services.network(agent).update_networks(ctxt, networks=of_agent)
        for agent, places in sorted(pushes.forwarding.items()):
            self._services.network(agent).change_forwarding(ctxt, changes=places)
        for agent, of_server in pushes.servers:
            self._services.network(agent).refresh(ctxt, ports=of_server)
        for agent, network_ids in pushes.deleted_networks.items():
            for network_id in network_ids:
                self._services.network(agent).remove_network(ctxt, network_id=network_id)
        for agent, digest in pushes.addresses.items():
            self._services.network(agent).check_revisions(
                ctxt, revisions=Revisions(groups={}, networks={}, servers={}, cloud_addresses=digest))


def revision_of(moment: datetime.datetime) -> int:
    """The revision that what is pushed then gets, or a later one if it has that already."""
    return (moment - _UNIX_EPOCH) // datetime.timedelta(microseconds=1)


def check_revisions(services: Services) -> None:
    """Send each host the revisions that it should have; it fetches what it has at another."""
    with services.database.reader() as session:
        groups = security_groups.revisions_of_agents(session)
        of_networks = networks.revisions_of_agents(session)
        of_forwarding = forwarding.revisions_of_agents(session)
        of_servers = port_payloads.revisions_of_agents(session)
        addresses = digest_of(cloud_addresses(session, services.conf))
        alive = port_payloads.agents(session, down_time_s=services.conf.service_down_time)
    for agent in sorted({*groups, *of_networks, *of_servers, *alive}):
        services.network(agent).check_revisions(system_context(), revisions=Revisions(
            groups=groups.get(agent, {}), networks=of_networks.get(agent, {}), servers=of_servers.get(agent, {}),
            cloud_addresses=addresses, forwarding=of_forwarding.get(agent, {})))


def refresh_servers(services: Services, server_ids: Iterable[str]) -> None:
    """Have the servers' hosts get their ports anew."""
    with services.database.writer() as session:
        network_changes.record(session, Kind.SERVER, server_ids)
    services.network_changed()


def record_joined(session: Session, run: Run[Any]) -> None:
    """The server's host has its networks now, in the transaction that says so: other hosts are to reach it."""
    interfaces.join_networks(session, run.resource_id)


def changed(services: Services, run: Run[Any]) -> None:
    """After a step that recorded changes: push them soon."""
    services.network_changed()


def places(services: Services, run: Run[Any]) -> None:
    """The guest was defined anew: the addresses of its tagged devices in the instance metadata are brought up to date."""
    with services.database.reader() as session:
        is_tagged = any(port.tag for port in ports.of_servers(session, [run.resource_id])[run.resource_id]) or any(
            attachment.tag for attachment in attachments.of_server(session, run.resource_id))
    if is_tagged:
        services.conductor.refresh_documents(run.ctxt, server_id=run.resource_id)
