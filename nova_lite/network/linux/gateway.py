# SPDX-License-Identifier: Apache-2.0
"""A network's gateway on this host: a namespace with the subnets' gateway addresses, routing and NAT to the host."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from nova_lite.network import names
from nova_lite.network.linux import namespaces
from nova_lite.network.linux.namespaces import run
from nova_lite.rpc.network import Network

# arp_ignore 1, arp_announce 2: ARP on a link speaks of that link's own addresses only (ip-sysctl.rst).
_KERNEL = {
    "ipv4/ip_forward": "1", "ipv4/conf/all/send_redirects": "0", "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2",
}
_NO_IPV6 = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}

# What leaves by the uplink takes its address, so equal ranges of two networks do not meet in the host. What conntrack takes for
# invalid would pass NAT by. A guest without port security leaves with an address of its network or not at all. The namespace answers DHCP, DNS, metadata and pings to guests, and pings alone to others: the
# gateway addresses of an external network are in the world's reach.
_FILTER = """\
add table ip nova
delete table ip nova
table ip nova {{
 chain input {{
  type filter hook input priority filter; policy drop;
  iifname "lo" accept
  ct state established,related accept
  icmp type echo-request accept
  iifname != "gw" drop
  udp dport {{ 53, 67 }} accept
  tcp dport 53 accept
  ip daddr {metadata} tcp dport 80 accept
 }}
 chain forward {{
  type filter hook forward priority filter; policy accept;
  ct state invalid drop
  iifname "gw" ip saddr != {{ {ranges} }} drop
  ip daddr 169.254.0.0/16 drop
 }}
 chain postrouting {{
  type nat hook postrouting priority srcnat; policy accept;
  oifname "uplink" masquerade
 }}
}}
"""

def create(network_id: str) -> bool:
    """Make the namespace unless it is there; whether it was made."""
    name = names.namespace_name(network_id)
    if namespaces.leftover(name):
        run(["ip", "netns", "delete", name])
    if namespaces.exists(name):
        return False
    run(["ip", "netns", "add", name])
    return True


def configure(network: Network, *, index: int, transit_cidr: str) -> None:
    """Set addresses, routes and NAT in the namespace, whose veth pairs are there; right ones are left as they are."""
    name = names.namespace_name(network.id)
    namespaces.inside(name, _set_kernel)
    host_end, own_end = names.transit_pair(transit_cidr, index)
    required = _addresses(network)
    lines = ["link set lo up", "link set gw addrgenmode none", f"link set gw mtu {network.mtu} up"]
    lines += [f"addr replace {address} dev gw" for address in required]
    lines += [f"addr del {address} dev gw" for address in _present(name) - set(required)]
    # A subnet without a gateway is served from the metadata address, on the link itself.
    lines += [
        f"route replace {subnet.cidr} dev gw src {names.METADATA_ADDRESS}"
        for subnet in network.subnets if subnet.gateway is None
    ]
    lines += ["link set uplink addrgenmode none", f"addr replace {own_end}/31 dev uplink", "link set uplink up"]
    lines += [f"route replace default via {host_end} dev uplink"]
    run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n", namespace=name)
    run(["nft", "-f", "-"], stdin=_filter(network), namespace=name)


def remove(network_id: str) -> None:
    """Remove the namespace with all that is in it; processes in it must have ended."""
    name = names.namespace_name(network_id)
    if namespaces.exists(name) or namespaces.leftover(name):
        run(["ip", "netns", "delete", name])


def _filter(network: Network) -> str:
    ranges = ", ".join(str(ipaddress.IPv4Network(subnet.cidr)) for subnet in network.subnets)
    return _FILTER.format(metadata=names.METADATA_ADDRESS, ranges=ranges or names.METADATA_ADDRESS)


def _set_kernel() -> None:
    namespaces.set_kernel(_KERNEL)
    if Path("/proc/sys/net/ipv6").exists():
        namespaces.set_kernel(_NO_IPV6)


def _addresses(network: Network) -> list[str]:
    gateways = [
        f"{subnet.gateway}/{ipaddress.IPv4Network(subnet.cidr).prefixlen}"
        for subnet in network.subnets if subnet.gateway is not None
    ]
    return [*gateways, f"{names.METADATA_ADDRESS}/32"]


def _present(namespace: str) -> set[str]:
    shown = json.loads(run(["ip", "-j", "-4", "addr", "show", "dev", "gw"], namespace=namespace) or "[]")
    return {f"{entry['local']}/{entry['prefixlen']}" for device in shown for entry in device.get("addr_info", ())}
