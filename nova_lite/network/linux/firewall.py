# SPDX-License-Identifier: Apache-2.0
"""The host's filters in the kernel: each change one atomic nft transaction, worked out against what was last set."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.network.linux import nft_tables
from nova_lite.network.linux.bridges import is_here
from nova_lite.network.linux.namespaces import run
from nova_lite.network.linux.nft_rules import NftRules
from nova_lite.network.records import NetworkRecord, needed_groups
from nova_lite.rpc.network import Member, Port, SecurityGroup
from nova_lite.worker.commands import CommandFailed

LOG = logging.getLogger(__name__)
_BRIDGED_TRAFFIC = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class Firewall:
    """Owns two tables, `inet` and `bridge`, both named `table`, which no other cloud on the host uses.

    A transaction that the kernel refuses, since somebody changed the tables, is answered by making both anew from memory:
    atomically, guests' connections go on.
    """

    def __init__(
        self, *, table: str, transit_cidr: str, vxlan_port: int, is_host_open: bool = False, resolvers: Iterable[str] = ()
    ) -> None:
        """`resolvers`: the operator's DNS servers, which networks' dnsmasq may query also where they are hosts of the cloud."""
        self._table = table
        self._rules = NftRules(table=table, transit_cidr=transit_cidr)
        self._empty_tables = nft_tables.empty_tables(table, vxlan_port=vxlan_port, is_host_open=is_host_open)
        self._resolvers = tuple(resolvers)
        self._protected: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.is_behind = False  # the kernel did not take a change: the filters are older than the records
        self._networks: dict[str, NetworkRecord] = {}
        self._groups: dict[str, SecurityGroup] = {}
        self._ports: dict[str, Port] = {}

    def rebuild(
        self, networks: Iterable[NetworkRecord], groups: Iterable[SecurityGroup], ports: Iterable[Port],
        protected: Iterable[str] = (),
    ) -> None:
        """Set exactly this, whatever was there."""
        with self._transaction():
            self._protected = tuple(protected)
            self._networks = {held.network.id: held for held in networks}
            self._groups = {group.id: group for group in groups}
            self._ports = {port.id: port for port in ports}
            self._without_unneeded()
            self._set_all()
            self._remove_legacy()
        if self.is_behind:
            self.is_behind = False
            self._cut(cut for port in list(self._ports.values()) for cut in self._cuts_of(port))

    def add(self, networks: Iterable[NetworkRecord], groups: Iterable[SecurityGroup], ports: Iterable[Port]) -> None:
        """Filter the ports as the groups say; networks, groups and ports that are known are replaced."""
        with self._transaction():
            news = list(ports)
            lines: list[str] = []
            for held in networks:
                lines += self._network_lines(self._networks.get(held.network.id), held)
                self._networks[held.network.id] = held
            cuts = self._take_over(news, lines)
            old_ports = {port.id: self._ports.get(port.id) for port in news}
            self._ports.update((port.id, port) for port in news)
            for group_id in sorted({group for port in news for group in port.group_ids}):
                lines += self._rules.declare_group(group_id)
            cuts |= self._take_groups(groups, lines)
            for port in news:
                old = old_ports[port.id]
                if old is not None and old != port:
                    lines += self._rules.remove_port(old)
                    cuts |= self._cuts_of(old)
                if old != port:
                    lines += self._rules.add_port(port)
            lines += self._moved_floating(old for old in old_ports.values() if old is not None)
            self._apply(lines + self._without_unneeded())
        self._cut(cuts)

    def change_groups(self, groups: Iterable[SecurityGroup]) -> None:
        """Replace rules and members; connections that they no longer allow are cut."""
        with self._transaction():
            lines: list[str] = []
            cuts = self._take_groups(groups, lines)
            self._apply(lines + self._without_unneeded())
        self._cut(cuts)

    def remove(self, ports: Iterable[Port]) -> None:
        """Forget the ports, and the groups that were only for them; the ports' connections are cut."""
        with self._transaction():
            cuts: set[tuple[int, str]] = set()
            lines: list[str] = []
            gone = list(ports)
            for port in gone:
                self._ports.pop(port.id, None)
                lines += self._rules.remove_port(port)
                cuts |= self._cuts_of(port)
            lines += self._moved_floating(gone)
            lines += self._without_unneeded()
            self._apply(lines)
        self._cut(cuts)

    def remove_network(self, network_id: str) -> None:
        """Forget a network, which has no ports any more."""
        with self._transaction():
            held = self._networks.pop(network_id, None)
            if held is not None:
                self._apply(self._rules.remove_network(held.network, index=held.index))

    def protect(self, addresses: Iterable[str]) -> None:
        """Guests reach exactly these addresses and ranges not, except by answers."""
        with self._transaction():
            self._protected = tuple(addresses)
            self._apply(self._rules.set_addresses("protected", self._protected))

    def resync(self) -> None:
        """Make the tables anew if one is missing: somebody flushed the ruleset, and guests were open since."""
        with self._lock:
            present = run(["nft", "list", "tables"]).splitlines()
            if not {f"table inet {self._table}", f"table bridge {self._table}"} <= set(present):
                LOG.warning("filters: the tables were removed; making them anew")
                self._set_all()

    def remove_all(self) -> None:
        """Remove both tables."""
        with self._lock:
            for memory in (self._networks, self._groups, self._ports):
                memory.clear()
            run(["nft", "-f", "-"], stdin=nft_tables.remove_tables(self._table))

    def _remove_legacy(self) -> None:
        """Remove the tables of release 0.1, which one cloud on a host could have, unless they are another cloud's.

        They are if they name a bridge that exists and is not ours.
        """
        name = nft_tables.LEGACY_TABLE
        tables = run(["nft", "list", "tables"]).splitlines()
        if f"table inet {name}" not in tables and f"table bridge {name}" not in tables:
            return
        own = {names.bridge_name(network_id) for network_id in self._networks}
        foreign = sorted(bridge for bridge in _bridges_of(name) - own if is_here(bridge))
        if foreign:
            LOG.warning("filters: nftables tables %s are another cloud's of release 0.1, which drops frames of all other guests; "
                        "left alone, since they name %s", name, ", ".join(foreign))
            return
        run(["nft", "-f", "-"], stdin=nft_tables.remove_tables(name))
        LOG.info("filters: removed the tables of release 0.1")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Be alone with the filters; what the kernel did not take is not remembered either."""
        with self._lock:
            before = dict(self._networks), dict(self._groups), dict(self._ports), self._protected
            try:
                yield
            except BaseException:
                self._networks, self._groups, self._ports, self._protected = before
                self.is_behind = True
                raise

    def _take_over(self, news: list[Port], lines: list[str]) -> set[tuple[int, str]]:
        """An address belongs to the port that came last: take it from another that was not released yet."""
        taken = {(port.network_id, address): port.id for port in news for address in port.addresses}
        cuts: set[tuple[int, str]] = set()
        for old in list(self._ports.values()):
            kept = tuple(a for a in old.addresses if taken.get((old.network_id, a), old.id) == old.id)
            if kept != old.addresses:
                LOG.warning("port %s: another port has got its address now", old.id)
                cuts |= self._cuts_of(old)
                self._ports[old.id] = dataclasses.replace(old, addresses=kept)
                lines += [*self._rules.remove_port(old), *self._rules.add_port(self._ports[old.id])]
        return cuts

    def _moved_floating(self, gone: Iterable[Port]) -> list[str]:
        """Lines that keep floating addresses of `gone` ports which others here have got: requests about two servers come in any order."""
        addresses = {floating.address for port in gone for floating in port.floating}
        return [line for port in self._ports.values() if any(floating.address in addresses for floating in port.floating)
                for line in self._rules.add_floating(port)]

    def _without_unneeded(self) -> list[str]:
        """Lines that remove groups which no port needs. One that only others' rules name loses its own rules."""
        needed, used = needed_groups(self._ports.values(), self._groups), self._used_groups()
        gone = [group_id for group_id in self._groups if group_id not in needed]
        idle = [group for group in self._groups.values() if group.rules and group.id not in used]
        self._groups.update((group.id, dataclasses.replace(group, rules=())) for group in idle)
        for group_id in gone:
            del self._groups[group_id]
        emptied = dict.fromkeys((*gone, *(group.id for group in idle)))
        return [
            *(line for group_id in emptied for line in self._rules.empty_group(group_id)),
            *(line for group_id in gone for line in self._rules.remove_group(group_id)),
        ]

    def _used_groups(self) -> set[str]:
        return {group_id for port in self._ports.values() for group_id in port.group_ids}

    def _network_lines(self, old: NetworkRecord | None, new: NetworkRecord) -> list[str]:
        if old is not None and _as_filtered(old) == _as_filtered(new):
            return []
        gone = self._rules.remove_network(old.network, index=old.index) if old is not None else []
        return [*gone, *self._rules.add_network(new.network, index=new.index)]

    def _take_groups(self, groups: Iterable[SecurityGroup], lines: list[str]) -> set[tuple[int, str]]:
        """Add the lines that make the groups so; returns whose connections are to be looked at again."""
        cuts: set[tuple[int, str]] = set()
        used = self._used_groups()
        stripped = [group if group.id in used else dataclasses.replace(group, rules=()) for group in groups]
        news = [group for group in stripped if self._groups.get(group.id) != group]
        for group_id in {rule.remote_group_id for group in news for rule in group.rules if rule.remote_group_id}:
            lines += self._rules.declare_group(group_id)
        for group in news:
            old = self._groups.get(group.id)
            self._groups[group.id] = group
            if old is None or old.rules != group.rules:
                lines += self._rules.add_group(group)
            else:
                lines += self._rules.remove_members(group.id, sorted(set(old.members) - set(group.members), key=_place))
                lines += self._rules.add_members(group.id, sorted(set(group.members) - set(old.members), key=_place))
            if old is not None:
                cuts |= self._group_cuts(old, group)
        return cuts

    def _group_cuts(self, old: SecurityGroup, new: SecurityGroup) -> set[tuple[int, str]]:
        gone = {(self._networks[m.network_id].index, m.address) for m in set(old.members) - set(new.members)
                if m.network_id in self._networks}
        if set(old.rules) - set(new.rules):
            for port in self._ports.values():
                if new.id in port.group_ids:
                    gone |= self._cuts_of(port)
        return gone

    def _cuts_of(self, port: Port) -> set[tuple[int, str]]:
        held = self._networks.get(port.network_id)
        return {(held.index, address) for address in port.addresses} if held is not None else set()

    def _cut(self, cuts: Iterable[tuple[int, str]]) -> None:
        """Forget the addresses' connections, so that their next packets are checked as new ones."""
        for index, address in sorted(cuts):
            for side in ("-s", "-d"):
                try:
                    run(["conntrack", "-D", "-f", "ipv4", "-w", str(names.zone_of(index)), side, address])
                except CommandFailed as failure:
                    if "0 flow entries" not in str(failure):  # none is fine, but has exit status 1
                        LOG.warning("address %s: could not cut its connections: %s", address, failure)

    def _apply(self, lines: list[str]) -> None:
        if not lines:
            return
        try:
            run(["nft", "-f", "-"], stdin="\n".join(lines) + "\n")
        except CommandFailed as refused:
            LOG.warning("filters: the kernel refused a change, making all anew: %s", refused)
            self._set_all()

    def _set_all(self) -> None:
        groups = self._groups.values()
        named = {rule.remote_group_id for group in groups for rule in group.rules if rule.remote_group_id}
        named |= {group_id for port in self._ports.values() for group_id in port.group_ids}
        lines = [
            self._empty_tables, *self._rules.set_addresses("resolvers", self._resolvers),
            *self._rules.set_addresses("protected", self._protected)]
        for held in self._networks.values():
            lines += self._rules.add_network(held.network, index=held.index)
        for group_id in sorted(named):
            lines += self._rules.declare_group(group_id)
        for group in groups:
            lines += self._rules.add_group(group)
        for port in self._ports.values():
            lines += self._rules.add_port(port)
        run(["nft", "-f", "-"], stdin="\n".join(lines) + "\n")


def _bridges_of(table: str) -> set[str]:
    """The bridges that the table of release 0.1 filters."""
    try:
        shown = json.loads(run(["nft", "-j", "list", "set", "inet", table, "bridges"]))
    except CommandFailed:  # there is no such table or set
        return set()
    return {str(element) for entry in shown["nftables"] for element in entry.get("set", {}).get("elem", ())}


def require_bridge_filter() -> None:
    """Have the kernel show bridged packets to family inet; without it security groups would be bypassed silently.

    :raises CommandFailed: the kernel has no br_netfilter.
    """
    if not _BRIDGED_TRAFFIC.exists():
        run(["modprobe", "br_netfilter"])
    if not _BRIDGED_TRAFFIC.exists():
        raise CommandFailed("br_netfilter", "the kernel has no such module: security groups cannot be enforced")
    if _BRIDGED_TRAFFIC.read_text().strip() != "1":
        LOG.info("net.bridge.bridge-nf-call-iptables was off: turned on, security groups need it")
        _BRIDGED_TRAFFIC.write_text("1")


def _as_filtered(held: NetworkRecord) -> NetworkRecord:
    """The record without what the filters do not depend on."""
    return dataclasses.replace(held, network=dataclasses.replace(held.network, revision=0, mtu=0))


def _place(member: Member) -> tuple[str, str]:
    return member.network_id, member.address


