# SPDX-License-Identifier: Apache-2.0
"""A network driver in memory only, for the fake hypervisor: any number of simulated hosts behind one agent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from oslo_log import log as logging

from nova_lite.network.records import Records
from nova_lite.rpc.network import OwnedNetworks, SecurityGroup, ServerPorts
from nova_lite.runtime.failpoints import fail
from nova_lite.worker.locks import NamedLocks

LOG = logging.getLogger(__name__)


class FakeNetwork:
    """Keeps the rules of the contract (fences, repetition, refusals) and makes nothing."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._servers = NamedLocks()

    def recover(self) -> None:
        self._records.load()

    def prepare(self, ports: ServerPorts) -> None:
        with self._servers.hold(ports.server_id):
            self._records.refuse_stale(ports)
            fail("network.prepare.record")
            self._records.put_server(ports)
            for network in ports.networks:
                self._records.add_network(network)
            self._records.put_groups(ports.groups)
            fail("network.prepare.done")

    def refresh(self, ports: ServerPorts) -> None:
        server = self._records.servers.get(ports.server_id)
        if server is not None:
            self.prepare(dataclasses.replace(ports, fence=server.fence, documents=server.documents))

    def release(self, server_id: str, *, fence: int) -> None:
        with self._servers.hold(server_id):
            server = self._records.servers.get(server_id)
            if server is not None and server.fence > fence:
                return
            self._records.bury(server_id, fence=fence)
            fail("network.release.tombstone")
            if server is not None:
                self._records.drop_server(server_id)

    def update_groups(self, groups: Iterable[SecurityGroup]) -> None:
        self._records.put_groups(group for group in groups if group.id in self._records.groups)

    def update_documents(self, server_id: str, documents: dict[str, str]) -> None:
        with self._servers.hold(server_id):
            server = self._records.servers.get(server_id)
            if server is not None:
                self._records.put_server(dataclasses.replace(server, documents=documents))

    def set_peers(self, network_id: str, peers: tuple[str, ...]) -> None:
        held = self._records.networks.get(network_id)
        if held is not None:
            self._records.add_network(dataclasses.replace(held.network, peers=peers))

    def remove_network(self, network_id: str) -> None:
        if self._records.servers_on(network_id):
            LOG.warning("network %s: not removed, servers use it", network_id)
        else:
            self._records.drop_network(network_id)

    def owned(self) -> OwnedNetworks:
        return self._records.owned()

    def heal(self) -> None:
        """Memory does not get lost."""

    def stop(self) -> None:
        """Nothing runs."""

    def remove_all(self) -> None:
        self._records.clear()
