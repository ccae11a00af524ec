# SPDX-License-Identifier: Apache-2.0
"""The wire between the hosts of a test cloud: one bridge on the machine, which has an address on it too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.lib.services.errors import ServiceError
from tools.lib.services.service import output_of

_NAME_LIMIT = 15  # IFNAMSIZ - 1, <linux/if.h>


class Switch:
    """An isolated switch: what is plugged in reaches the others and the machine, and nothing else.

    :param name: of the bridge; also the start of its ports' names, so at most 8 characters.
    :param address: of the machine's end, with prefix length.
    :param mtu: 1550 lets VXLAN carry a guest's 1500.
    """

    def __init__(self, name: str = "nlsw", *, address: str = "10.199.0.254/24", mtu: int = 1550) -> None:
        if not 1 <= len(name) <= 8:
            raise ServiceError(f"switch name {name!r}: 1 to 8 characters")
        self.name, self.address, self.mtu = name, address, mtu

    @property
    def ip(self) -> str:
        """The machine's own address on the switch, without prefix length."""
        return self.address.partition("/")[0]

    @property
    def prefix_length(self) -> int:
        """How many bits of an address name the network."""
        return int(self.address.partition("/")[2])

    def up(self) -> None:
        """Make it; nothing when it is there.

        :raises ServiceError: a device of this name is something else, or has another address.
        """
        if self.is_up():
            self._check()
            return
        # a fixed MAC: a bridge otherwise takes its lowest port's, and the hosts' ARP entries for us go stale
        mac = "02:" + ":".join(f"{byte:02x}" for byte in hashlib.sha256(self.name.encode()).digest()[:5])
        _ip(
            "link", "add", self.name, "address", mac, "type", "bridge", "forward_delay", "0", "stp_state", "0"
        )
        try:
            _ip("link", "set", self.name, "mtu", str(self.mtu))
            _ip("addr", "add", self.address, "dev", self.name)
            _ip("link", "set", self.name, "up")
        except ServiceError:
            self.down()
            raise

    def down(self) -> None:
        """Remove it and the ports still on it; nothing when it is not there."""
        if self.is_up():
            for port in json.loads(_ip("-json", "link", "show", "master", self.name)):
                _ip("link", "del", port["ifname"])
            _ip("link", "del", self.name)

    def is_up(self) -> bool:
        """Say whether a device of our name exists."""
        return Path("/sys/class/net", self.name).exists()

    def is_plugged(self, host: str) -> bool:
        """Say whether a host has its port."""
        return Path("/sys/class/net", self.port_of(host)).exists()

    def plug(self, host: str, *, pid: int, address: str, device: str) -> None:
        """Join the network namespace of process `pid` by a `device` with `address` (no prefix length)."""
        port = self.port_of(host)
        self.unplug(host)
        mtu = ["mtu", str(self.mtu)]
        _ip("link", "add", port, *mtu, "type", "veth", "peer", "name", device, *mtu, "netns", str(pid))
        _ip("link", "set", port, "master", self.name, "up")
        inside = ["nsenter", "-t", str(pid), "-n", "ip"]
        output_of([*inside, "addr", "add", f"{address}/{self.prefix_length}", "dev", device], timeout_s=20)
        output_of([*inside, "link", "set", device, "up"], timeout_s=20)

    def unplug(self, host: str) -> None:
        """Remove a host's port and with it the device at its other end; nothing when there is none."""
        port = self.port_of(host)
        if self.is_plugged(host):
            try:
                _ip("link", "del", port)
            except ServiceError:  # the kernel removes it too, a moment after the host's last process has ended
                if self.is_plugged(host):
                    raise

    def port_of(self, host: str) -> str:
        """Return the name of a host's port on the machine's side."""
        port = f"{self.name}-{host}"
        if len(port) <= _NAME_LIMIT:
            return port
        return f"{self.name}-{hashlib.sha256(host.encode()).hexdigest()[: _NAME_LIMIT - 1 - len(self.name)]}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _check(self) -> None:
        found = json.loads(_ip("-json", "-details", "addr", "show", "dev", self.name))[0]
        addresses = [f"{entry['local']}/{entry['prefixlen']}" for entry in found["addr_info"]]
        if found.get("linkinfo", {}).get("info_kind") != "bridge" or self.address not in addresses:
            raise ServiceError(
                f"device {self.name} exists and is not our switch: remove it by `ip link del {self.name}`"
            )


def _ip(*words: str) -> str:
    return output_of(["ip", *words], timeout_s=20)
