# SPDX-License-Identifier: Apache-2.0
"""A hostile guest against the cloud's own traffic: every kind of frame to every kind of destination, and where it arrives."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
from tests.support.system.hostile_guest import (
    ALL,
    ATTACKER,
    BRIDGE,
    FOREIGN,
    GATEWAY,
    HOST6,
    OWN,
    PLACES,
    TUNNELS,
    cloud,
)
from tests.support.system.network_lab import OUT, WORLD, group, needs_programs, port
from tests.support.wait import wait_until

pytestmark = needs_programs


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
