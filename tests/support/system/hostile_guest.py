# SPDX-License-Identifier: Apache-2.0
"""Two hosts with guests of two tenants, one of them hostile, and captures of what arrives where.

The hosts are joined by an underlay. The attacker's network and another tenant's are on both; both are routed, which is where
a host knows the way to guests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from nova_lite.network import names
from nova_lite.rpc.network import Network
from tests.support.system import frames
from tests.support.system.network_lab import OUT, Guest, Lab, Rule, group, network, port, server

TUNNELS = ("192.0.2.1", "192.0.2.2")
HOST6 = "fd00:7::1"
ALL = Rule(direction="ingress")
OPEN = group(1, OUT, ALL)
PEERS = ((TUNNELS[1],), (TUNNELS[0],))
# Of the host: the nft sets in which its stack notes what of guests has got past every filter.
_WATCH = """
table inet watch {
 set ids { typeof ip id; flags dynamic; size 65535; }
 set labels { typeof ip6 flowlabel; flags dynamic; size 65535; }
 chain input {
  type filter hook input priority 500; policy accept;
  iifname != { "br-*", "up-*", "tap*", "ul" } accept
  udp dport 4789 udp sport 32768-65535 accept
  iifname "ul" ip protocol icmp accept
  add @ids { ip id }
  add @labels { ip6 flowlabel }
 }
}
table bridge watch {
 chain input { type filter hook input priority 500; counter comment "frames for the host"; }
}
"""


def on_host(number: int, which: int) -> Network:
    """The attacker's network (1) or the other tenant's (2), as host 0 or 1 has it."""
    octet = 0 if number == 1 else 5
    return network(number, cidr=f"10.0.{octet}.0/24", gateway=f"10.0.{octet}.1", is_routed=True, peers=PEERS[which])


OWN, FOREIGN = on_host(1, 0), on_host(2, 0)
ATTACKER = port(1, OWN, "10.0.0.11", groups=(OPEN.id,))
PLACES = {  # letter: host, port of a guest that lets everything in
    "p": (0, port(2, OWN, "10.0.0.12", groups=(OPEN.id,))), "q": (1, port(3, OWN, "10.0.0.13", groups=(OPEN.id,))),
    "t": (0, port(4, FOREIGN, "10.0.5.14", groups=(OPEN.id,))), "u": (1, port(5, FOREIGN, "10.0.5.15", groups=(OPEN.id,))),
}
GATEWAY, BRIDGE = names.gateway_mac(OWN.id), names.bridge_mac(OWN.id)


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Both hosts, the guests by their letters, and files of what each of them and the world receives."""

    hosts: tuple[Lab, Lab]
    attacker: Guest
    guests: dict[str, Guest]
    captures: dict[str, Path]

    def send(self, sent: list[bytes]) -> None:
        """Have the attacker's NIC send the frames."""
        text = "\n".join(frame.hex() for frame in sent) + "\n"
        sender = self.hosts[0].spawn("ip", "netns", "exec", self.attacker.name, sys.executable, "-c", frames.SENDER)
        sender.communicate(text, timeout=60)
        assert sender.returncode == 0

    def seen(self) -> dict[int, str]:
        """Number of a frame: the letters of the places where it has arrived."""
        found: dict[int, set[str]] = {}
        for letter, path in self.captures.items():
            for number in frames.marks(path.read_bytes()):
                found.setdefault(number, set()).add(letter)
        for letter, lab in zip("hf", self.hosts, strict=True):
            for name in ("ids", "labels"):
                elements = re.search(r"elements = \{([^}]*)\}", lab.sh(f"nft list set inet watch {name}"))
                for number in elements.group(1).split(",") if elements else ():
                    found.setdefault(int(number.split()[0], 0), set()).add(letter)
        return {number: "".join(sorted(letters, key="pqtuhfw".index)) for number, letters in found.items()}


@contextlib.contextmanager
def two_hosts(directory: Path, *, rp_filter: int = 0) -> Iterator[tuple[Lab, Lab]]:
    """Hosts with workers, an underlay between them, the world, and addresses of their own."""
    with contextlib.ExitStack() as stack:
        labs = []
        for number, tunnel in enumerate(TUNNELS, start=1):
            (directory / f"h{number}").mkdir()
            labs.append(Lab(directory / f"h{number}", name=f"h{number}", options=("mtu = 1450", f"tunnel_ip = {tunnel}")))
            stack.callback(labs[-1].close)
            labs[-1].sh(f"for f in all default; do echo {rp_filter} > /proc/sys/net/ipv4/conf/$f/rp_filter; done")
        labs[0].sh(f"ip link add ul mtu 1550 type veth peer name ul mtu 1550 netns {labs[1].pid}")
        for lab, tunnel in zip(labs, TUNNELS, strict=True):
            lab.sh(f"ip addr add {tunnel}/24 dev ul && ip link set ul up")
            lab.sh(f"ip addr add 198.18.0.1/32 dev lo && ip -6 addr add {HOST6}/128 dev lo")
            lab.start_worker()
            assert lab.request("set_addresses", TUNNELS) is None
        labs[0].add_world()
        yield labs[0], labs[1]


@contextlib.contextmanager
def cloud(directory: Path, *, rp_filter: int, is_secured: bool) -> Iterator[Cloud]:
    with two_hosts(directory, rp_filter=rp_filter) as hosts:
        ports_of = [(0, ATTACKER if is_secured else dataclasses.replace(ATTACKER, group_ids=(), is_secured=False)), *PLACES.values()]
        guests = []
        for which, plug in ports_of:
            lab, on = hosts[which], on_host(1 if plug.network_id == OWN.id else 2, which)
            number = int(plug.mac[-2:], 16)
            assert lab.request("prepare", server(number, on, plug, groups=(OPEN,))) is None
            guests.append(lab.plug(f"g{number}", plug))
            assert guests[-1].dhcp()
        captures = {"w": directory / "w.pcap"}
        # Its ring has a slot of the snapshot's length for each frame. Refusals by ICMP quote what they refuse.
        every = ("-Z", "root", "--immediate-mode", "-U", "-s", "2000", "-B", "8192", "-Q", "in", "-i", "eth0",
                 "not (icmp and icmp[0] = 3)")
        hosts[0].sniff("-w", str(captures["w"]), *every, namespace="world", seconds=60)
        for letter, guest in zip(PLACES, guests[1:], strict=True):
            captures[letter] = directory / f"{letter}.pcap"
            guest.lab.sniff("-w", str(captures[letter]), *every, namespace=guest.name, seconds=60)
        for lab in hosts:
            (lab.directory / "watch").write_text(_WATCH)
            lab.sh(f"nft -f {lab.directory}/watch")
        yield Cloud(hosts, guests[0], dict(zip(PLACES, guests[1:], strict=True)), captures)
