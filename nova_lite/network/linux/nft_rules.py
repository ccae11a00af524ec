# SPDX-License-Identifier: Apache-2.0
"""The host's filters as nftables text: pure functions from descriptions to lines of `nft -f`, each line idempotent.

Security groups are stateful and in family inet: br_netfilter shows it what crosses a bridge, with the bridge as
both interfaces, so a guest is known by (bridge, address). Anti-spoofing is stateless and in family bridge, which
knows taps: there the pair (tap, MAC, address) is checked that the other relies on. Two base chains, egress
before ingress: an accept ends one base chain only, so the sender's rules never speak for the receiver's.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.rpc.network import Member, Network, Port, Rule, SecurityGroup

LOG = logging.getLogger(__name__)
# Protocols of rules by number (IANA); those with ports. IPv6 protocols never match: guests have no IPv6 yet.
_PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "rsvp": 46, "gre": 47, "esp": 50,
    "ah": 51, "ospf": 89, "vrrp": 112, "pgm": 113, "sctp": 132, "udplite": 136,
}
_WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_ICMP = 1


@dataclasses.dataclass(frozen=True)
class NftRules:
    """The lines for one cloud's tables: `inet` and `bridge`, both named `table`. `transit_cidr` as the option."""

    table: str
    transit_cidr: str

    def add_network(self, network: Network, *, index: int) -> list[str]:
        """The network's bridge is filtered, its link to the host is this cloud's, and its gateway is not reached from elsewhere."""
        bridge, overlay, uplink = names.bridge_name(network.id), names.overlay_name(network.id), names.uplink_name(network.id)
        _, own_end = names.transit_pair(self.transit_cidr, index)
        gateways = [subnet.gateway for subnet in network.subnets if subnet.gateway is not None]
        return [
            self._add("inet", "bridges", f'"{bridge}"'),
            self._add("bridge", "own", f'"{names.veth_name(network.id)}", "{overlay}"'),
            self._add("inet", "uplinks", f'"{uplink}"'),
            self._add("inet", "senders", f'"{uplink}" . {own_end}'),
            *(self._add("inet", "routed", f'"{uplink}" . {_cidr(subnet.cidr)}')
              for subnet in network.subnets if network.is_routed),
            self._add("inet", "links", own_end),
            self._add("inet", "segments", str(int(network.segment))),
            *(self._add("inet", "tunnels", f"{int(network.segment)} . {_ip(peer)}") for peer in network.peers),
            self._add("inet", "zones", f'"{bridge}" : {names.zone_of(index)}'),
            self._add("bridge", "gateway_mac", f'"{overlay}" . {names.gateway_mac(network.id)}'),
            *(self._add("bridge", "gateway_address", f'"{overlay}" . {_ip(address)}')
              for address in (*gateways, names.METADATA_ADDRESS)),
        ]

    def remove_network(self, network: Network, *, index: int) -> list[str]:
        """Nothing of the network is left in the filters."""
        return _removal(self.add_network(network, index=index))

    def set_addresses(self, name: str, addresses: Iterable[str]) -> list[str]:
        """The set `protected` or `resolvers` has exactly these addresses and ranges."""
        elements = ", ".join(_cidr(address) for address in addresses)
        return [f"flush set inet {self.table} {name}", *([self._add("inet", name, elements)] if elements else [])]

    def add_group(self, group: SecurityGroup) -> list[str]:
        """The group's chains with its rules, and the set of its members; what was there is replaced."""
        members = group_set(group.id)
        return [
            f"add set inet {self.table} {members} {{ type ifname . ipv4_addr; }}",
            f"flush set inet {self.table} {members}",
            *self.add_members(group.id, group.members),
            *self._chain(f"gi-{group.id}", [rule for rule in group.rules if rule.direction == "ingress"]),
            *self._chain(f"ge-{group.id}", [rule for rule in group.rules if rule.direction == "egress"]),
        ]

    def declare_group(self, group_id: str) -> list[str]:
        """Empty chains and set of a group, so that others may name it; harmless when they are there."""
        return [
            f"add set inet {self.table} {group_set(group_id)} {{ type ifname . ipv4_addr; }}",
            f"add chain inet {self.table} gi-{group_id}",
            f"add chain inet {self.table} ge-{group_id}",
        ]

    def add_members(self, group_id: str, members: Iterable[Member]) -> list[str]:
        """The members join the group's set."""
        elements = ", ".join(f'"{names.bridge_name(m.network_id)}" . {_ip(m.address)}' for m in members)
        return [self._add("inet", group_set(group_id), elements)] if elements else []

    def remove_members(self, group_id: str, members: Iterable[Member]) -> list[str]:
        """The members leave the group's set."""
        return _removal(self.add_members(group_id, members))

    def empty_group(self, group_id: str) -> list[str]:
        """The group's chains and set are empty: they name no other group any more."""
        return [
            *self.declare_group(group_id), f"flush chain inet {self.table} gi-{group_id}",
            f"flush chain inet {self.table} ge-{group_id}",
        ]

    def remove_group(self, group_id: str) -> list[str]:
        """Nothing of an emptied group, which no port or rule names, is left."""
        return [
            f"delete chain inet {self.table} gi-{group_id}", f"delete chain inet {self.table} ge-{group_id}",
            f"delete set inet {self.table} {group_set(group_id)}",
        ]

    def add_port(self, port: Port) -> list[str]:
        """The port may send as itself, and its groups decide; unsecured: it may do anything."""
        tap, bridge, mac = names.tap_name(port.id), names.bridge_name(port.network_id), _mac(port.mac)
        if not port.is_secured:
            return [*self._tap_elements(port), *self.add_floating(port)]
        into, out = f"pi-{port.id}", f"pe-{port.id}"
        lines = [
            f"add chain inet {self.table} {into}", f"flush chain inet {self.table} {into}",
            f"add rule inet {self.table} {into} udp sport 67 udp dport 68 accept",
            *(f"add rule inet {self.table} {into} jump gi-{group}" for group in port.group_ids),
            f"add rule inet {self.table} {into} drop",
            f"add chain inet {self.table} {out}", f"flush chain inet {self.table} {out}",
            f"add rule inet {self.table} {out} udp sport 68 udp dport 67 accept",
            f"add rule inet {self.table} {out} ip daddr {names.METADATA_ADDRESS} tcp dport 80 accept",
            *(f"add rule inet {self.table} {out} jump ge-{group}" for group in port.group_ids),
            f"add rule inet {self.table} {out} drop",
        ]
        return [*lines, *self._port_elements(port, tap, bridge, mac)]

    def remove_port(self, port: Port) -> list[str]:
        """Nothing of the port is left; its tap, if still there, gets and sends nothing."""
        if not port.is_secured:
            return _removal(self.add_port(port))
        tap, bridge, mac = names.tap_name(port.id), names.bridge_name(port.network_id), _mac(port.mac)
        chains = (f"pi-{port.id}", f"pe-{port.id}")
        return [
            *(f"add chain inet {self.table} {chain}" for chain in chains),
            *_removal(self._port_elements(port, tap, bridge, mac)),
            *(f"flush chain inet {self.table} {chain}" for chain in chains),
            *(f"delete chain inet {self.table} {chain}" for chain in chains),
        ]

    def _chain(self, name: str, rules: list[Rule]) -> list[str]:
        accepted = [line for rule in rules if (line := _line_or_nothing(rule)) is not None]
        return [
            f"add chain inet {self.table} {name}", f"flush chain inet {self.table} {name}",
            *(f"add rule inet {self.table} {name} {line}" for line in dict.fromkeys(accepted)),
        ]

    def _port_elements(self, port: Port, tap: str, bridge: str, mac: str) -> list[str]:
        addresses = [_ip(address) for address in port.addresses]
        return [
            *self._tap_elements(port),
            self._add("bridge", "secured", f'"{tap}"'),
            self._add("bridge", "mac", f'"{tap}" . {mac}'),
            self._add("bridge", "chaddr", f'"{tap}" . 0x{mac.replace(":", "")}'),
            *(self._add("bridge", "source", f'"{tap}" . {mac} . {address}') for address in addresses),
            *(self._add("bridge", "address", f'"{tap}" . {address}') for address in addresses),
            *(self._add("inet", "egress", f'"{bridge}" . {address} : jump pe-{port.id}') for address in addresses),
            *(self._add("inet", "ingress", f'"{bridge}" . {address} : jump pi-{port.id}') for address in addresses),
            *self.add_floating(port),
        ]

    def _tap_elements(self, port: Port) -> list[str]:
        tap = names.tap_name(port.id)
        return [
            self._add("bridge", "own", f'"{tap}"'), self._add("inet", "taps", f'"{tap}"'),
            self._add("bridge", "here", f'"{names.overlay_name(port.network_id)}" . {_mac(port.mac)}')]

    def add_floating(self, port: Port) -> list[str]:
        """The port's floating addresses are reached from other networks, and it may send as them."""
        uplink = names.uplink_name(port.network_id)
        return [line for floating in port.floating for line in (
            self._add("inet", "floating", _ip(floating.address)),
            self._add("inet", "senders", f'"{uplink}" . {_ip(floating.address)}'))]

    def _add(self, family: str, name: str, elements: str) -> str:
        return f"add element {family} {self.table} {name} {{ {elements} }}"


def group_set(group_id: str) -> str:
    """The set of a group's members: (bridge, address)."""
    return f"m-{group_id}"


def accept_line(rule: Rule) -> str | None:
    """What of a packet the rule accepts, as an nftables statement; None: no IPv4 packet can match.

    :raises ValueError: a protocol, port or range that does not exist.
    """
    inward = rule.direction == "ingress"
    remote = ""
    if rule.remote_cidr is not None:
        cidr = ipaddress.ip_network(rule.remote_cidr, strict=False)
        if cidr.version != 4:
            return None
        remote = f"ip {'saddr' if inward else 'daddr'} {cidr} " if cidr.prefixlen else ""
    elif rule.remote_group_id is not None:
        key = "iifname . ip saddr" if inward else "oifname . ip daddr"
        remote = f"{key} @{group_set(rule.remote_group_id)} "
    what = _what(rule)
    return None if what is None else f"{remote}{what}accept"


def _what(rule: Rule) -> str | None:
    if rule.protocol is None or rule.protocol.lower() == "any":
        return ""
    name = rule.protocol.lower()
    if name.startswith("ipv6-") or name == "icmpv6":
        return None
    number = int(name) if name.isdecimal() else _PROTOCOLS.get(name)
    if number is None or not 0 <= number <= 255:
        raise ValueError(f"unknown protocol {rule.protocol}")
    if number == _ICMP:
        return _icmp(rule)
    if number in _WITH_PORTS and rule.port_min is not None:
        low, high = int(rule.port_min), int(rule.port_max if rule.port_max is not None else rule.port_min)
        if not 0 <= low <= high <= 65535:
            raise ValueError(f"bad ports {low}-{high}")
        return f"{_WITH_PORTS[number]} dport {low}-{high} "
    return f"meta l4proto {number} "


def _icmp(rule: Rule) -> str:
    if rule.port_min is None:
        return f"meta l4proto {_ICMP} "
    code = "" if rule.port_max is None else f"icmp code {int(rule.port_max)} "
    return f"icmp type {int(rule.port_min)} {code}"


def _line_or_nothing(rule: Rule) -> str | None:
    """A rule that makes no sense accepts nothing: the server's other rules still hold."""
    try:
        return accept_line(rule)
    except ValueError as error:
        LOG.warning("security group rule ignored: %s", error)
        return None


def _removal(additions: list[str]) -> list[str]:
    """Lines that undo element additions; added first, since deleting what is absent fails the transaction."""
    return [*additions, *(f"delete{line.removeprefix('add')}" for line in additions)]


def _ip(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


def _cidr(text: str) -> str:
    return str(ipaddress.IPv4Network(text, strict=False)).removesuffix("/32")


def _mac(text: str) -> str:
    parts = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(parts) != 6:
        raise ValueError(f"bad MAC {text}")
    return ":".join(f"{part:02x}" for part in parts)
