# SPDX-License-Identifier: Apache-2.0
"""The driver protocol of the network worker: real Linux devices (linux/driver.py) or memory (fake.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nova_lite.rpc.network import (
    ForwardingChange,
    Network,
    NetworkAudit,
    OwnedNetworks,
    Revisions,
    SecurityGroup,
    SecurityGroupChange,
    ServerPorts,
)
from nova_lite.rpc.order import Order


class NetworkDriver(Protocol):
    """Each method does what NetworkRpc says of the one of its name, and may be called again with the same effect.

    `prepare`, `release` and `audit` are its `prepare_server`, `release_server` and `audit_host`.
    """

    def recover(self) -> None:
        """After a start: bring the host to what the records say."""

    def prepare(self, ports: ServerPorts) -> None: ...

    def refresh(self, ports: ServerPorts) -> None: ...

    def release(self, server_id: str, *, order: Order) -> None: ...

    def update_groups(self, groups: Iterable[SecurityGroup]) -> None: ...

    def change_groups(self, changes: Iterable[SecurityGroupChange]) -> None: ...

    def update_documents(self, server_id: str, documents: dict[str, str]) -> None: ...

    def set_peers(self, network_id: str, peers: tuple[str, ...]) -> None: ...

    def protect(self, addresses: Iterable[str]) -> None:
        """Close these IPv4 addresses and ranges, all of the cloud's own, to guests; those given before are replaced."""

    def update_networks(self, networks: Iterable[Network]) -> None: ...

    def change_forwarding(self, changes: Iterable[ForwardingChange]) -> None: ...

    def check_revisions(self, revisions: Revisions) -> None: ...

    def remove_network(self, network_id: str) -> None: ...

    def owned(self) -> OwnedNetworks: ...

    def audit(self, *, after: str) -> NetworkAudit: ...

    def resync(self) -> None:
        """Make again what the host has lost: devices, a dnsmasq that died, filters that were flushed."""

    def stop(self) -> None:
        """End what lives in this process only; guests' traffic goes on."""

    def remove_all(self) -> None:
        """Leave nothing on the host, records included."""
