# SPDX-License-Identifier: Apache-2.0
"""A network driver in memory only, for the fake hypervisor: any number of simulated hosts behind one agent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from oslo_log import log as logging

from nova_lite.network.records import Records
from nova_lite.network.state_sync import NoSource, StateSource, StateSync
from nova_lite.rpc.network import (
    ForwardingChange,
    Network,
    NetworkAudit,
    OwnedNetworks,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
    digest_of,
)
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.worker.locks import NamedLocks

LOG = logging.getLogger(__name__)


class FakeNetwork:
    """Keeps the rules of the contract (order, repetition, refusals) and makes nothing."""

    def __init__(self, records: Records, *, source: StateSource | None = None, agent: str = "") -> None:
        self._records = records
        self._sync = StateSync(records, source or NoSource(), agent=agent)
        self._servers = NamedLocks()

    def recover(self) -> None:
        self._records.load()

    def prepare(self, ports: ServerPorts) -> None:
        with self._servers.hold(ports.server_id):
            self._records.refuse_stale(ports)
            fail("network.prepare.record")
            self._records.put_server(ports)
            for network in ports.networks:
                self._records.add_network(self._records.newest(network))
            self._records.put_groups(ports.groups)
            self._sync.fetch_groups(self._sync.missing(ports.ports))
            self._records.add_members(ports.ports)
            self._records.drop_unneeded_groups()
            fail("network.prepare.done")

    def refresh(self, ports: ServerPorts) -> None:
        server = self._records.servers.get(ports.server_id)
        if server is not None and ports.revision >= server.revision:
            self._replace(ports)

    def release(self, server_id: str, *, order: Order) -> None:
        with self._servers.hold(server_id):
            self._records.refuse_stale_release(server_id, order)
            server = self._records.servers.get(server_id)
            self._records.put_tombstone(server_id, order)
            fail("network.release.tombstone")
            if server is not None:
                self._records.drop_server(server_id)
                self._records.drop_unneeded_groups()

    def update_groups(self, groups: Iterable[SecurityGroup]) -> None:
        self._records.put_groups(group for group in groups if group.id in self._records.groups)

    def change_groups(self, changes: Iterable[SecurityGroupChange]) -> None:
        sent = list(changes)
        self._sync.apply(sent)
        self._sync.fetch_groups(self._sync.behind(change.id for change in sent) | self._missing())

    def update_documents(self, server_id: str, documents: dict[str, str]) -> None:
        with self._servers.hold(server_id):
            server = self._records.servers.get(server_id)
            if server is not None:
                self._records.put_server(dataclasses.replace(server, documents=documents))

    def set_peers(self, network_id: str, peers: tuple[str, ...]) -> None:
        held = self._records.networks.get(network_id)
        if held is not None and not held.network.revision:
            self._records.add_network(dataclasses.replace(held.network, peers=peers))

    def protect(self, addresses: Iterable[str]) -> None:
        self._records.put_protected(addresses)

    def update_networks(self, networks: Iterable[Network]) -> None:
        for network in networks:
            if network.id in self._records.networks:
                self._records.add_network(self._records.newest(network))

    def change_forwarding(self, changes: Iterable[ForwardingChange]) -> None:
        """Frames go nowhere here."""

    def check_revisions(self, revisions: Revisions) -> None:
        if revisions.cloud_addresses not in ("", digest_of(self._records.protected or ())):
            self.protect(self._sync.fetch_addresses())
        before = {group_id: group.revision for group_id, group in self._records.groups.items()}
        state = self._sync.fetch_differing(revisions)
        self._records.put_fetched_groups(state.groups, before)
        for network in state.networks:
            if network.id in self._records.networks:
                self._records.add_network(network)
        for ports in state.servers:
            self._replace(ports)

    def _replace(self, ports: ServerPorts) -> None:
        server = self._records.servers.get(ports.server_id)
        if server is not None:
            self.prepare(dataclasses.replace(ports, fence=server.fence, order=server.order, documents=server.documents))

    def _missing(self) -> set[str]:
        return self._sync.missing(port for server in list(self._records.servers.values()) for port in server.ports)

    def remove_network(self, network_id: str) -> None:
        if self._records.servers_on(network_id):
            LOG.warning("network %s: not removed, servers use it", network_id)
        else:
            self._records.drop_network(network_id)

    def owned(self) -> OwnedNetworks:
        return self._records.owned()

    def audit(self, *, after: str) -> NetworkAudit:
        """There is nothing beside the records, which are in memory."""
        return dataclasses.replace(self._records.page(after), is_lasting=False)

    def resync(self) -> None:
        """There is nothing that could be lost."""

    def stop(self) -> None:
        """Nothing runs."""

    def remove_all(self) -> None:
        self._records.clear()
