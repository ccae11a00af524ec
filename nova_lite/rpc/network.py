# SPDX-License-Identifier: Apache-2.0
"""The network worker's RPC contract, and the descriptions of networks, ports and security groups that it works from."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

from nova_lite.context import Context
from nova_lite.rpc.audit import AuditReport
from nova_lite.rpc.interface import Interface, call, cast
from nova_lite.rpc.order import NEVER, Order
from nova_lite.rpc.payload import payload


@payload(version=1)
class Subnet:
    """One IPv4 subnet: `cidr` 10.0.0.0/24, `gateway` and `dns` dotted quads; `gateway` may be None."""

    id: str
    cidr: str
    gateway: str | None
    dns: tuple[str, ...] = ()
    enable_dhcp: bool = True


@payload(version=2)
class Network:
    """One layer-2 network as a host must make it.

    `segment` is the VXLAN network identifier. `peers` are the tunnel addresses of the other hosts; empty:
    no VXLAN. `is_routed`: the host itself gets a route to it (shared networks, whose ranges never overlap);
    other networks may overlap freely, since each has its own namespace on the host.
    `revision` grows with every change that was sent to hosts: one that arrives late changes nothing.
    """

    id: str
    segment: int
    mtu: int
    subnets: tuple[Subnet, ...]
    peers: tuple[str, ...] = ()
    is_routed: bool = False
    revision: int = 0


@payload(version=1)
class Member:
    """An address that belongs to a security group, in the network where it is valid."""

    network_id: str
    address: str


@payload(version=1)
class Rule:
    """One accept rule. `direction` ingress|egress; `protocol` a name or number, None: any.

    Ports are inclusive; for icmp they are type and code. Remote: a CIDR, a group, or (both None) anyone.
    """

    direction: str
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_cidr: str | None = None
    remote_group_id: str | None = None


@payload(version=2)
class SecurityGroup:
    """A whole group. `members` are all addresses of its ports on every host; needed where a rule names the group.

    `revision` grows with every change of rules or members, so that a message that was overtaken changes nothing.
    """

    id: str
    rules: tuple[Rule, ...] = ()
    members: tuple[Member, ...] = ()
    revision: int = 0


@payload(version=1)
class SecurityGroupChange:
    """What changed in a group from `base_revision` to `revision`; `rules` None: they did not.

    A host that has another revision than the base fetches the whole group. Base and revision are equal when hosts
    are to do that anyway.
    """

    id: str
    base_revision: int
    revision: int
    added: tuple[Member, ...] = ()
    removed: tuple[Member, ...] = ()
    rules: tuple[Rule, ...] | None = None


@payload(version=1)
class PortPlace:
    """The host that a port is on, by its tunnel address. `is_secured` False: its guest may send with other MACs too."""

    mac: str
    tunnel_ip: str
    is_secured: bool = True


@payload(version=1)
class Forwarding:
    """Where all ports of a network are that are on a host."""

    network_id: str
    revision: int
    places: tuple[PortPlace, ...]


@payload(version=1)
class ForwardingChange:
    """What changed of that from `base_revision` to `revision`: ports that came or changed, and MACs that are gone.

    A host that has another revision than the base fetches the whole. Base and revision are equal when hosts are to do
    that anyway.
    """

    network_id: str
    base_revision: int
    revision: int
    places: tuple[PortPlace, ...] = ()
    gone: tuple[str, ...] = ()


@payload(version=3)
class Revisions:
    """The revisions, by id, of the groups, networks and servers' ports that a host should have.

    `cloud_addresses`: the digest of the addresses that are closed to guests; empty: not compared.
    `forwarding`: of the networks that are on other hosts too, where their ports are.
    """

    groups: dict[str, int]
    networks: dict[str, int]
    servers: dict[str, int]
    cloud_addresses: str = ""
    forwarding: dict[str, int] = dataclasses.field(default_factory=dict)


@payload(version=1)
class Floating:
    """A floating address, and the fixed one of the port that it translates to."""

    address: str
    fixed_address: str


@payload(version=3)
class Port:
    """One NIC of a server. Its tap is named by `tap_name`; `addresses` are IPv4 dotted quads.

    `tag` is the device tag that its user gave the NIC.

    `is_secured` False: neither security groups nor anti-spoofing apply.
    """

    id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    hostname: str
    group_ids: tuple[str, ...] = ()
    is_secured: bool = True
    floating: tuple[Floating, ...] = ()
    tag: str | None = None


@payload(version=3)
class ServerPorts:
    """Everything a host's network worker must know of one server, before its guest exists.

    `order`: of requests about one server; one that the host has released, or that is older than what it has, is refused.
    `fence` is what release 0.1 ordered them by; 0: there is an order.
    `documents` is the metadata tree: path (`openstack/latest/meta_data.json`) to text.
    `groups` is filled by release 0.1 only: every group of the ports, and every group that those groups' rules name.
    The host fetches those that it lacks.
    `revision` grows with every change of the ports that was sent to the host: one that arrives late changes nothing.
    """

    server_id: str
    fence: int
    networks: tuple[Network, ...]
    ports: tuple[Port, ...]
    groups: tuple[SecurityGroup, ...]
    documents: dict[str, str]
    revision: int = 0
    order: Order = NEVER


@payload(version=1)
class NetworkState:
    """Groups, networks and servers' ports as the rows have them, for a host that is behind; what was deleted is left out."""

    groups: tuple[SecurityGroup, ...] = ()
    networks: tuple[Network, ...] = ()
    servers: tuple[ServerPorts, ...] = ()


@payload(version=1)
class FloatingIpAssociation:
    """A floating address of a server on this host, and the fixed address that it translates to."""

    server_id: str
    address: str
    fixed_address: str


@payload(version=3)
class OwnedNetworks:
    """What a host's network worker has made and not yet removed: ids, and floating addresses, for comparison with the rows.

    `is_as_expected`: servers and floating addresses are those of the digest that was sent, and are left out.
    """

    network_ids: tuple[str, ...]
    server_ids: tuple[str, ...]
    floating: tuple[FloatingIpAssociation, ...] = ()
    is_as_expected: bool = False

    @property
    def digest(self) -> str:
        """The same for the same servers and floating addresses only; networks stay on a host when it has no server of theirs any more."""
        return digest_of([*self.server_ids, *(f"{one.server_id}/{one.address}/{one.fixed_address}" for one in self.floating)])


@payload(version=1)
class NetworkAudit:
    """A page of the servers and networks that a network worker has made and not yet removed, by id, and the servers' floating addresses.

    `next`: what the next page comes after; empty: this is the last one. `found`: what the worker found on its host, with the first page.
    `forwarding`: the revisions at which it knows where these networks' ports are. `is_lasting` False: what it has ends with its
    process, as simulated networks do; that it lacks something means nothing.
    """

    server_ids: tuple[str, ...] = ()
    network_ids: tuple[str, ...] = ()
    floating: tuple[FloatingIpAssociation, ...] = ()
    forwarding: dict[str, int] = dataclasses.field(default_factory=dict)
    is_lasting: bool = True
    found: AuditReport = AuditReport()
    next: str = ""


def digest_of(names: Iterable[str]) -> str:
    """Differs when the names (ids, addresses: they have no spaces) do, whatever their order."""
    return hashlib.sha256(" ".join(sorted(set(names))).encode()).hexdigest()[:32]


def bridge_name(network_id: str) -> str:
    """The bridge of a network on every host; Linux allows 15 bytes for an interface name."""
    return f"br-{network_id[:11]}"


def tap_name(port_id: str) -> str:
    """The tap of a port on its host; Linux allows 15 bytes for an interface name."""
    return f"tap{port_id[:11]}"


class NetworkRpc(Interface):
    """What other services send to a network worker.

    `prepare_server` and `release_server` are steps of actions: done in the order of the requests about each server,
    again with the same effect, and answered by ConductorRpc.report_step. Version 1.4 brought them; workers of earlier
    versions refuse them, and actions wait for their upgrade.
    """

    topic, version = "network", "1.5"

    @cast(since="1.4")
    def prepare_server(self, ctxt: Context, *, ports: ServerPorts) -> None:
        """Make the host ready for a guest: bridges, DHCP, filters and metadata. The order is that of the ports."""

    @cast(since="1.4")
    def release_server(self, ctxt: Context, *, server_id: str, order: Order) -> None:
        """Remove all that `prepare_server` made for the server; networks stay. A server that is not here is no error."""

    @call(since="1.4", timeout_s=5)
    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        """Those of the orders that are under way here; all others are to be sent again: done, they are reported again."""
        ...

    @call(since="1.0", timeout_s=60)
    def prepare(self, ctxt: Context, *, ports: ServerPorts) -> None:
        """As `prepare_server`, for a caller that waits. Sent by release 0.1 only."""

    @call(since="1.0", timeout_s=60)
    def release(self, ctxt: Context, *, server_id: str, fence: int) -> None:
        """As `release_server`, for a caller that waits. Sent by release 0.1 only, which ordered requests by fences."""

    @cast(since="1.0")
    def update_groups(self, ctxt: Context, *, groups: tuple[SecurityGroup, ...]) -> None:
        """Replace whole groups, those that this host uses. Sent by release 0.1 only; see `change_groups`."""

    @cast(since="1.2")
    def change_groups(self, ctxt: Context, *, changes: tuple[SecurityGroupChange, ...]) -> None:
        """Apply changes of rules and members to the groups that this host has; a missed one makes it fetch the group."""

    @cast(since="1.0")
    def update_documents(self, ctxt: Context, *, server_id: str, documents: dict[str, str]) -> None:
        """Replace what the metadata service answers to the server."""

    @cast(since="1.0")
    def set_peers(self, ctxt: Context, *, network_id: str, peers: tuple[str, ...]) -> None:
        """Replace the other hosts that the network's VXLAN reaches. Sent by release 0.1 only; see `update_networks`."""

    @cast(since="1.2")
    def update_networks(self, ctxt: Context, *, networks: tuple[Network, ...]) -> None:
        """Replace subnets and peers of those of the networks that this host has at an older revision."""

    @cast(since="1.5")
    def change_forwarding(self, ctxt: Context, *, changes: tuple[ForwardingChange, ...]) -> None:
        """Apply changes of where ports are to the networks that this host has; a missed one makes it fetch the whole."""

    @cast(since="1.1")
    def refresh(self, ctxt: Context, *, ports: ServerPorts) -> None:
        """As `prepare_server`, for a server that is here already: its ports changed while it runs.

        Its order and documents stay as the host has them; a server that is not here is left alone.
        """

    @cast(since="1.2")
    def check_revisions(self, ctxt: Context, *, revisions: Revisions) -> None:
        """Fetch what this host has at another revision: a push was lost."""

    @cast(since="1.0")
    def remove_network(self, ctxt: Context, *, network_id: str) -> None:
        """Remove the network from the host; refused (and logged) while a port of it is here."""

    @call(since="1.0", timeout_s=10)
    def owned(self, ctxt: Context) -> OwnedNetworks:
        """What this host has made, for comparison with the rows. Sent by release 0.1 only; see `owned_unless`."""
        ...

    @call(since="1.5", timeout_s=10)
    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedNetworks:
        """What this host has made, for comparison with the rows: of it the networks only, if it has what the digest is of."""
        ...

    @call(since="1.5", timeout_s=10)
    def owned_among(self, ctxt: Context, *, server_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the servers that this host has made something of and not yet removed it."""
        ...

    @call(since="1.5", timeout_s=30, monitor_s=10)
    def audit_host(self, ctxt: Context, *, after: str) -> NetworkAudit:
        """What this worker has after that id, and on its first page what disagrees between its records and its host."""
        ...
