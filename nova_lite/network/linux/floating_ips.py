# SPDX-License-Identifier: Apache-2.0
"""Floating addresses of a network's ports on this host: a route to the network's namespace, and NAT in it.

A floating address is on its guest's host: each host routes only those of its own guests.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Iterable

from nova_lite.network import names
from nova_lite.network.linux.namespaces import run
from nova_lite.rpc.network import Network, Port
from nova_lite.worker.commands import CommandFailed

# Our host routes have it (rt_protos leaves 192-252 free).
_PROTOCOL = "199"
_REMOVE = "add table ip nova_floating\ndelete table ip nova_floating\n"
_NAT = """\
table ip nova_floating {{
 map inward {{ type ipv4_addr : ipv4_addr; elements = {{ {inward} }} }}
 map outward {{ type ipv4_addr : ipv4_addr; elements = {{ {outward} }} }}
 chain prerouting {{
  type nat hook prerouting priority dstnat; policy accept;
  dnat to ip daddr map @inward
 }}
 chain postrouting {{
  type nat hook postrouting priority srcnat - 5; policy accept;
  oifname "uplink" snat to ip saddr map @outward
  {hairpin}
 }}
}}
"""


class FloatingAddresses:
    """Sets those that a network has on this host; remembers what was set last, so that setting it again is free.

    `external_interface` empty: they are not announced by ARP.
    """

    def __init__(self, *, transit_cidr: str, external_interface: str = "") -> None:
        self._transit_cidr = transit_cidr
        self._external_interface = external_interface
        self._set: dict[str, dict[str, str]] = {}

    def ensure(self, network: Network, *, index: int, ports: Iterable[Port]) -> None:
        """Translate the ports' floating addresses to their fixed ones, and those of no other port of the network.

        The network's devices are there; its caller holds its lock.
        """
        required = {
            str(ipaddress.IPv4Address(one.address)): str(ipaddress.IPv4Address(one.fixed_address))
            for port in ports for one in port.floating}
        if self._set.get(network.id) == required:
            return
        gone = self._routes(network.id) - set(required)
        self._nat(network, required)
        self._route(network.id, index, required, gone)
        self._cut(network.id, gone | set(required))
        self._set[network.id] = required

    def forget(self, network_id: str) -> None:
        """The network's devices are gone, or are made anew: nothing is set."""
        known = self._set.pop(network_id, {})
        self._announce([f"neigh del proxy {address}" for address in known])

    def _nat(self, network: Network, required: dict[str, str]) -> None:
        outward = {fixed: address for address, fixed in sorted(required.items(), reverse=True)}
        cidrs = ", ".join(str(ipaddress.IPv4Network(subnet.cidr)) for subnet in network.subnets)
        text = _REMOVE
        if required:
            text += _NAT.format(
                inward=", ".join(f"{address} : {fixed}" for address, fixed in sorted(required.items())),
                outward=", ".join(f"{fixed} : {address}" for fixed, address in sorted(outward.items())),
                # The reply of a guest on the same network must come back this way: it sees the sender as the gateway.
                hairpin=f'oifname "gw" ip saddr {{ {cidrs} }} ct status dnat masquerade')
        run(["nft", "-f", "-"], stdin=text, namespace=names.namespace_name(network.id))

    def _routes(self, network_id: str) -> set[str]:
        """The floating addresses that the host routes to the network now."""
        shown = run(["ip", "-j", "-4", "route", "show", "dev", names.uplink_name(network_id), "proto", _PROTOCOL])
        return {entry["dst"].removesuffix("/32") for entry in json.loads(shown or "[]")}

    def _route(self, network_id: str, index: int, required: dict[str, str], gone: set[str]) -> None:
        _, own_end = names.transit_pair(self._transit_cidr, index)
        uplink = names.uplink_name(network_id)
        lines = [f"route replace {address}/32 via {own_end} dev {uplink} onlink proto {_PROTOCOL}" for address in required]
        lines += [f"route del {address}/32 dev {uplink} proto {_PROTOCOL}" for address in gone]
        if lines:
            run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
        self._announce([
            *(f"neigh replace proxy {address}" for address in required), *(f"neigh del proxy {address}" for address in gone)])

    def _announce(self, lines: list[str]) -> None:
        if self._external_interface and lines:
            text = "\n".join(f"{line} dev {self._external_interface}" for line in lines) + "\n"
            with contextlib.suppress(CommandFailed):  # one that is not there any more is fine
                run(["ip", "-force", "-batch", "-"], stdin=text)

    def _cut(self, network_id: str, addresses: set[str]) -> None:
        """Forget connections by these addresses, so that the next packets are checked anew."""
        for address in sorted(addresses):
            for side in ("-d", "-q"):  # what comes to it, and what went out as it
                with contextlib.suppress(CommandFailed):  # none is fine
                    run(["conntrack", "-D", "-f", "ipv4", side, address], namespace=names.namespace_name(network_id))
