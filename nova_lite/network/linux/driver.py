# SPDX-License-Identifier: Apache-2.0
"""What a host does for its guests' network, in order and safe to repeat: records first, then devices, DHCP, filters."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.network import names
from nova_lite.network.linux import audit, gateway, namespaces
from nova_lite.network.linux.bridges import Bridges, locked_links
from nova_lite.network.linux.dhcp import Dhcp
from nova_lite.network.linux.firewall import Firewall, require_bridge_filter
from nova_lite.network.linux.floating_ips import FloatingAddresses
from nova_lite.network.linux.forwarding import Forwarding
from nova_lite.network.linux.group_filters import GroupFilters
from nova_lite.network.linux.metadata_server import MetadataServer
from nova_lite.network.records import NetworkRecord, Records, order_of
from nova_lite.network.state_sync import StateSync
from nova_lite.rpc.audit import Findings
from nova_lite.rpc.network import (
    ForwardingChange,
    Network,
    NetworkAudit,
    OwnedNetworks,
    Port,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
    digest_of,
)
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.worker.commands import CommandFailed
from nova_lite.worker.locks import NamedLocks

LOG = logging.getLogger(__name__)
_Subject = TypeVar("_Subject")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """The real parts of a host's network, each made for this host's options."""

    bridges: Bridges
    dhcp: Dhcp
    floating: FloatingAddresses
    firewall: Firewall
    metadata: MetadataServer
    sync: StateSync
    forwarding: Forwarding
    transit_cidr: str


class LinuxNetwork:
    """Makes networks of Linux devices on this host. Locks, in this order: a server's, a network's, the filters'."""

    def __init__(self, host: str, records: Records, parts: Parts) -> None:
        self._host = host
        self._records = records
        self._parts = parts
        self._servers = NamedLocks()
        self._networks = NamedLocks()
        self._groups = GroupFilters(records, parts.sync, parts.firewall)
        self._made: dict[str, Network] = {}

    def recover(self) -> None:
        """After a start: finish removals that were cut off, and make what the records promise, keeping what is right.

        :raises errors.NetworkFailed: the host cannot do it; one network's failure does not stop the others'.
        :raises errors.WrongHost: the records are another host's.
        """
        with self._explained("recover"):
            self._records.load()
            self._records.claim(self._host)
            require_bridge_filter()
            namespaces.set_kernel({"ipv4/ip_forward": "1"})
            self._records.drop_unneeded_groups()
            # Filters first: no guest that runs, or is started meanwhile, is without them.
            self._groups.rebuild()
        for server in list(self._records.servers.values()):
            removed = self._records.tombstone(server.server_id)
            if order_of(server).key <= removed.key:
                self.release(server.server_id, order=removed)
        for held in list(self._records.networks.values()):
            if held.is_leaving:
                self._try(self.remove_network, held.network.id)
            else:
                self._try(self._ensure_network, held.network)
        for server in list(self._records.servers.values()):
            for network in server.networks:
                if network.id not in self._records.networks:  # cut off between its record and the network's
                    self._try(self._ensure_network, network)
        LOG.info("recovered %d networks and %d servers", len(self._records.networks), len(self._records.servers))

    def prepare(self, ports: ServerPorts) -> None:
        """See NetworkRpc.prepare_server.

        :raises Superseded: the server was released by a later request, or prepared by one.
        """
        with self._servers.hold(ports.server_id), self._explained("prepare a server's network"):
            self._records.refuse_stale(ports)
            old = self._records.servers.get(ports.server_id)
            fail("network.prepare.record")
            self._records.put_server(ports)
            if self._records.protected is None:
                self.protect(self._parts.sync.fetch_addresses())
            for network in ports.networks:
                self._ensure_network(network)
            self._forward(self._parts.forwarding.fetch_missing(ports.networks))
            fail("network.prepare.filters")
            kept = {port.id for port in ports.ports}
            dropped = [port for port in (old.ports if old else ()) if port.id not in kept]
            if dropped:
                self._parts.firewall.remove(dropped)
            self._groups.add(ports)
            self._forget_ports(dropped)
            fail("network.prepare.done")
        LOG.info("server %s: network prepared, %d ports", ports.server_id, len(ports.ports))
        if old is not None and ports.revision < old.revision:  # its ports were changed after they were read for this
            for newer in self._parts.sync.fetch_servers([ports.server_id]):
                self._replace(newer)

    def refresh(self, ports: ServerPorts) -> None:
        """See NetworkRpc.refresh; an older one than was done changes nothing."""
        server = self._records.servers.get(ports.server_id)
        if server is not None and ports.revision >= server.revision:
            self._replace(ports)

    def _replace(self, ports: ServerPorts) -> None:
        """Prepare the server's ports anew if it is here; a release or a prepare that comes between wins by its order."""
        server = self._records.servers.get(ports.server_id)
        if server is not None:
            self.prepare(dataclasses.replace(ports, fence=server.fence, order=server.order, documents=server.documents))

    def release(self, server_id: str, *, order: Order) -> None:
        """See NetworkRpc.release_server.

        :raises Superseded: the server was prepared by a later request, or released by one; nothing is changed.
        """
        with self._servers.hold(server_id), self._explained("release a server's network"):
            self._records.refuse_stale_release(server_id, order)
            server = self._records.servers.get(server_id)
            self._records.put_tombstone(server_id, order)
            fail("network.release.tombstone")
            if server is None:
                return
            self._parts.firewall.remove(server.ports)
            fail("network.release.filters")
            self._groups.remove_members(server.ports)
            self._records.drop_server(server_id)
            fail("network.release.record")
            self._forget_ports(server.ports)
        LOG.info("server %s: network released", server_id)

    def update_groups(self, groups: Iterable[SecurityGroup]) -> None:
        """See NetworkRpc.update_groups."""
        with self._explained("update security groups"):
            self._groups.update(groups)

    def change_groups(self, changes: Iterable[SecurityGroupChange]) -> None:
        """See NetworkRpc.change_groups."""
        with self._explained("change security groups"):
            self._groups.change(changes)

    def update_documents(self, server_id: str, documents: dict[str, str]) -> None:
        """See NetworkRpc.update_documents; a server that is not here has been released meanwhile."""
        with self._servers.hold(server_id):
            server = self._records.servers.get(server_id)
            if server is not None:
                self._records.put_server(dataclasses.replace(server, documents=documents))

    def set_peers(self, network_id: str, peers: tuple[str, ...]) -> None:
        """See NetworkRpc.set_peers; it has no revision, so that one of this release has more to say."""
        with self._networks.hold(network_id), self._explained("reach other hosts"):
            held = self._records.networks.get(network_id)
            if held is not None and not held.is_leaving and not held.network.revision:
                self._change_peers(dataclasses.replace(held.network, peers=peers))

    def protect(self, addresses: Iterable[str]) -> None:
        """See NetworkDriver.protect."""
        with self._explained("close the cloud's addresses to guests"):
            self._records.put_protected(addresses)
            self._parts.firewall.protect(self._records.protected or ())

    def update_networks(self, networks: Iterable[Network]) -> None:
        """See NetworkRpc.update_networks."""
        for network in networks:
            with self._networks.hold(network.id), self._explained("update a network"):
                held = self._records.networks.get(network.id)
                if held is not None and not held.is_leaving and held.network.revision < network.revision:
                    self._ensure_held(network)

    def change_forwarding(self, changes: Iterable[ForwardingChange]) -> None:
        """See NetworkRpc.change_forwarding."""
        with self._explained("change where frames go"):
            self._forward(self._parts.forwarding.change(changes))

    def check_revisions(self, revisions: Revisions) -> None:
        """See NetworkRpc.check_revisions."""
        with self._explained("catch up with missed changes"):
            if revisions.cloud_addresses not in ("", digest_of(self._records.protected or ())):
                self.protect(self._parts.sync.fetch_addresses())
            groups = {group_id: group.revision for group_id, group in self._records.groups.items()}
            networks = {network_id: held.network.revision for network_id, held in self._records.networks.items()}
            state = self._parts.sync.fetch_differing(revisions)
            self._groups.take(state.groups, groups)
            for network in state.networks:
                with self._networks.hold(network.id):
                    held = self._records.networks.get(network.id)
                    if held is not None and not held.is_leaving and held.network.revision == networks.get(network.id):
                        self._ensure_held(network)
            self._forward(self._parts.forwarding.catch_up(revisions.forwarding))
        for ports in state.servers:
            self._replace(ports)

    def remove_network(self, network_id: str) -> None:
        """See NetworkRpc.remove_network."""
        with self._networks.hold(network_id), self._explained("remove a network"):
            held = self._records.networks.get(network_id)
            if held is None:
                return
            here = self._records.servers_on(network_id)
            if here:
                LOG.warning("network %s: not removed, servers use it: %s", network_id, [s.server_id for s in here])
                return
            self._records.mark_leaving(network_id)
            fail("network.remove_network.record")
            self._remove_parts(network_id)
            self._records.drop_network(network_id)
        LOG.info("network %s: removed", network_id)

    def owned(self) -> OwnedNetworks:
        """See NetworkRpc.owned."""
        return self._records.owned()

    def audit(self, *, after: str) -> NetworkAudit:
        """See NetworkRpc.audit_host."""
        held = self._records.page(after)
        held = dataclasses.replace(held, forwarding=self._parts.forwarding.revisions(held.network_ids))
        if after:
            return held
        with self._explained("compare networks with records"):
            found = Findings([*audit.compare(self._records, self._parts.bridges, host=self._host),
                              *audit.compare_forwarding(self._parts.forwarding, self._networks.hold, host=self._host)])
        return dataclasses.replace(held, found=found.report())

    def resync(self) -> None:
        """See NetworkDriver.resync; costs a few milliseconds when nothing is lost."""
        with self._explained("resync the filters"):
            require_bridge_filter()
            if self._parts.firewall.is_behind:
                LOG.warning("filters: a change had failed; making them anew")
                self._groups.rebuild()
            self._parts.firewall.resync()
        for held in list(self._records.networks.values()):
            if not held.is_leaving:
                self._try(self._resync_network, held.network.id)

    def stop(self) -> None:
        """Answer no more metadata requests; guests' traffic, DHCP and DNS go on."""
        self._parts.metadata.close_all()

    def remove_all(self) -> None:
        """Leave nothing on the host: neither devices nor records; guests lose their network."""
        with self._explained("remove all networks"):
            self._records.load()
            self._parts.metadata.close_all()
            for network_id in list(self._records.networks):
                with self._networks.hold(network_id):
                    self._remove_parts(network_id)
            self._parts.firewall.remove_all()
            self._records.clear()

    def _try(self, work: Callable[[_Subject], None], subject: _Subject) -> None:
        """Do one thing of a recovery; its failure is logged, and does not keep the rest from being done."""
        try:
            with self._explained("recover"):
                work(subject)
        except errors.NetworkFailed as failure:
            LOG.error("network: %s; tried again when a server needs it", failure.text)

    def _resync_network(self, network_id: str) -> None:
        with self._networks.hold(network_id):
            held = self._records.networks.get(network_id)  # it may have been removed since the list was made
            if held is not None and not held.is_leaving:
                self._ensure_network(held.network)

    def _ensure_network(self, network: Network) -> None:
        """Have the network here, as of its newest revision; quick when it is."""
        with self._networks.hold(network.id):
            self._ensure_held(self._records.newest(network))

    def _ensure_held(self, network: Network) -> None:
        """Have exactly this here, with DHCP for every port that the records know; its lock is held."""
        made = self._made.get(network.id)
        if made is None or not _is_same(made, network) or not self._is_whole(network.id):
            self._make_network(network)
        elif made != network:
            self._change_peers(network)
        self._parts.forwarding.ensure(network.id)
        fail("network.prepare.dhcp")
        self._parts.dhcp.ensure(network, self._ports_on(network.id))
        fail("network.prepare.floating")
        self._set_floating(network)

    def _is_whole(self, network_id: str) -> bool:
        return not self._parts.bridges.missing(network_id) and namespaces.exists(names.namespace_name(network_id))

    def _forward(self, network_ids: Iterable[str]) -> None:
        """Have the forwarding entries of these networks, where they are made, as is known."""
        for network_id in network_ids:
            with self._networks.hold(network_id):
                if network_id in self._made:
                    self._parts.forwarding.ensure(network_id)

    def _set_floating(self, network: Network) -> None:
        """Have the floating addresses of the network's ports here, and no others; quick when nothing changed."""
        held = self._records.networks[network.id]
        self._parts.floating.ensure(held.network, index=held.index, ports=self._ports_on(network.id))

    def _make_network(self, network: Network) -> None:
        if network.id in self._records.networks:
            self._make_devices(self._records.add_network(network))
            return
        with locked_links():  # until the link has its addresses no other cloud may choose its number
            self._make_devices(self._records.add_network(network, taken=self._parts.bridges.used_links()))

    def _make_devices(self, held: NetworkRecord) -> None:
        network = held.network
        fail("network.prepare.namespace")
        lost = {names.veth_name(network.id), names.uplink_name(network.id)}.intersection(self._parts.bridges.missing(network.id))
        if gateway.create(network.id) or lost:
            # What belongs to a namespace whose name was removed lives on unseen, and dnsmasq knows devices by their numbers.
            self._parts.bridges.remove_veths(network.id)
            self._parts.floating.forget(network.id)
            self._parts.metadata.close(network.id)
            self._parts.dhcp.stop(network.id)
        # Filters before devices: a guest that waits for the bridge finds them in place.
        self._parts.firewall.add([held], (), ())
        fail("network.prepare.links")
        self._parts.bridges.ensure(network, index=held.index)
        gateway.configure(network, index=held.index, transit_cidr=self._parts.transit_cidr)
        fail("network.prepare.metadata")
        self._parts.metadata.open(network.id)
        self._parts.forwarding.renew(network.id)
        self._made[network.id] = network

    def _change_peers(self, network: Network) -> None:
        self._parts.firewall.add([self._records.add_network(network)], (), ())
        self._parts.bridges.set_peers(network)
        self._made[network.id] = network

    def _forget_ports(self, ports: Iterable[Port]) -> None:
        """Take the ports, no longer in the records, from DHCP; and the groups that nobody needs now."""
        self._records.drop_unneeded_groups()
        for network_id in {port.network_id for port in ports}:
            with self._networks.hold(network_id):
                held = self._records.networks.get(network_id)
                if held is not None and network_id in self._made:
                    self._parts.forwarding.ensure(network_id)
                    self._parts.dhcp.release(held.network, [p for p in ports if p.network_id == network_id])
                    self._parts.dhcp.ensure(held.network, self._ports_on(network_id))
                    self._set_floating(held.network)

    def _ports_on(self, network_id: str) -> list[Port]:
        servers = self._records.servers_on(network_id)
        return [port for server in servers for port in server.ports if port.network_id == network_id]

    def _remove_parts(self, network_id: str) -> None:
        self._made.pop(network_id, None)
        self._parts.floating.forget(network_id)
        self._parts.forwarding.forget(network_id)
        self._parts.metadata.close(network_id)
        self._parts.dhcp.remove(network_id)
        fail("network.remove_network.dhcp")
        self._parts.bridges.remove(network_id)
        fail("network.remove_network.links")
        gateway.remove(network_id)
        self._parts.firewall.remove_network(network_id)

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Failures of host programs and of the kernel become an error for the caller, with the reason."""
        try:
            yield
        except (CommandFailed, OSError, ValueError) as failure:
            raise errors.NetworkFailed(host=self._host, action=action, reason=failure) from failure


def _is_same(one: Network, other: Network) -> bool:
    """Whether the two differ in their peers and revisions at most."""
    return dataclasses.replace(one, peers=(), revision=0) == dataclasses.replace(other, peers=(), revision=0)
