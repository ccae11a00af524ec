# SPDX-License-Identifier: Apache-2.0
"""The network worker on a real kernel: devices, dnsmasq, nftables, metadata; guests are namespaces behind taps."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite.network import names
from nova_lite.network.linux.audit import NETWORK_NOT_MADE
from nova_lite.rpc.payload import to_wire
from tests.support.system.network_lab import (
    NET,
    OUT,
    PING,
    SSH,
    WORLD,
    Guest,
    Lab,
    Rule,
    WorkerDied,
    group,
    needs_programs,
    network,
    port,
    running,
    server,
    uuid,
)

pytestmark = needs_programs


def test_a_guest_gets_its_address_router_mtu_and_name_server_by_dhcp(lab: Lab) -> None:
    only = port(1, NET, "10.0.0.11")
    lab.request("prepare", server(1, NET, only))

    leased = lab.plug("g1", only).dhcp()

    assert leased == "10.0.0.11/24 router=10.0.0.1 mtu=1450 dns=10.0.0.1 domain=novalocal"


@pytest.mark.parametrize("name", ["ignore", "42"])
def test_so_does_one_whose_name_dnsmasq_would_take_for_an_option(lab: Lab, name: str) -> None:
    only = dataclasses.replace(port(1, NET, "10.0.0.11"), hostname=name, group_ids=(group(1).id,))
    lab.request("prepare", server(1, NET, only, groups=(group(1, OUT),)))

    guest = lab.plug("g1", only)

    assert guest.dhcp().startswith("10.0.0.11/24")
    assert "10.0.0.11" in guest.run(f"busybox nslookup {name}.novalocal 10.0.0.1")


def test_a_guest_on_a_subnet_without_gateway_gets_its_address_and_metadata(lab: Lab) -> None:
    closed = network(3, gateway=None)
    only = port(1, closed, "10.0.0.11")
    lab.request("prepare", server(1, closed, only))

    guest = lab.plug("g1", only)

    assert guest.dhcp().startswith("10.0.0.11/24 router= mtu=1450 dns=169.254.169.254")
    assert guest.metadata("who") == "server 1"


def test_guests_find_each_other_by_name(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    assert "10.0.0.12" in pair[0].run("busybox nslookup guest2.novalocal 10.0.0.1")


def test_each_guest_sees_its_own_metadata_only(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    assert [guest.metadata("who") for guest in pair] == ["server 1", "server 2"]


def test_changed_documents_are_answered_at_once(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("update_documents", uuid(1, "b"), {"openstack/latest/who": "new name"})

    assert pair[0].metadata("who") == "new name"


def test_a_guest_reaches_the_outside_as_the_host(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.add_world()
    lab.listen("world", 8080)

    assert pair[0].fetch(WORLD, 8080) == "203.0.113.254"


def test_two_networks_with_one_range_never_meet(lab: Lab) -> None:
    other = network(2)
    one, two = port(1, NET, "10.0.0.11"), port(2, other, "10.0.0.11")
    open_group = group(1, OUT, PING)
    for number, (each, on) in enumerate(((one, NET), (two, other)), start=1):
        secured = port(number, on, "10.0.0.11", groups=(open_group.id,))
        lab.request("prepare", server(number, on, secured, groups=(open_group,)))
        assert each.mac == secured.mac
    lab.add_world()
    lab.listen("world", 8080)

    guests = lab.plug("g1", one), lab.plug("g2", two)

    assert [guest.dhcp()[:12] for guest in guests] == ["10.0.0.11/24", "10.0.0.11/24"]
    assert [guest.metadata("who") for guest in guests] == ["server 1", "server 2"]
    assert [guest.fetch(WORLD, 8080) for guest in guests] == ["203.0.113.254", "203.0.113.254"]
    assert not guests[0].reaches("100.64.0.3")  # the other network's uplink
    zones = lab.sh("conntrack -L 2>/dev/null")
    assert "zone=1" in zones
    assert "zone=2" in zones


def test_an_address_given_to_another_guest_is_leased_to_it(lab: Lab) -> None:
    first, second = port(1, NET, "10.0.0.11"), port(2, NET, "10.0.0.11")
    lab.request("prepare", server(1, NET, first))
    lab.plug("g1", first).dhcp()
    lab.sh(f"ip link del {names.tap_name(first.id)}")

    lab.request("release", uuid(1, "b"), fence=2)
    lab.request("prepare", server(2, NET, second))

    assert lab.plug("g2", second).dhcp().startswith("10.0.0.11/24")


def test_a_request_that_a_release_overtook_is_refused(lab: Lab) -> None:
    only = server(1, NET, port(1, NET, "10.0.0.11"), fence=3)
    lab.request("prepare", only)
    lab.request("release", only.server_id, fence=4)
    lab.kill_worker()
    lab.start_worker()

    assert lab.request("prepare", only)["error"] == "Superseded"
    assert lab.request("owned")["server_ids"] == []


def test_a_network_in_use_is_not_removed(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("remove_network", NET.id)

    assert pair[0].reaches("10.0.0.1")


def test_release_and_removal_leave_nothing(lab: Lab) -> None:
    lab.request("remove_all")
    before = lab.inventory()
    lab.stop_worker()
    lab.start_worker()
    at_rest = lab.inventory()
    assert [Path(path).name for path in at_rest["state"]] == ["host"]
    lab.request("prepare", server(1, NET, port(1, NET, "10.0.0.11", groups=(group(1).id,)), groups=(group(1, OUT),)))

    lab.request("release", uuid(1, "b"), fence=2)
    lab.request("remove_network", NET.id)

    assert lab.inventory() == {**before, "rules": at_rest["rules"], "state": at_rest["state"]}
    lab.request("remove_all")
    assert lab.inventory() == before


def test_remove_all_takes_away_everything_with_guests_on_it(lab: Lab) -> None:
    lab.request("remove_all")
    before = lab.inventory()
    lab.stop_worker()
    lab.start_worker()
    for number in (1, 2):
        on = network(number, is_routed=True, cidr=f"10.0.{number}.0/24", gateway=f"10.0.{number}.1")
        lab.request("prepare", server(number, on, port(number, on, f"10.0.{number}.9")))
    assert lab.inventory() != before

    lab.request("remove_all")

    assert lab.inventory() == before


def test_a_restart_keeps_dnsmasq_and_established_connections(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.add_world()
    stream = lab.spawn("ip", "netns", "exec", "world", "socat", "-u", "TCP-LISTEN:9000,reuseaddr", "-")
    sender = lab.spawn("ip", "netns", "exec", "g1", "socat", "-u", "-", f"TCP:{WORLD}:9000,retry=20,interval=0.1")
    assert sender.stdin is not None
    assert stream.stdout is not None
    dnsmasq = lab.dnsmasq_pids()
    pings = lab.spawn("ip", "netns", "exec", "g2", "ping", "-n", "-q", "-i", "0.02", "-c", "150", "10.0.0.1")

    lab.kill_worker()
    lab.start_worker()
    sender.stdin.write("still here\n")
    sender.stdin.flush()

    assert stream.stdout.readline() == "still here\n"
    assert lab.dnsmasq_pids() == dnsmasq
    assert " 0% packet loss" in pings.communicate()[0]
    assert pair[0].metadata("who") == "server 1"


@pytest.mark.parametrize("step", ["record", "namespace", "links", "metadata", "dhcp", "filters", "done"])
def test_a_crash_while_preparing_is_repaired_by_a_repeated_request(tmp_path: Path, lab: Lab, step: str) -> None:
    lab.kill_worker()
    lab.start_worker(failpoints=f"network.prepare.{step}=crash")
    only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
    ports = server(1, NET, only, groups=(group(1, OUT),))

    with pytest.raises(WorkerDied):
        lab.request("prepare", ports)
    lab.start_worker()
    assert lab.request("prepare", ports) is None
    guest = lab.plug("g1", only)

    assert guest.dhcp().startswith("10.0.0.11/24")
    assert guest.metadata("who") == "server 1"
    assert guest.reaches("10.0.0.1")


@pytest.mark.parametrize("step", [
    "release.tombstone", "release.filters", "release.record", "remove_network.record", "remove_network.dhcp",
    "remove_network.links",
])
def test_a_crash_while_releasing_or_removing_ends_with_nothing_left(lab: Lab, step: str) -> None:
    before = lab.inventory()
    lab.kill_worker()
    lab.start_worker(failpoints=f"network.{step}=crash")
    only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
    lab.request("prepare", server(1, NET, only, groups=(group(1, OUT),)))

    with pytest.raises(WorkerDied):
        lab.request("release", uuid(1, "b"), fence=2)
        lab.request("remove_network", NET.id)
    lab.start_worker()
    lab.request("release", uuid(1, "b"), fence=2)
    lab.request("remove_network", NET.id)

    assert lab.inventory() == before


def test_many_requests_at_once_end_as_if_one_by_one(lab: Lab) -> None:
    before = lab.inventory()
    nets = [network(number) for number in range(4)]
    requests = []
    for number in range(40):
        on, groups = nets[number % 4], (group(number % 3, OUT, Rule(direction="ingress", remote_group_id=group(9).id)), group(9))
        plug = port(number, on, f"10.0.0.{number + 10}", groups=(groups[0].id,))
        requests.append(server(number, on, plug, groups=groups))

    prepared = lab.request("at_once", [{"method": "prepare", "arguments": to_wire([one])} for one in requests])
    rules = lab.sh("nft list ruleset")
    lab.kill_worker()
    lab.start_worker()
    again = lab.sh("nft list ruleset")
    released = lab.request("at_once", [
        {"method": "release", "arguments": [one.server_id], "named": {"fence": 2}} for one in requests
    ] + [{"method": "prepare", "arguments": to_wire([one])} for one in requests[:8]])
    leftover = lab.request("owned")["server_ids"]
    for server_id in leftover:
        lab.request("release", server_id, fence=2)
    for on in nets:
        lab.request("remove_network", on.id)

    assert prepared == [{"result": None}] * 40
    assert sorted(rules.split()) == sorted(again.split())
    assert released[:40] == [{"result": None}] * 40
    assert lab.inventory() == before


def test_filters_that_somebody_flushed_come_back_with_the_next_change(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.sh("nft flush ruleset")
    assert pair[0].reaches("10.0.0.12")

    lab.request("update_groups", (group(1, OUT, SSH, revision=1),))

    assert not pair[0].reaches("10.0.0.12")


def test_a_rule_whose_removal_the_kernel_did_not_take_is_removed_by_the_next_look(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.request("update_groups", (group(1, OUT, PING, revision=1),))
    assert pair[0].reaches("10.0.0.12")
    lab.sh("mount --bind /bin/false $(command -v nft)")
    refused = lab.request("update_groups", (group(1, OUT, revision=2),))
    lab.sh("umount $(command -v nft)")
    assert refused["error"] == "NetworkFailed"

    assert lab.request("resync") is None

    assert not pair[0].reaches("10.0.0.12")


def test_a_look_after_the_host_brings_back_dnsmasq_and_filters(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.sh("nft flush ruleset")
    (pid,) = lab.dnsmasq_pids()
    os.kill(pid, signal.SIGKILL)

    assert lab.request("resync") is None

    assert not pair[0].reaches("10.0.0.12")
    assert pair[0].dhcp().startswith("10.0.0.11/24")


def test_a_look_after_the_host_brings_back_a_bridge_and_a_namespace(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    lab.sh(f"ip link del {names.bridge_name(NET.id)}; ip netns del {names.namespace_name(NET.id)}")

    assert lab.request("resync") is None
    for guest in pair:
        tap = names.tap_name(guest.port.id)
        lab.sh(f"ip link set {tap} master {names.bridge_name(NET.id)}")  # as libvirt would on a new start

    assert pair[0].dhcp().startswith("10.0.0.11/24")
    assert pair[0].metadata("who") == "server 1"


@pytest.mark.parametrize("name_of", [names.veth_name, names.uplink_name])
def test_a_look_after_the_host_brings_back_a_device_between_bridge_namespace_and_host(
    lab: Lab, pair: tuple[Guest, Guest], name_of: Callable[[str], str],
) -> None:
    lab.sh(f"ip link del {name_of(NET.id)}")
    assert [(one["kind"], one["resource"]) for one in lab.request("audit", after="")["found"]["findings"]] == [(NETWORK_NOT_MADE, NET.id)]

    assert lab.request("resync") is None

    assert lab.request("audit", after="")["found"]["findings"] == []
    assert pair[0].dhcp().startswith("10.0.0.11/24")
    assert pair[0].metadata("who") == "server 1"


def test_a_second_server_in_a_network_is_prepared_quickly(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    def prepare(number: int) -> float:
        ports = server(number, NET, port(number, NET, f"10.0.0.{number}", groups=(group(1).id,)), groups=(group(1, OUT),))
        begin = time.perf_counter()
        assert lab.request("prepare", ports) is None
        return time.perf_counter() - begin

    best = min(prepare(number) for number in range(20, 30))

    assert best < 0.1  # 20 ms on a quiet machine; the bound is for one that is shared


def test_guests_on_two_hosts_share_a_network_and_each_has_its_own_gateway(tmp_path: Path) -> None:
    for name in ("h1", "h2"):
        (tmp_path / name).mkdir()
    first_options, second_options = (("mtu = 1450", f"tunnel_ip = 192.0.2.{number}") for number in (1, 2))
    with running(tmp_path / "h1", name="h1", options=first_options) as one, \
            running(tmp_path / "h2", name="h2", options=second_options) as two:
        one.sh(f"ip link add ul mtu 1550 type veth peer name ul mtu 1550 netns {two.pid}")
        for number, lab in enumerate((one, two), start=1):
            lab.sh(f"ip addr add 192.0.2.{number}/24 dev ul && ip link set ul up")
        guests = []
        for number, lab in enumerate((one, two), start=1):
            only = port(number, NET, f"10.0.0.1{number}", groups=(group(1).id,))
            shared = network(1, peers=tuple(f"192.0.2.{peer}" for peer in (1, 2) if peer != number))
            assert lab.request("prepare", server(number, shared, only, groups=(group(1, OUT, PING),))) is None
            guests.append(lab.plug(f"g{number}", only))
            assert guests[-1].dhcp()
            assert guests[-1].metadata("who") == f"server {number}"
        sniffer = one.sniff("-lnn", "-i", names.overlay_name(NET.id), seconds=4)

        assert guests[0].reaches("10.0.0.12")
        assert guests[0].run("ip neigh flush all; ping -n -c 1 -W 1 10.0.0.1")
        assert guests[0].dhcp()
        seen = sniffer.communicate()[0]
        assert "10.0.0.11 > 10.0.0.12: ICMP echo request" in seen
        assert "10.0.0.1 " not in seen.replace("10.0.0.1,", "10.0.0.1 ")
        assert "68" not in [word.rsplit(".", 1)[-1] for word in seen.split()]

        one.request("update_networks", (network(1, revision=2),))
        assert not guests[0].reaches("10.0.0.12")
        flooded_to = f"bridge fdb show dev {names.overlay_name(NET.id)} | grep 00:00:00:00:00:00"
        one.request("update_networks", (network(1, peers=("192.0.2.2",), revision=1),))
        assert not one.sh(flooded_to, check=False), "an older push that comes late"
        one.request("update_networks", (network(1, peers=("192.0.2.2",), revision=3),))
        assert "192.0.2.2" in one.sh(flooded_to)
