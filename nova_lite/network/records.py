# SPDX-License-Identifier: Apache-2.0
"""This host's network records: JSON files, each written before the resource that it describes is made."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from nova_lite.rpc import payload
from nova_lite.rpc.audit import PAGE
from nova_lite.rpc.network import (
    FloatingIpAssociation,
    Member,
    Network,
    NetworkAudit,
    OwnedNetworks,
    Port,
    SecurityGroup,
    ServerPorts,
)
from nova_lite.rpc.order import NEVER, Order
from nova_lite.worker import admission, host_name
from nova_lite.worker.orders import Superseded, Verdict, compare, order_of_fence
from nova_lite.worker.pages import page
from nova_lite.worker.records import RecordFiles
from nova_lite.worker.tombstones import Tombstones

_KINDS = ("networks", "servers", "groups", "cloud")
_PROTECTED = "protected"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """A network on this host. `index` numbers its transit link and conntrack zone; `is_leaving`: being removed."""

    network: Network
    index: int
    is_leaving: bool = False


class Records:
    """What the worker must have on its host, on disk one file for each resource; `directory` None: in this process only.

    Readers see whole values at any time; writers of one resource hold its lock (see linux/driver.py).
    """

    def __init__(self, directory: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._files: Mapping[str, RecordFiles] = {} if directory is None else {
            kind: RecordFiles(directory / kind, suffix=".json") for kind in _KINDS}
        self._tombstones = Tombstones(
            None if directory is None else RecordFiles(directory / "tombstones", suffix=".json"), now=clock)
        self._guard = threading.Lock()
        self.networks: dict[str, NetworkRecord] = {}
        self.servers: dict[str, ServerPorts] = {}
        self.groups: dict[str, SecurityGroup] = {}
        self.protected: tuple[str, ...] | None = None
        self._owners: dict[tuple[str, str], str] = {}

    def load(self) -> None:
        """Read everything from disk; files cut off by a crash before they got their name are removed."""
        if self._directory is None:
            return
        for store in self._files.values():
            store.open()
        self._tombstones.load()
        os.chmod(self._directory, 0o700)
        self.networks = {key: payload.from_wire(NetworkRecord, raw) for key, raw in self._read("networks")}
        self.groups = {key: payload.from_wire(SecurityGroup, raw) for key, raw in self._read("groups")}
        self.protected = next((tuple(raw) for key, raw in self._read("cloud") if key == _PROTECTED), None)
        for key, raw in self._read("servers"):
            self._remember(key, payload.from_wire(ServerPorts, raw))

    def claim(self, host: str) -> None:
        """Keep whose records these are.

        :raises errors.WrongHost: they are another host's.
        """
        if self._directory is not None:
            host_name.claim(self._directory, host, is_in_use=bool(self.servers or self.networks))

    def owned(self) -> OwnedNetworks:
        """What there are records of."""
        with self._guard:
            return OwnedNetworks(
                network_ids=tuple(self.networks), server_ids=tuple(self.servers), floating=_floating(self.servers.values()))

    def page(self, after: str) -> NetworkAudit:
        """As much of it as an answer for the audit has."""
        with self._guard:
            here, following = page([*self.networks, *self.servers], after=after, size=PAGE)
            servers = sorted(here & self.servers.keys())
            return NetworkAudit(
                network_ids=tuple(sorted(here & self.networks.keys())), server_ids=tuple(servers),
                floating=_floating(self.servers[server_id] for server_id in servers), next=following)

    def add_network(self, network: Network, *, taken: Collection[int] = ()) -> NetworkRecord:
        """The network's record, new or replaced; a new one gets the lowest free index that is not `taken` by others."""
        with self._guard:
            old = self.networks.get(network.id)
            held = NetworkRecord(network=network, index=old.index if old else self._free_index(taken))
            if held != old:
                self._write("networks", network.id, held)
                self.networks[network.id] = held
            return held

    def newest(self, network: Network) -> Network:
        """The network, or what is recorded of it at a later revision."""
        held = self.networks.get(network.id)
        return held.network if held is not None and held.network.revision > network.revision else network

    def mark_leaving(self, network_id: str) -> None:
        """Record that the network is being removed, so that a restart goes on with it."""
        with self._guard:
            old = self.networks[network_id]
            held = dataclasses.replace(old, is_leaving=True)
            self._write("networks", network_id, held)
            self.networks[network_id] = held

    def drop_network(self, network_id: str) -> None:
        """Delete the network's record: nothing of it is left."""
        with self._guard:
            self._unlink("networks", network_id)
            self.networks.pop(network_id, None)

    def put_server(self, ports: ServerPorts) -> None:
        """Record what the server must have, without its groups: these are shared, and recorded by `put_groups`."""
        kept = dataclasses.replace(ports, groups=())
        with self._guard:
            if self.servers.get(kept.server_id) != kept:
                self._write("servers", kept.server_id, kept)
                self._forget(kept.server_id)
                self._remember(kept.server_id, kept)

    def refuse_stale(self, ports: ServerPorts) -> None:
        """Check that no later request about the server was carried out, and that it was not removed by this one.

        :raises Superseded: one was.
        """
        order, removed = order_of(ports), self.tombstone(ports.server_id)
        if removed != NEVER and compare(order, removed) is not Verdict.NEW:
            raise Superseded(resource_id=ports.server_id, order=order, newest=removed)
        self._refuse_older(ports.server_id, order)

    def refuse_stale_release(self, server_id: str, order: Order) -> None:
        """Check that the server was not prepared, or removed, by a later request.

        :raises Superseded: it was.
        """
        removed = self.tombstone(server_id)
        if compare(order, removed) is Verdict.STALE:
            raise Superseded(resource_id=server_id, order=order, newest=removed)
        self._refuse_older(server_id, order)

    def _refuse_older(self, server_id: str, order: Order) -> None:
        old = self.servers.get(server_id)
        if old is not None and compare(order, order_of(old)) is Verdict.STALE:
            raise Superseded(resource_id=server_id, order=order, newest=order_of(old))

    def drop_server(self, server_id: str) -> None:
        """Delete the server's record: nothing of it is left."""
        with self._guard:
            self._unlink("servers", server_id)
            self._forget(server_id)

    def put_groups(self, groups: Iterable[SecurityGroup]) -> list[SecurityGroup]:
        """Record the groups that are new or at a later revision than what is recorded; returns these."""
        with self._guard:
            return self._put_groups(
                group for group in groups if group.id not in self.groups or self.groups[group.id].revision < group.revision)

    def put_fetched_groups(self, groups: Iterable[SecurityGroup], before: Mapping[str, int]) -> list[SecurityGroup]:
        """Record groups as the rows have them; returns those that changed.

        `before`: the revisions here when they were requested. A group that got a later one since keeps it; else the
        rows are right whatever their revision is: their database may have been restored.
        """
        with self._guard:
            return self._put_groups(
                group for group in groups if (held := self.groups.get(group.id)) is None
                or held.revision < group.revision or (held.revision == before.get(group.id) and held != group))

    def _put_groups(self, groups: Iterable[SecurityGroup]) -> list[SecurityGroup]:
        changed = list(groups)
        for group in changed:
            self._write("groups", group.id, group)
            self.groups[group.id] = group
        return changed

    def add_members(self, ports: Iterable[Port]) -> list[SecurityGroup]:
        """Put the ports' addresses into their groups that are here, before anyone sends them; returns the groups that change."""
        return self._change_members(ports, lambda group, places: (*group.members, *sorted(
            places.difference(group.members), key=lambda place: (place.network_id, place.address))))

    def drop_members(self, ports: Iterable[Port]) -> list[SecurityGroup]:
        """Take the ports' addresses out of their groups, before the rows do; returns the groups that change."""
        return self._change_members(ports, lambda group, places: tuple(
            member for member in group.members if member not in places))

    def _change_members(
        self, ports: Iterable[Port], change: Callable[[SecurityGroup, set[Member]], tuple[Member, ...]]
    ) -> list[SecurityGroup]:
        """The groups' revisions stay: what is sent of these members later changes nothing."""
        with self._guard:
            concerned: dict[str, set[Member]] = {}
            for port in ports:
                places = {Member(network_id=port.network_id, address=address) for address in port.addresses}
                for group_id in port.group_ids:
                    concerned.setdefault(group_id, set()).update(places)
            changed = []
            for group_id, places in concerned.items():
                old = self.groups.get(group_id)
                members = () if old is None else change(old, places)
                if old is not None and members != old.members:
                    changed.append(dataclasses.replace(old, members=members))
            return self._put_groups(changed)

    def drop_unneeded_groups(self) -> None:
        """Delete records of groups that no server here needs."""
        with self._guard:
            ports = (port for server in self.servers.values() for port in server.ports)
            needed = needed_groups(ports, self.groups)
            for group_id in [group_id for group_id in self.groups if group_id not in needed]:
                self._unlink("groups", group_id)
                del self.groups[group_id]

    def put_protected(self, addresses: Iterable[str]) -> None:
        """Record the addresses that are closed to guests; `protected` is None until the first time."""
        closed = tuple(sorted(set(addresses)))
        with self._guard:
            if closed != self.protected:
                self._write("cloud", _PROTECTED, closed)
                self.protected = closed

    def put_tombstone(self, server_id: str, order: Order) -> None:
        """Record that the server's requests up to this one are over."""
        self._tombstones.put(server_id, order)

    def tombstone(self, server_id: str) -> Order:
        """The order of the server's last release that is remembered; NEVER: there is none."""
        return self._tombstones.order(server_id)

    def owner(self, network_id: str, address: str) -> str | None:
        """The server here that has the address in the network."""
        return self._owners.get((network_id, address))

    def servers_on(self, network_id: str) -> list[ServerPorts]:
        """Servers here with a port on the network, those last that came last."""
        with self._guard:
            return [s for s in self.servers.values() if any(p.network_id == network_id for p in s.ports)]

    def clear(self) -> None:
        """Delete all records, tombstones too."""
        with self._guard:
            for kind in _KINDS:
                for key, _ in list(self._read(kind)):
                    self._unlink(kind, key)
            for memory in (self.networks, self.servers, self.groups, self._owners):
                memory.clear()
            self.protected = None
            self._tombstones.clear()
            if self._directory is not None:
                host_name.forget(self._directory)
                admission.forget(self._directory)

    def _free_index(self, taken: Collection[int]) -> int:
        used = {*taken, *(held.index for held in self.networks.values())}
        return next(index for index in range(len(used) + 1) if index not in used)

    def _remember(self, server_id: str, ports: ServerPorts) -> None:
        self.servers[server_id] = ports
        for port in ports.ports:
            for address in port.addresses:
                self._owners[port.network_id, address] = server_id

    def _forget(self, server_id: str) -> None:
        gone = self.servers.pop(server_id, None)
        for port in gone.ports if gone else ():
            for address in port.addresses:
                if self._owners.get((port.network_id, address)) == server_id:
                    del self._owners[port.network_id, address]

    def _read(self, kind: str) -> list[tuple[str, Any]]:
        return list(self._files[kind].read()) if kind in self._files else []

    def _write(self, kind: str, key: str, value: object) -> None:
        if kind in self._files:
            self._files[kind].write(key, payload.to_wire(value))

    def _unlink(self, kind: str, key: str) -> None:
        if kind in self._files:
            self._files[kind].remove(key)


def _floating(servers: Iterable[ServerPorts]) -> tuple[FloatingIpAssociation, ...]:
    return tuple(FloatingIpAssociation(server_id=server.server_id, address=one.address, fixed_address=one.fixed_address)
                 for server in servers for port in server.ports for one in port.floating)


def order_of(ports: ServerPorts) -> Order:
    """The order of the request that brought the ports; release 0.1 sent and recorded a fence."""
    return order_of_fence(ports.fence) if ports.order == NEVER else ports.order


def needed_groups(ports: Iterable[Port], groups: Mapping[str, SecurityGroup]) -> set[str]:
    """The groups that the ports are in, and those that these groups' rules name."""
    direct = {group_id for port in ports for group_id in port.group_ids}
    rules = (rule for group_id in direct if group_id in groups for rule in groups[group_id].rules)
    return direct | {rule.remote_group_id for rule in rules if rule.remote_group_id}
