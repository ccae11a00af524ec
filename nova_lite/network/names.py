# SPDX-License-Identifier: Apache-2.0
"""Names and addresses of a network's devices and namespaces, the same on every host."""

from __future__ import annotations

import hashlib
import ipaddress

from nova_lite.rpc.network import bridge_name, tap_name

__all__ = [
    "METADATA_ADDRESS", "bridge_mac", "bridge_name", "gateway_mac", "namespace_name", "overlay_name", "table_name",
    "tap_name", "transit_pair", "uplink_name", "veth_name", "zone_of",
]

# Where clouds answer metadata: https://docs.openstack.org/nova/latest/user/metadata.html
METADATA_ADDRESS = "169.254.169.254"
_MAX_ZONE = 65535  # conntrack zones are 16 bits; 0 is the host's own


def namespace_name(network_id: str) -> str:
    """The network namespace that is the network's gateway on this host."""
    return f"nova-{network_id}"


def veth_name(network_id: str) -> str:
    """The host's end of the veth pair between a network's bridge and its namespace (there: `gw`)."""
    return f"gw-{network_id[:11]}"


def uplink_name(network_id: str) -> str:
    """The host's end of the veth pair by which a namespace reaches the host (there: `uplink`)."""
    return f"up-{network_id[:11]}"


def overlay_name(network_id: str) -> str:
    """The VXLAN port of a network's bridge."""
    return f"vx-{network_id[:11]}"


def gateway_mac(network_id: str) -> str:
    """The gateway's MAC, the same on every host, so that a guest may migrate and keep its ARP entry."""
    return _local_mac("gateway", network_id)


def bridge_mac(network_id: str) -> str:
    """A fixed MAC for the bridge: else Linux changes it with its ports."""
    return _local_mac("bridge", network_id)


def _local_mac(kind: str, network_id: str) -> str:
    digest = hashlib.sha256(f"{kind} {network_id}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))  # 02: locally administered, unicast


def transit_pair(transit_cidr: str, index: int) -> tuple[str, str]:
    """Host's and namespace's address of the link number `index`: the two of a /31 (RFC 3021).

    :raises ValueError: the range has no such link.
    """
    transit = ipaddress.IPv4Network(transit_cidr)
    if 2 * index + 1 >= transit.num_addresses or zone_of(index) > _MAX_ZONE:
        raise ValueError(f"{transit_cidr} has no capacity for link {index}: give a larger [network] transit_cidr")
    return str(transit[2 * index]), str(transit[2 * index + 1])


def zone_of(index: int) -> int:
    """The conntrack zone of a network's bridge: keeps equal addresses of different networks apart."""
    return index + 1


def table_name(*, host: str, directory: str) -> str:
    """The nftables tables of the worker that keeps its records in `directory`: another cloud's on the host differ."""
    return f"nova_{hashlib.sha256(f'{host} {directory}'.encode()).hexdigest()[:12]}"
