# SPDX-License-Identifier: Apache-2.0
"""Where frames between hosts go, on real kernels: to the host of the port where that is known, else to all hosts of the network."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest

from nova_lite.network import names
from nova_lite.network.linux.audit import FORWARDING_ENTRIES, NETWORK_NOT_MADE
from nova_lite.rpc.network import Forwarding, ForwardingChange, PortPlace, Revisions
from tests.support.system.network_lab import (
    NET,
    OUT,
    PING,
    Guest,
    Lab,
    group,
    needs_programs,
    network,
    port,
    running,
    server,
)

pytestmark = needs_programs
ONE, TWO, BYSTANDER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
PORTS = tuple(port(number, NET, f"10.0.0.1{number}", groups=(group(1).id,)) for number in (1, 2))
PLACES = (PortPlace(mac=PORTS[0].mac, tunnel_ip=ONE), PortPlace(mac=PORTS[1].mac, tunnel_ip=TWO))
_COUNTER = (
    "nft add table ip probe; nft add counter ip probe c; nft add chain ip probe in { type filter hook prerouting priority -400 \\; };"
    f" nft add rule ip probe in ip daddr {BYSTANDER} udp dport 4789 counter name c")


@dataclasses.dataclass
class Hosts:
    """Guest g1 on host `one`, g2 on host `two`; a third host of the network is an address of `two`."""

    one: Lab
    two: Lab
    guest: Guest
    revision: int = 0

    def pings(self) -> tuple[bool, int]:
        """Whether g1 reaches g2 by its MAC, and how many copies of its frames the third host gets."""
        before = self._copies()
        is_reached = self.guest.reaches("10.0.0.12")
        return is_reached, self._copies() - before

    def _copies(self) -> int:
        return int(self.two.sh("nft list counter ip probe c").split("packets ")[1].split()[0])

    def know(self, places: tuple[PortPlace, ...] = PLACES) -> None:
        """Both hosts find in the rows where the network's ports are."""
        self.revision += 10
        for lab in (self.one, self.two):
            lab.request("set_forwarding", (Forwarding(network_id=NET.id, revision=self.revision, places=places),))
            lab.request("check_revisions", Revisions(groups={}, networks={}, servers={}, forwarding={NET.id: self.revision}))

    def change(self, *places: PortPlace, gone: tuple[str, ...] = ()) -> None:
        """Host one is sent the next change."""
        self.revision += 1
        assert self.one.request("change_forwarding", (ForwardingChange(
            network_id=NET.id, base_revision=self.revision - 1, revision=self.revision, places=places, gone=gone),)) is None

    def entries(self) -> str:
        return self.one.sh(f"bridge fdb show dev {names.overlay_name(NET.id)}")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with contextlib.ExitStack() as stack:
        labs = []
        for name, address in (("h1", ONE), ("h2", TWO)):
            labs.append(stack.enter_context(running(
                tmp_path_factory.mktemp(name), name=name, options=("mtu = 1450", f"tunnel_ip = {address}"))))
        one, two = labs
        one.sh(f"ip link add ul mtu 1550 type veth peer name ul mtu 1550 netns {two.pid}")
        for lab, address in ((one, ONE), (two, TWO)):
            lab.sh(f"ip addr add {address}/24 dev ul && ip link set ul up")
        two.sh(f"ip addr add {BYSTANDER}/24 dev ul; {_COUNTER}")
        guests = []
        for number, (lab, peers) in enumerate(((one, (TWO, BYSTANDER)), (two, (ONE,))), start=1):
            only = PORTS[number - 1]
            assert lab.request("prepare", server(number, network(1, peers=peers), only, groups=(group(1, OUT, PING),))) is None
            guests.append(lab.plug(f"g{number}", only))
            guests[-1].run(f"ip addr add {only.addresses[0]}/24 dev eth0")
        for guest, other in ((guests[0], PORTS[1]), (guests[1], PORTS[0])):
            guest.run(f"ip neigh replace {other.addresses[0]} lladdr {other.mac} dev eth0 nud permanent")
        yield Hosts(one, two, guests[0])


def test_frames_go_to_all_hosts_until_it_is_known_where_ports_are(hosts: Hosts) -> None:
    """What a host has learned until then, true or not, it forgets."""
    assert hosts.pings() == (True, 1)
    hosts.two.sh(f"bridge fdb replace {PORTS[1].mac} dev {names.overlay_name(NET.id)} master dynamic")
    hosts.know()
    assert hosts.pings() == (True, 0)
    assert f"{PORTS[1].mac} dst {TWO} self permanent" in hosts.entries()
    assert PORTS[0].mac not in hosts.entries(), "its own port"


def test_frames_for_unknown_macs_stay_on_the_host_and_broadcasts_leave_it(hosts: Hosts) -> None:
    hosts.know()
    hosts.guest.run("ip neigh replace 10.0.0.12 lladdr fa:16:3e:99:99:99 dev eth0 nud permanent")
    assert hosts.pings() == (False, 0)
    hosts.guest.run("ip neigh del 10.0.0.12 dev eth0")
    is_reached, copies = hosts.pings()  # by ARP, which is a broadcast
    hosts.guest.run(f"ip neigh replace 10.0.0.12 lladdr {PORTS[1].mac} dev eth0 nud permanent")
    assert is_reached
    assert copies >= 1


def test_a_guest_cannot_take_the_frames_of_a_port_on_another_host(hosts: Hosts) -> None:
    """A port of another server on host one, without port security, sends with the MAC of g2."""
    hosts.know()
    thief = port(3, NET, "10.0.0.13", is_secured=False)
    assert hosts.one.request("prepare", server(3, network(1, peers=(TWO, BYSTANDER)), thief)) is None
    try:
        guest = hosts.one.plug("thief", thief, mac=PORTS[1].mac)
        guest.run("ip addr add 10.0.0.13/24 dev eth0; ping -n -c 1 -W 1 10.0.0.11; true")
        assert hosts.pings()[0]
        hosts.one.sh("ip netns del thief")
    finally:
        hosts.one.request("release", server(3, NET).server_id, fence=2)


@pytest.mark.parametrize(("number", "is_secured"), [(5, True), (6, False)], ids=["all known", "learning"])
def test_a_guest_on_another_host_cannot_take_the_frames_of_a_port_here(hosts: Hosts, number: int, *, is_secured: bool) -> None:
    """A port on host two, without port security, sends with the MAC of g1, whether host one learns from there or not."""
    thief = port(number, NET, "10.0.0.13", is_secured=False)
    hosts.know((*PLACES, PortPlace(mac=thief.mac, tunnel_ip=TWO, is_secured=is_secured)))
    assert hosts.pings()[0]
    assert hosts.two.request("prepare", server(number, network(1, peers=(ONE,)), thief)) is None
    try:
        guest = hosts.two.plug("thief", thief, mac=PORTS[0].mac)
        guest.run("ip addr add 10.0.0.13/24 dev eth0; ping -n -c 1 -W 1 10.0.0.99; true")
        assert f"{PORTS[0].mac} master" not in hosts.entries()
        hosts.two.sh("ip netns del thief")
    finally:
        hosts.two.request("release", server(number, NET).server_id, fence=2)


def test_a_port_that_is_gone_has_no_entry(hosts: Hosts) -> None:
    hosts.know()
    hosts.change(gone=(PORTS[1].mac,))
    assert PORTS[1].mac not in hosts.entries()
    assert hosts.pings() == (False, 0)
    hosts.change(PLACES[1])
    assert hosts.pings() == (True, 0)


def test_entries_that_somebody_else_changed_are_made_right(hosts: Hosts) -> None:
    """One that is to go is gone already, and another has lost its half in the bridge."""
    hosts.know((*PLACES, PortPlace(mac="fa:16:3e:00:00:77", tunnel_ip=BYSTANDER)))
    device = names.overlay_name(NET.id)
    hosts.one.sh(f"bridge fdb del fa:16:3e:00:00:77 dev {device} dst {BYSTANDER} self; bridge fdb del {PORTS[1].mac} dev {device} master")
    hosts.change(gone=("fa:16:3e:00:00:77",))
    assert hosts.entries().count(PORTS[1].mac) == 2
    assert "fa:16:3e:00:00:77" not in hosts.entries()
    assert hosts.pings() == (True, 0)


def altered(hosts: Hosts) -> list[str]:
    """The networks whose entries somebody else has changed on host one, as its worker answers the audit."""
    findings = hosts.one.request("audit", after="")["found"]["findings"]
    return [one["resource"] for one in findings if one["kind"] == FORWARDING_ENTRIES]


def test_the_audit_finds_entries_that_somebody_else_changed_and_the_next_repair_makes_them_right(hosts: Hosts) -> None:
    hosts.know()
    assert hosts.one.request("audit", after="")["forwarding"] == {NET.id: hosts.revision}
    assert altered(hosts) == []
    hosts.one.sh(f"bridge fdb del {PORTS[1].mac} dev {names.overlay_name(NET.id)} dst {TWO} self")
    assert altered(hosts) == altered(hosts) == [NET.id]
    assert hosts.one.request("resync") is None
    assert altered(hosts) == []
    assert hosts.pings() == (True, 0)


def test_a_vxlan_device_that_is_gone_is_found_and_made_again_with_its_entries(hosts: Hosts) -> None:
    hosts.know()
    hosts.one.sh(f"ip link del {names.overlay_name(NET.id)}")
    found = hosts.one.request("audit", after="")["found"]["findings"]
    assert [one["kind"] for one in found] == [NETWORK_NOT_MADE]
    assert names.overlay_name(NET.id) in found[0]["problem"]
    assert hosts.one.request("resync") is None
    assert hosts.one.request("audit", after="")["found"]["findings"] == []
    assert hosts.pings() == (True, 0)


def test_while_a_port_elsewhere_is_not_secured_unknown_macs_are_flooded(hosts: Hosts) -> None:
    hosts.know()
    hosts.change(PortPlace(mac="fa:16:3e:00:00:77", tunnel_ip=BYSTANDER, is_secured=False), gone=(PORTS[1].mac,))
    assert hosts.pings() == (True, 1)
    hosts.change(PLACES[1], gone=("fa:16:3e:00:00:77",))
    assert hosts.pings() == (True, 0)


def test_a_port_that_comes_to_the_host_has_no_entry_whatever_the_rows_still_say(hosts: Hosts) -> None:
    hosts.know()
    coming = port(4, NET, "10.0.0.14")
    hosts.change(PortPlace(mac=coming.mac, tunnel_ip=TWO))
    assert f"{coming.mac} dst {TWO}" in hosts.entries()
    assert hosts.one.request("prepare", server(4, network(1, peers=(TWO, BYSTANDER)), coming)) is None
    assert coming.mac not in hosts.entries()
    hosts.one.request("release", server(4, NET).server_id, fence=2)
    hosts.know()
    assert coming.mac not in hosts.entries()


def test_traffic_goes_on_while_the_worker_is_down_and_after_it_is_back(hosts: Hosts) -> None:
    hosts.know()
    hosts.one.kill_worker()
    assert hosts.pings() == (True, 0)
    hosts.one.start_worker()
    assert hosts.pings() == (True, 1), "what it knew may have changed meanwhile"
    hosts.know()
    assert hosts.pings() == (True, 0)
