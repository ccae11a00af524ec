# SPDX-License-Identifier: Apache-2.0
"""Two clouds on one host's network stack: each has filters, links and networks of its own, and leaves the other's alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.network import names
from tests.support.system.network_lab import (
    NET,
    OUT,
    PING,
    WORLD,
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
OTHER = network(2)


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    """Two workers on one host, each with a state directory of its own."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "a") as first, running(tmp_path / "b", beside=first) as second:
        yield first, second


@pytest.fixture
def guests(clouds: tuple[Lab, Lab]) -> tuple[Guest, Guest]:
    """A guest of each cloud that lets pings in, with the same address."""
    made = []
    for number, (lab, on) in enumerate(zip(clouds, (NET, OTHER), strict=True), start=1):
        only = port(number, on, "10.0.0.11", groups=(group(number).id,))
        assert lab.request("prepare", server(number, on, only, groups=(group(number, OUT, PING),))) is None
        made.append(lab.plug(f"g{number}", only))
    for guest in made:
        assert guest.dhcp()
    return made[0], made[1]


def works(guest: Guest, number: int) -> bool:
    """Whether the guest has its gateway, its own metadata and the way out."""
    return guest.reaches("10.0.0.1") and guest.metadata("who") == f"server {number}" and guest.fetch(WORLD, 8080) == "203.0.113.254"


def test_guests_of_both_clouds_work_whichever_changes_the_filters_last(
    clouds: tuple[Lab, Lab], guests: tuple[Guest, Guest]
) -> None:
    clouds[0].add_world()
    clouds[0].listen("world", 8080)
    for lab in clouds:
        lab.kill_worker()
        lab.start_worker()
        assert lab.request("resync") is None
        assert [works(guest, number) for number, guest in enumerate(guests, start=1)] == [True, True]


def test_filters_hold_in_both_clouds(clouds: tuple[Lab, Lab], guests: tuple[Guest, Guest]) -> None:
    for number, (lab, on) in enumerate(zip(clouds, (NET, OTHER), strict=True), start=1):
        closed = port(number + 2, on, "10.0.0.12", groups=(group(number + 2).id,))
        assert lab.request("prepare", server(number + 2, on, closed, groups=(group(number + 2, OUT),))) is None
        assert lab.plug(f"closed{number}", closed).dhcp()
    assert [guest.reaches("10.0.0.12") for guest in guests] == [False, False]
    for guest in guests:
        guest.run("ip addr flush dev eth0; ip addr add 10.0.0.66/24 dev eth0")
        assert not guest.reaches("10.0.0.1"), "an address that is not the guest's own"


def test_links_and_conntrack_zones_differ(clouds: tuple[Lab, Lab], guests: tuple[Guest, Guest]) -> None:
    uplinks = [clouds[0].sh(f"ip -br -4 addr show {names.uplink_name(on.id)}").split()[2] for on in (NET, OTHER)]
    assert len(set(uplinks)) == 2
    assert guests[0].reaches("10.0.0.1")
    assert guests[1].reaches("10.0.0.1")
    zones = clouds[0].sh("conntrack -L 2>/dev/null")
    assert "zone=1" in zones
    assert "zone=2" in zones


def test_one_cloud_that_goes_leaves_the_other_as_it_is(clouds: tuple[Lab, Lab], guests: tuple[Guest, Guest]) -> None:
    clouds[1].add_world()
    clouds[1].listen("world", 8080)
    clouds[0].request("remove_all")
    assert works(guests[1], 2)
    assert OTHER.id in clouds[1].sh("ip netns")
    assert NET.id not in clouds[1].sh("ip netns")


def test_filters_of_release_0_1_are_replaced_where_they_are_this_clouds(tmp_path: Path) -> None:
    with running(tmp_path) as lab:
        only = port(1, NET, "10.0.0.11", groups=(group(1).id,))
        lab.request("prepare", server(1, NET, only, groups=(group(1, OUT, PING),)))
        guest = lab.plug("g1", only)
        lab.kill_worker()
        bridge = names.bridge_name(NET.id)
        drop_all = '{ type filter hook prerouting priority -300; iifname "tap*" drop; }'
        lab.sh(f"""nft \'add table inet nova; add set inet nova bridges {{ type ifname; elements = {{ "{bridge}" }}; }};
               add table bridge nova; add chain bridge nova from_guest {drop_all}\'""")
        lab.start_worker()
        assert guest.dhcp()
        assert "table bridge nova\n" not in lab.sh("nft list tables")


def test_filters_of_release_0_1_of_another_cloud_are_left_alone(tmp_path: Path) -> None:
    with running(tmp_path) as lab:
        lab.kill_worker()
        lab.sh("ip link add br-foreign type bridge")
        lab.sh("""nft \'add table inet nova; add set inet nova bridges { type ifname; elements = { "br-foreign" }; }\'""")
        lab.start_worker()
        assert "table inet nova\n" in lab.sh("nft list tables")
