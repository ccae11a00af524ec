# SPDX-License-Identifier: Apache-2.0
"""What the network worker lets through to and from guests, on a real kernel: groups, anti-spoofing, closed hosts."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest

from nova_lite.network import names
from nova_lite.rpc.network import Member, NetworkState, SecurityGroupChange
from tests.support.system.network_lab import (
    NET,
    OUT,
    PING,
    SSH,
    WORLD,
    Guest,
    Lab,
    Rule,
    group,
    needs_programs,
    network,
    port,
    running,
    server,
)

pytestmark = needs_programs


def test_nothing_comes_in_without_a_rule(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.listen("g2", 22)

    assert not pair[0].reaches("10.0.0.12")
    assert pair[0].fetch("10.0.0.12", 22) == ""


def test_a_rule_lets_in_what_it_names_and_no_more(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.listen("g2", 22)
    lab.listen("g2", 80)

    lab.request("update_groups", (group(1, OUT, SSH, revision=1),))

    assert pair[0].fetch("10.0.0.12", 22) == "10.0.0.11"
    assert pair[0].fetch("10.0.0.12", 80) == ""
    assert not pair[0].reaches("10.0.0.12")


def test_an_overtaken_group_update_changes_nothing(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("update_groups", (group(1, OUT, PING, revision=5),))
    lab.request("update_groups", (group(1, OUT, revision=4),))

    assert pair[0].reaches("10.0.0.12")


def test_nothing_goes_out_without_an_egress_rule_but_dhcp_and_metadata(lab: Lab) -> None:
    only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
    lab.request("prepare", server(1, NET, only, groups=(group(1),)))
    lab.add_world()
    lab.listen("world", 8080)

    guest = lab.plug("g1", only)

    assert guest.dhcp()
    assert guest.metadata("who") == "server 1"
    assert guest.fetch(WORLD, 8080) == ""
    assert not guest.reaches("10.0.0.1")


def test_the_host_reaches_a_routed_network_by_the_rules_of_its_guests(lab: Lab) -> None:
    routed = network(1, is_routed=True)
    only = port(1, routed, "10.0.0.11", groups=(group(1).id,))
    lab.request("prepare", server(1, routed, only, groups=(group(1, OUT),)))
    lab.plug("g1", only).dhcp()
    ping = "ping -n -c 1 -W 1 10.0.0.11 || true"
    assert "0 received" in lab.sh(ping)

    lab.request("update_groups", (group(1, OUT, PING, revision=1),))

    assert "1 received" in lab.sh(ping)


def test_group_members_reach_each_other_until_they_leave_and_their_connections_are_cut(
    lab: Lab, pair: tuple[Guest, Guest]
) -> None:
    first, second = pair
    same = Rule(direction="ingress", remote_group_id=group(1).id)
    members = (first.port, second.port)
    lab.request("update_groups", (group(1, OUT, same, members=members, revision=1),))
    assert first.reaches("10.0.0.12")
    server_side = lab.spawn("ip", "netns", "exec", "g2", "socat", "-u", "TCP-LISTEN:9000,reuseaddr", "-")
    client_side = lab.spawn(
        "ip", "netns", "exec", "g1", "socat", "-u", "-", "TCP:10.0.0.12:9000,retry=20,interval=0.1"
    )
    assert client_side.stdin is not None
    assert server_side.stdout is not None
    client_side.stdin.write("before\n")
    client_side.stdin.flush()
    assert server_side.stdout.readline() == "before\n"

    lab.request("update_groups", (group(1, OUT, same, members=(second.port,), revision=2),))
    client_side.stdin.write("after\n")
    client_side.stdin.flush()

    assert not first.reaches("10.0.0.12")  # takes a second; a segment that came through would take microseconds
    os.set_blocking(server_side.stdout.fileno(), False)
    assert not server_side.stdout.readline()


def test_members_come_and_go_one_by_one_and_a_missed_one_is_fetched(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    first, second = pair
    same = Rule(direction="ingress", remote_group_id=group(1).id)
    places = [Member(network_id=NET.id, address=address) for address in ("10.0.0.11", "10.0.0.12")]
    change = functools.partial(SecurityGroupChange, id=group(1).id)
    # The host has made both ports members by itself.
    lab.request("change_groups", (change(base_revision=0, revision=1, rules=(OUT, same), removed=(places[0],)),))
    assert not first.reaches("10.0.0.12")

    lab.request("change_groups", (change(base_revision=1, revision=2, added=(places[0],)),))
    assert first.reaches("10.0.0.12")

    lab.request("change_groups", (change(base_revision=2, revision=3, removed=(places[0],)),))
    assert not first.reaches("10.0.0.12")
    lab.request("change_groups", (change(base_revision=1, revision=2, added=(places[0],)),))
    assert not first.reaches("10.0.0.12"), "an older push that comes late"

    lab.request("set_rows", NetworkState(groups=(group(1, OUT, same, members=(first.port, second.port), revision=5),)))
    lab.request("change_groups", (change(base_revision=4, revision=5),))
    assert first.reaches("10.0.0.12")


def test_a_server_whose_group_is_not_here_is_filtered_by_what_is_fetched(lab: Lab) -> None:
    only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
    lab.request("set_rows", NetworkState(groups=(group(1, OUT, revision=1),)))
    assert lab.request("prepare", server(1, NET, only)) is None
    guest = lab.plug("g1", only)
    assert guest.dhcp()
    assert guest.reaches("10.0.0.1")


def test_a_removed_rule_cuts_connections_that_it_had_let_in(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("update_groups", (group(1, OUT, SSH, revision=1),))
    lab.listen("g2", 22)
    assert pair[0].fetch("10.0.0.12", 22)

    lab.request("update_groups", (group(1, OUT, revision=2),))

    assert "10.0.0.12" not in lab.sh("conntrack -L -w 1 2>/dev/null")


def test_a_rule_whose_removal_failed_is_removed_by_the_next_look_after_the_host(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("update_groups", (group(1, OUT, SSH, revision=1),))
    lab.listen("g2", 22)
    assert pair[0].fetch("10.0.0.12", 22)
    lab.sh("mount --bind /bin/false $(readlink -f $(command -v nft))")
    assert lab.request("update_groups", (group(1, OUT, revision=2),))["error"] == "NetworkFailed"
    lab.sh("umount $(readlink -f $(command -v nft))")

    assert lab.request("resync") is None

    assert pair[0].fetch("10.0.0.12", 22) == ""
    assert "10.0.0.12" not in lab.sh("conntrack -L -w 1 2>/dev/null")


@pytest.mark.parametrize("change", [
    "ip addr flush dev eth0; ip addr add 10.0.0.66/24 dev eth0",
    "ip link set eth0 address fa:16:3e:00:00:99",
])
def test_a_guest_with_a_false_address_or_mac_reaches_nobody(
    lab: Lab, pair: tuple[Guest, Guest], change: str
) -> None:
    assert pair[0].reaches("10.0.0.1")

    pair[0].run(change)

    assert not pair[0].reaches("10.0.0.1")


def test_a_guest_cannot_take_anothers_address_by_arp(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    thief, victim = pair
    gateway = f"ip netns exec {names.namespace_name(NET.id)}"
    victim.reaches("10.0.0.1")

    thief.run("busybox arping -U -c 2 -w 3 -I eth0 -s 10.0.0.12 10.0.0.12", check=False)

    assert thief.port.mac not in lab.sh(f"{gateway} ip neigh show 10.0.0.12")
    assert victim.reaches("10.0.0.1")


def test_broadcast_and_foreign_addresses_do_not_get_to_a_secured_guest(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    sink = lab.sniff("-lnq", "-i", "eth0", "udp port 5000", namespace="g2", seconds=2)

    pair[0].run("echo x | socat - UDP-DATAGRAM:10.0.0.255:5000,broadcast")

    assert sink.communicate()[0].strip() == ""


def test_a_priority_tag_does_not_carry_a_packet_past_the_groups(
    lab: Lab, pair: tuple[Guest, Guest], tmp_path: Path
) -> None:
    first, second = pair
    script = tmp_path / "tagged.py"
    script.write_text(
        "import socket, struct\n"
        f"macs = bytes.fromhex('{second.port.mac}{first.port.mac}'.replace(':', ''))\n"
        "def total(b): s = sum(struct.unpack(f'!{len(b) // 2}H', b)); s = (s >> 16) + (s & 65535); return 65535 - s\n"
        "icmp = struct.pack('!BBHHH', 8, 0, 65535 - 0x0801, 0, 1)\n"
        "head = struct.pack('!BBHHHBBH4s4s', 69, 0, 28, 7, 0, 64, 1, 0, socket.inet_aton('10.0.0.11'),"
        " socket.inet_aton('10.0.0.12'))\n"
        "head = head[:10] + struct.pack('!H', total(head)) + head[12:]\n"
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))\n"
        "for tag in (b'', bytes.fromhex('81000000'), bytes.fromhex('88a80000')):\n"
        "    s.send(macs + tag + b'\\x08\\x00' + head + icmp)\n"
    )
    sniff = functools.partial(lab.sniff, "-elnq", "-i", "eth0", "icmp or vlan", namespace="g2", seconds=2)
    sink = sniff()

    first.run(f"{sys.executable} {script}")

    assert sink.communicate()[0].strip() == ""
    lab.request("update_groups", (group(1, OUT, PING, revision=1),))
    sink = sniff()
    first.run(f"{sys.executable} {script}")
    assert sink.communicate()[0].count("echo request") == 1  # the untagged one: what is sent is well formed


def test_guests_reach_the_outside_and_not_the_host(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.add_world()
    lab.listen("world", 8080)
    lab.listen(None, 8080)

    assert pair[0].fetch(WORLD, 8080) == "203.0.113.254"
    assert pair[0].fetch("203.0.113.254", 8080) == ""


def test_a_guest_reaches_a_host_that_was_opened(tmp_path: Path) -> None:
    with running(tmp_path, options=("guests_reach_host = true",)) as lab:
        only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
        lab.request("prepare", server(1, NET, only, groups=(group(1, OUT),)))
        lab.add_world()
        lab.listen(None, 8080)
        guest = lab.plug("g1", only)
        guest.dhcp()

        assert guest.fetch("203.0.113.254", 8080).startswith("100.64.")


def test_a_port_without_security_may_send_and_get_everything(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    free = port(3, NET, "10.0.0.13", is_secured=False)
    lab.request("prepare", server(3, NET, free))
    guest = lab.plug("g3", free)
    guest.run("ip addr add 10.0.0.77/24 dev eth0")

    assert guest.reaches("10.0.0.1")
    assert "1 received" in lab.sh(f"ip netns exec {names.namespace_name(NET.id)} ping -n -c 1 -W 1 10.0.0.77")


def test_a_tap_that_nobody_prepared_gets_no_network(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    stranger = lab.plug("g3", port(3, NET, "10.0.0.13"))

    stranger.run("ip addr add 10.0.0.13/24 dev eth0")

    assert not stranger.reaches("10.0.0.1")
