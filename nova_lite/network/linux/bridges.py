# SPDX-License-Identifier: Apache-2.0
"""A network's devices on the host: its bridge, the veth pairs of its namespace, and the VXLAN port to other hosts."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path

from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.network.linux.namespaces import run
from nova_lite.rpc.network import Network
from nova_lite.worker.commands import CommandFailed

LOG = logging.getLogger(__name__)
_LOCK = "/run/nova-lite-network.lock"
_EVERYONE = "00:00:00:00:00:00"  # forwarding entries of this address say where frames for unknown MACs go


def is_here(device: str) -> bool:
    """Whether the device exists in the calling thread's network namespace."""
    try:
        socket.if_nametoindex(device)
    except OSError:
        return False
    return True


def devices() -> list[str]:
    """The names of all devices in the calling thread's network namespace."""
    return sorted(name for _, name in socket.if_nameindex())


@contextlib.contextmanager
def locked_links() -> Iterator[None]:
    """Be alone on the host, among workers of all clouds, with the choice of a transit link's number."""
    with open(_LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Bridges:
    """Makes and removes devices with iproute2: one `ip -batch` a network, right ones are left as they are.

    `tunnel_ip` empty: networks have no VXLAN port and do not leave the host.
    """

    def __init__(self, *, tunnel_ip: str, vxlan_port: int, transit_cidr: str) -> None:
        self._tunnel_ip = tunnel_ip
        self._vxlan_port = vxlan_port
        self._transit_cidr = transit_cidr

    def used_links(self) -> set[int]:
        """The numbers of transit links whose addresses are on the host, of whatever cloud."""
        transit = ipaddress.IPv4Network(self._transit_cidr)
        shown = json.loads(run(["ip", "-j", "-4", "addr", "show"]) or "[]")
        addresses = [ipaddress.IPv4Address(one["local"]) for device in shown for one in device.get("addr_info", ())]
        return {(int(address) - int(transit.network_address)) // 2 for address in addresses if address in transit}

    def missing(self, network_id: str) -> list[str]:
        """The network's devices that are not there."""
        overlays = [names.overlay_name(network_id)] if self._tunnel_ip else []
        own = [names.bridge_name(network_id), names.veth_name(network_id), names.uplink_name(network_id), *overlays]
        return [device for device in own if not is_here(device)]

    def ensure(self, network: Network, *, index: int) -> None:
        """Make what is missing and set the rest right; the namespace must be there.

        Guests' taps on the bridge are not touched, and traffic goes on.
        """
        lines = [*self._bridge(network), *self._veths(network, index), *self._routes(network, index)]
        if self._tunnel_ip:
            lines += self._overlay(network)
        run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
        _disable_ipv6(names.bridge_name(network.id), names.uplink_name(network.id))
        self.set_peers(network)

    def set_peers(self, network: Network) -> None:
        """Send what the bridge floods to exactly the network's peers."""
        device = names.overlay_name(network.id)
        if not self._tunnel_ip:
            if network.peers:
                LOG.warning("network %s: has peers, but [network] tunnel_ip is not set: it stays on this host", network.id)
            return
        entries = json.loads(run(["bridge", "-j", "fdb", "show", "dev", device]) or "[]")
        present = {entry["dst"] for entry in entries if entry.get("mac") == _EVERYONE and "dst" in entry}
        required = set(network.peers) - {self._tunnel_ip}
        lines = [f"fdb append {_EVERYONE} dev {device} dst {peer}" for peer in sorted(required - present)]
        lines += [f"fdb del {_EVERYONE} dev {device} dst {peer}" for peer in sorted(present - required)]
        if lines:
            run(["bridge", "-batch", "-"], stdin="\n".join(lines) + "\n")

    def remove(self, network_id: str) -> None:
        """Remove the network's devices; host routes by its uplink go with that."""
        self.remove_veths(network_id)
        _delete(names.overlay_name(network_id), names.bridge_name(network_id))

    def remove_veths(self, network_id: str) -> None:
        """Remove what joins the network's namespace to the bridge and to the host."""
        _delete(names.veth_name(network_id), names.uplink_name(network_id))

    def _bridge(self, network: Network) -> list[str]:
        bridge = names.bridge_name(network.id)
        # Snooping would hold back multicast that no guest has joined by IGMP while there is no querier.
        make = f"link add {bridge} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
        return [
            *([] if is_here(bridge) else [make, f"link set {bridge} address {names.bridge_mac(network.id)}"]),
            f"link set {bridge} addrgenmode none",
            # The host has no business on guests' networks: it answers no ARP there, whatever its addresses are.
            f"link set {bridge} arp off",
            f"link set {bridge} mtu {network.mtu} up",
        ]

    def _veths(self, network: Network, index: int) -> list[str]:
        veth, uplink = names.veth_name(network.id), names.uplink_name(network.id)
        namespace = names.namespace_name(network.id)
        host_end, _ = names.transit_pair(self._transit_cidr, index)
        make_veth = (
            f"link add {veth} type veth peer name gw address {names.gateway_mac(network.id)} netns {namespace}"
        )
        make_uplink = f"link add {uplink} type veth peer name uplink netns {namespace}"
        return [
            *([] if is_here(veth) else [make_veth]),
            f"link set {veth} addrgenmode none",
            f"link set {veth} mtu {network.mtu} master {names.bridge_name(network.id)} up",
            *([] if is_here(uplink) else [make_uplink]),
            f"link set {uplink} addrgenmode none",
            f"addr replace {host_end}/31 dev {uplink}",
            f"link set {uplink} up",
        ]

    def _routes(self, network: Network, index: int) -> list[str]:
        if not network.is_routed:
            return []
        _, namespace_end = names.transit_pair(self._transit_cidr, index)
        uplink = names.uplink_name(network.id)
        return [f"route replace {subnet.cidr} via {namespace_end} dev {uplink} onlink" for subnet in network.subnets]

    def _overlay(self, network: Network) -> list[str]:
        overlay = names.overlay_name(network.id)
        # It does not learn where MACs are from what arrives: that is for the control plane to say.
        make = (
            f"link add {overlay} type vxlan id {network.segment} local {self._tunnel_ip} "
            f"dstport {self._vxlan_port} nolearning"
        )
        return [
            *([f"link set {overlay} type vxlan nolearning"] if is_here(overlay) else [make]),
            f"link set {overlay} addrgenmode none",
            f"link set {overlay} mtu {network.mtu} master {names.bridge_name(network.id)} up",
        ]


def _disable_ipv6(*devices: str) -> None:
    """The host does not speak IPv6 by the devices; a kernel without IPv6 has no such setting."""
    for device in devices:
        setting = Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
        if setting.exists() and setting.read_text().strip() != "1":
            setting.write_text("1")


def _delete(*devices: str) -> None:
    lines = [f"link del {device}" for device in devices if is_here(device)]
    if not lines:
        return
    try:
        run(["ip", "-force", "-batch", "-"], stdin="\n".join(lines) + "\n")
    except CommandFailed:
        # A veth also goes with the namespace of its other end, which the kernel takes apart in its own time.
        if any(is_here(device) for device in devices):
            raise
