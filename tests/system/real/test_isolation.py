# SPDX-License-Identifier: Apache-2.0
"""A hostile guest against the cloud's own traffic: every kind of frame to every kind of destination, and where it arrives.

Two hosts, joined by an underlay. The attacker's network and another tenant's are on both; both are routed, which is where a
host knows the way to guests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nova_lite.network import names
from nova_lite.rpc.network import Floating, Network
from tests.support.system import frames
from tests.support.system.frames import (
    ARP,
    BROADCAST,
    EXPERIMENTAL,
    ICMP,
    IPV4,
    IPV6,
    LLDP,
    RARP,
    RST,
    SCTP,
    SYN,
    TCP,
    UDP,
    UNASSIGNED,
    ethernet,
    mark,
)
from tests.support.system.network_lab import OUT, WORLD, Guest, Lab, Rule, group, needs_programs, network, port, server
from tests.support.wait import wait_until

pytestmark = needs_programs
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
class Target:
    """An IPv4 address; `mac`: of whom the frame goes to in the attacker's network."""

    address: str
    mac: str = GATEWAY


TARGETS = {
    "peer": Target("10.0.0.12", PLACES["p"][1].mac), "far peer": Target("10.0.0.13", PLACES["q"][1].mac),
    "tenant": Target("10.0.5.14"), "far tenant": Target("10.0.5.15"), "other gateway": Target("10.0.5.1"),
    "other link": Target("100.64.0.3"), "own link": Target("100.64.0.0"), "wire": Target("203.0.113.254"),
    "tunnel": Target(TUNNELS[0]), "loopback": Target("198.18.0.1"), "other host": Target(TUNNELS[1]), "world": Target(WORLD),
    "everybody": Target("255.255.255.255"),
}
Frames = Callable[[Target, int], list[bytes]]


def _ip(protocol: int, body: Callable[[Target, int], bytes], *, to: str | None = None, source: str = "10.0.0.11",
        mac: str = ATTACKER.mac, tags: tuple[int, ...] = ()) -> Frames:
    def made(target: Target, number: int) -> list[bytes]:
        packet = frames.ip(source, target.address, protocol, body(target, number), number=number)
        return [ethernet(to or target.mac, mac, IPV4, packet, tags=tags)]

    return made


def _fragments(body: Callable[[Target, int], bytes], *, to: str | None = None) -> Frames:
    return lambda target, number: [
        ethernet(to or target.mac, ATTACKER.mac, IPV4, packet)
        for packet in frames.fragments("10.0.0.11", target.address, UDP, body(target, number), number=number)]


def _udp(_target: Target, number: int) -> bytes:
    return frames.udp(mark(number) * 4)


def _tcp(flags: int) -> Callable[[Target, int], bytes]:
    return lambda target, number: frames.tcp("10.0.0.11", target.address, mark(number), flags=flags, source_port=number)


def _echo(_target: Target, number: int) -> bytes:
    return frames.echo_request(mark(number), number=number)


def _sctp(_target: Target, number: int) -> bytes:
    return frames.sctp(mark(number), number=number)


def _vxlan(_target: Target, number: int) -> bytes:
    """To a guest of the other tenant, as if from another guest there."""
    sender, receiver = PLACES["t"][1], PLACES["u"][1]
    inner = frames.ip(sender.addresses[0], receiver.addresses[0], UDP, frames.udp(mark(number)), number=number)
    return frames.udp(frames.vxlan(FOREIGN.segment, ethernet(BROADCAST, sender.mac, IPV4, inner)), port=4789, source_port=1001)


def _arp(operation: int, *, to: str, sender: str = "10.0.0.11", source: str = ATTACKER.mac) -> Frames:
    return lambda target, number: [ethernet(to, source, ARP, frames.arp(
        operation, (source, sender), ("00:00:00:00:00:00", target.address), number=number))]


def _raw(kind: int, *, to: str) -> Frames:
    return lambda target, number: [ethernet(to, ATTACKER.mac, kind, mark(number) + bytes(40))]


def _ip6(kind: int, *, to: str, target: str) -> Frames:
    def made(_target: Target, number: int) -> list[bytes]:
        source = "fe80::f816:3eff:fe00:1"
        packet = frames.ip6(source, target, 58, frames.icmp6(source, target, kind, bytes(4) + mark(number) * 3), number=number)
        return [ethernet(to, ATTACKER.mac, IPV6, packet)]

    return made


FRAMES: dict[str, Frames] = {
    "udp": _ip(UDP, _udp), "tcp": _ip(TCP, _tcp(SYN)), "icmp": _ip(ICMP, _echo), "sctp": _ip(SCTP, _sctp),
    "protocol 253": _ip(UNASSIGNED, _udp), "reset": _ip(TCP, _tcp(RST)), "fragments": _fragments(_udp),
    "vxlan": _ip(UDP, _vxlan), "vxlan fragments": _fragments(_vxlan),
    "bridge udp": _ip(UDP, _udp, to=BRIDGE), "bridge tcp": _ip(TCP, _tcp(SYN), to=BRIDGE), "bridge icmp": _ip(ICMP, _echo, to=BRIDGE),
    "bridge vxlan": _ip(UDP, _vxlan, to=BRIDGE), "bridge fragments": _fragments(_udp, to=BRIDGE),
    "broadcast": _ip(UDP, _udp, to=BROADCAST), "multicast": _ip(UDP, _udp, to="01:00:5e:00:00:01"),
    "802.1q": _ip(UDP, _udp, tags=(0x8100,)), "802.1ad": _ip(UDP, _udp, tags=(0x88A8,)), "qinq": _ip(UDP, _udp, tags=(0x88A8, 0x8100)),
    "bridge 802.1q": _ip(UDP, _udp, to=BRIDGE, tags=(0x8100,)),
    "spoofed address": _ip(UDP, _udp, source="198.51.100.7"), "spoofed peer": _ip(UDP, _udp, source="10.0.0.12"),
    "spoofed reset": _ip(TCP, _tcp(RST), source="198.51.100.7"), "spoofed mac": _ip(UDP, _udp, mac="fa:16:3e:00:00:99"),
    "bridge spoofed": _ip(UDP, _udp, to=BRIDGE, source="198.51.100.7"),
    "arp": _arp(1, to=BROADCAST), "arp to bridge": _arp(1, to=BRIDGE), "arp spoofed": _arp(1, to=BROADCAST, sender="10.0.0.1"),
    "rarp": _raw(RARP, to=BROADCAST), "lldp": _raw(LLDP, to="01:80:c2:00:00:0e"), "unknown type": _raw(EXPERIMENTAL, to=BRIDGE),
    "ipv6 bridge": _ip6(128, to=BRIDGE, target=HOST6), "ipv6 gateway": _ip6(128, to=GATEWAY, target=HOST6),
    "ipv6 ra": _ip6(134, to="33:33:00:00:00:01", target="ff02::1"), "ipv6 ns": _ip6(135, to="33:33:00:00:00:01", target="ff02::1"),
}
# Where each frame arrives: p the peer, q the peer on the other host, t and u the other tenant's guests, h the host, f the other
# host, w the world. Targets that are not listed: nowhere. Frames that do not depend on the target are sent to one only.
_ORDINARY = {"peer": "p", "far peer": "q", "world": "w"}
_LOCAL = {"peer": "p", "far peer": "q"}
SECURED: dict[str, dict[str, str]] = {
    **{name: {} for name in FRAMES},
    **{name: _ORDINARY for name in ("udp", "tcp", "icmp", "sctp", "protocol 253", "fragments")},
    "reset": {}, "vxlan": _LOCAL, "vxlan fragments": _LOCAL,
    "broadcast": _LOCAL, "multicast": _LOCAL,
    "arp": dict.fromkeys(TARGETS, "pq"), "rarp": {},
}
# Without port security a guest does as it likes within its own network, and nowhere else.
# A tag of VLAN 0 is none to the gateway.
UNSECURED: dict[str, dict[str, str]] = {
    **SECURED, **{name: {"world": "w"} for name in ("802.1q", "802.1ad", "qinq")},
    "spoofed address": _LOCAL, "spoofed peer": _ORDINARY, "spoofed mac": _ORDINARY, "arp spoofed": dict.fromkeys(TARGETS, "p"),
}


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


@pytest.mark.parametrize("is_secured", [True, False], ids=["secured", "unsecured"])
@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_a_guests_frames_arrive_in_its_network_and_outside_the_cloud_only(
    tmp_path: Path, rp_filter: int, is_secured: bool  # a parameter of the test
) -> None:
    expected = SECURED if is_secured else UNSECURED
    with cloud(tmp_path, rp_filter=rp_filter, is_secured=is_secured) as made:
        numbers = {pair: number for number, pair in enumerate(((f, t) for f in FRAMES for t in TARGETS), start=2000)}
        made.send([frame for (name, target), number in numbers.items() for frame in FRAMES[name](TARGETS[target], number)])
        last = len(numbers) + 2000
        made.send([frame for target in ("peer", "far peer", "world") for frame in FRAMES["udp"](TARGETS[target], last)])
        wait_until(lambda: made.seen().get(last) == "pqw", "the last frames at the peers and in the world")
        arrived = made.seen()
        got = {name: {t: arrived[numbers[name, t]] for t in TARGETS if numbers[name, t] in arrived} for name in FRAMES}
        wrong = {name: (got[name], expected[name]) for name in FRAMES if got[name] != expected[name]}
        assert not wrong, "\n".join(f"{name}: arrived {was}, expected {should}" for name, (was, should) in wrong.items())
        assert "counter packets 0 " in made.hosts[0].sh("nft list table bridge watch")
        sources = {packet[26:30] for packet in frames.packets(made.captures["w"]) if packet[12:14] == b"\x08\x00" and frames.marks(packet)}
        assert sources == {bytes((203, 0, 113, 254))}, "what leaves for the world has the host's address"


def test_nothing_reaches_the_host_while_the_worker_restarts_and_rebuilds_its_filters(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        host = made.hosts[0]
        burst = [frame for number, (name, target) in enumerate(((n, t) for n in ("udp", "bridge udp", "broadcast", "ipv6 bridge", "vxlan")
                 for t in ("wire", "tunnel", "other host")), start=2000) for frame in FRAMES[name](TARGETS[target], number)]
        (host.directory / "burst").write_text("\n".join(frame.hex() for frame in burst) + "\n")
        endless = f"while cat {host.directory}/burst; do :; done | {sys.executable} -c \"$0\""
        flood = host.spawn("ip", "netns", "exec", made.attacker.name, "sh", "-c", endless, frames.SENDER)
        sent = f"ip -n {made.attacker.name} -s -j link show eth0"
        before = host.sh(sent)
        for _ in range(3):
            host.kill_worker()
            host.start_worker()
            assert host.request("resync") is None
            assert host.request("update_groups", (group(1, OUT, ALL, revision=1),)) is None
        assert flood.poll() is None
        assert host.sh(sent) != before
        assert not set("tuhf") & set("".join(made.seen().values()))


def test_a_guest_that_nobody_prepared_reaches_neither_the_host_nor_its_network(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        stranger = made.hosts[0].plug("g9", port(9, OWN, "10.0.0.19"))
        made.send([frame for frame in FRAMES["udp"](TARGETS["world"], 1999)])
        early = dataclasses.replace(made, attacker=stranger)
        early.send([frame for number, (name, target) in enumerate(((n, t) for n in FRAMES for t in TARGETS), start=2000)
                    for frame in FRAMES[name](TARGETS[target], number)])
        made.send([frame for frame in FRAMES["udp"](TARGETS["world"], 3000)])

        wait_until(lambda: made.seen().get(3000) == "w", "the last frame")
        assert set(made.seen()) == {1999, 3000}


def test_vxlan_is_taken_from_a_peer_of_the_same_network_only(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        receiver = made.guests["p"].port
        inner = [ethernet(receiver.mac, PLACES["q"][1].mac, IPV4, frames.ip(
            "10.0.0.13", receiver.addresses[0], UDP, frames.udp(mark(number)), number=number)) for number in (1, 2, 3)]
        assert made.hosts[0].request("update_networks", (dataclasses.replace(FOREIGN, peers=(), revision=2),)) is None
        made.hosts[1].sh("ip addr add 192.0.2.9/24 dev ul")
        for source, segment, frame in (("192.0.2.9", OWN.segment, inner[0]), (TUNNELS[1], FOREIGN.segment, inner[1]),
                                       (TUNNELS[1], OWN.segment, inner[2])):
            made.hosts[1].sh(f"printf '{_escaped(frames.vxlan(segment, frame))}' | socat -u - UDP:{TUNNELS[0]}:4789,bind={source}")

        wait_until(lambda: made.seen().get(3) == "p", "the frame of the peer")
        assert made.seen().keys() & {1, 2} == set()


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


def test_hosts_reach_guests_by_floating_addresses_though_guests_do_not_reach_hosts(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        plug = dataclasses.replace(ATTACKER, floating=(Floating(address="172.24.4.50", fixed_address="10.0.0.11"),))
        assert made.hosts[0].request("prepare", server(1, OWN, plug, groups=(OPEN,))) is None
        made.hosts[1].sh(f"ip route add 172.24.4.0/24 via {TUNNELS[0]}")
        made.hosts[0].listen(made.attacker.name, 22)
        for lab in made.hosts:
            lab.listen(None, 22)
            assert lab.sh("socat -T 2 -u TCP:172.24.4.50:22,connect-timeout=2 -").strip() == lab.sh(
                "ip -o route get 172.24.4.50").split(" src ")[1].split()[0]
        for address in TUNNELS:
            assert made.attacker.fetch(address, 22) == ""


def test_dhcp_dns_metadata_and_nat_work(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=1, is_secured=True) as made:
        made.hosts[0].listen("world", 8080)
        assert made.attacker.dhcp().startswith("10.0.0.11/24 router=10.0.0.1")
        assert made.attacker.metadata("who") == "server 1"
        assert "10.0.0.12" in made.attacker.run("busybox nslookup guest2.novalocal 10.0.0.1")
        assert made.attacker.fetch(WORLD, 8080) == "203.0.113.254"


DISCOVER, DECLINE, RELEASE = 1, 4, 7


def _client_id(mac: str) -> bytes:
    """RFC 2132 section 9.14."""
    return bytes((61, 7, 1)) + bytes.fromhex(mac.replace(":", ""))


def test_nobody_gives_away_the_lease_of_another_guest(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        victim = made.guests["p"]
        server_id, requested = (bytes((code, 4, 10, 0, 0, last)) for code, last in ((54, 1), (50, 12)))
        attacks = []
        for chaddr, client_id in ((victim.port.mac, b""), (ATTACKER.mac, _client_id(victim.port.mac))):
            for message in (RELEASE, DECLINE):
                body = frames.dhcp(message, chaddr=chaddr, client="10.0.0.12", options=server_id + requested + client_id)
                datagram = frames.udp(body, port=67, source_port=68)
                attacks.append([frames.ip("10.0.0.11", "10.0.0.1", UDP, datagram, number=1)])
                attacks.append(frames.fragments("10.0.0.11", "10.0.0.1", UDP, datagram, number=2))
        made.send([ethernet(GATEWAY, ATTACKER.mac, IPV4, packet) for attack in attacks for packet in attack])

        leases = next((Path(f"/proc/{made.hosts[0].pid}/root/run/nova-lite")).glob(f"*/{OWN.id}/leases"))
        assert made.attacker.dhcp().startswith("10.0.0.11/24"), "answered in turn, after what was sent before"
        assert {"10.0.0.11", "10.0.0.12"} <= set(leases.read_text().split())
        assert victim.dhcp().startswith("10.0.0.12/24")


def test_the_name_of_another_projects_server_stays_its_own(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        for number, address in ((6, "10.0.0.16"), (7, "10.0.0.7")):
            later = dataclasses.replace(port(number, OWN, address, groups=(OPEN.id,)), hostname="GUEST2")
            assert made.hosts[0].request("prepare", server(number, OWN, later, groups=(OPEN,))) is None
            assert made.hosts[0].plug(f"g{number}", later).dhcp()
            made.hosts[0].kill_worker()
            made.hosts[0].start_worker()

        found = made.attacker.run("busybox nslookup guest2.novalocal 10.0.0.1")
        assert re.findall(r"Address[^:]*: *(10\.0\.0\.[0-9]+)(?!:53|[0-9])", found.split("guest2", 1)[1]) == ["10.0.0.12"]
        assert "10.0.0.16" in made.attacker.run("busybox nslookup host-10-0-0-16.novalocal 10.0.0.1")


def test_dnsmasq_has_no_more_rights_than_it_needs(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    (pid,) = lab.dnsmasq_pids()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    net_bind, net_admin, net_raw = 1 << 10, 1 << 12, 1 << 13  # linux/capability.h
    assert {int(uid) for uid in status["Uid"].split()} & {0} == set()
    assert {int(gid) for gid in status["Gid"].split()} & {0} == set()
    assert int(status["CapEff"], 16) & ~(net_bind | net_admin | net_raw) == 0
    assert int(status["CapPrm"], 16) & ~(net_bind | net_admin | net_raw) == 0
