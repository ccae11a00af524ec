# SPDX-License-Identifier: Apache-2.0
"""Floating addresses on a real kernel: packets from outside the host reach the guest, and its own leave as it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.network import names
from nova_lite.rpc.network import Floating, Port, Rule, ServerPorts
from tests.support.system.network_lab import (
    NET,
    OUT,
    PING,
    SSH,
    WORLD,
    Guest,
    Lab,
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
OTHER = network(2)
FLOATING, SECOND = "172.24.4.50", "172.24.4.51"
RULES = (OUT, PING, SSH)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running(tmp_path) as made:
        made.add_world()
        made.sh("ip -n world route add 172.24.4.0/24 via 203.0.113.254")
        yield made


def plan(floating: str | None = FLOATING, *, number: int = 1, on: object = NET, rules: tuple[Rule, ...] = RULES) -> ServerPorts:
    """A server with a port at 10.0.0.11, to which the floating address leads."""
    net = NET if on is NET else OTHER
    leads = () if floating is None else (Floating(address=floating, fixed_address="10.0.0.11"),)
    only = dataclasses.replace(port(number, net, "10.0.0.11", groups=(group(number).id,)), floating=leads)
    return server(number, net, only, groups=(group(number, *rules),))


def started(lab: Lab, wanted: ServerPorts, name: str = "g1") -> Guest:
    assert lab.request("prepare", wanted) is None
    only: Port = wanted.ports[0]
    guest = lab.plug(name, only)
    assert guest.dhcp()
    return guest


def pinged(lab: Lab, address: str) -> bool:
    """Whether the world's ping comes back."""
    return "1 received" in lab.sh(f"ip netns exec world ping -n -c 1 -W 1 {address}", check=False)


def fetched(lab: Lab, address: str, number: int) -> str:
    return lab.sh(
        f"ip netns exec world socat -T 2 -u TCP:{address}:{number},connect-timeout=1 - 2>/dev/null", check=False).strip()


def test_the_world_reaches_a_guest_by_its_floating_address(lab: Lab) -> None:
    started(lab, plan())
    lab.listen("g1", 22)

    assert pinged(lab, FLOATING)
    assert fetched(lab, FLOATING, 22) == WORLD  # the guest sees the client


def test_security_groups_hold_for_floating_addresses(lab: Lab) -> None:
    started(lab, plan(rules=(OUT, SSH)))
    lab.listen("g1", 80)
    lab.listen("g1", 22)

    assert not pinged(lab, FLOATING)
    assert fetched(lab, FLOATING, 80) == ""
    assert fetched(lab, FLOATING, 22) == WORLD


def test_the_guest_leaves_as_its_floating_address_and_as_the_host_without_it(lab: Lab) -> None:
    guest = started(lab, plan())
    lab.listen("world", 8080)

    assert guest.fetch(WORLD, 8080) == FLOATING
    lab.request("refresh", plan(None))
    assert guest.fetch(WORLD, 8080) == "203.0.113.254"


def test_a_floating_address_moves_at_once(lab: Lab) -> None:
    started(lab, plan())
    assert pinged(lab, FLOATING)

    lab.request("refresh", plan(SECOND))

    assert not pinged(lab, FLOATING)
    assert pinged(lab, SECOND)


def test_it_moves_to_another_guest_of_the_host_that_gets_it_before_the_first_has_lost_it(lab: Lab) -> None:
    """One conductor's requests about two servers come in any order."""
    started(lab, plan())
    only = dataclasses.replace(
        port(2, NET, "10.0.0.12", groups=(group(2).id,)), floating=(Floating(address=FLOATING, fixed_address="10.0.0.12"),))
    started(lab, server(2, NET, only, groups=(group(2, *RULES),)), "g2")
    lab.listen("g2", 22)

    lab.request("refresh", plan(None))

    assert pinged(lab, FLOATING)
    assert fetched(lab, FLOATING, 22) == WORLD


def test_guests_of_two_networks_with_equal_ranges_have_one_each_and_reach_each_other_by_it(lab: Lab) -> None:
    first, second = started(lab, plan()), started(lab, plan(SECOND, number=2, on=OTHER), "g2")
    lab.listen("g2", 22)

    assert pinged(lab, FLOATING)
    assert pinged(lab, SECOND)
    assert first.fetch(SECOND, 22) == FLOATING
    assert second.reaches(FLOATING)


def test_another_guest_reaches_a_guest_by_its_floating_address(lab: Lab) -> None:
    started(lab, plan())
    third = port(3, NET, "10.0.0.13", groups=(group(1).id,))
    lab.request("prepare", server(3, NET, third, groups=(group(1, *RULES),)))
    other = lab.plug("g3", third)
    assert other.dhcp()

    assert other.reaches(FLOATING)


def test_nothing_of_it_is_left_when_the_server_is_released(lab: Lab) -> None:
    started(lab, plan())
    lab.request("release", uuid(1, "b"), fence=2)

    assert FLOATING not in lab.sh("ip route; nft list ruleset")
    assert FLOATING not in lab.sh(f"ip netns exec {names.namespace_name(NET.id)} nft list ruleset")
    assert not pinged(lab, FLOATING)


def test_it_leads_on_after_the_worker_was_killed(lab: Lab) -> None:
    started(lab, plan())
    lab.kill_worker()
    assert pinged(lab, FLOATING)
    lab.start_worker()
    assert pinged(lab, FLOATING)


def test_a_cut_prepare_is_finished_when_it_is_requested_again(lab: Lab) -> None:
    lab.kill_worker()
    lab.start_worker(failpoints="network.prepare.floating=crash")
    with pytest.raises(WorkerDied):
        lab.request("prepare", plan())
    lab.start_worker()
    started(lab, plan())
    assert pinged(lab, FLOATING)


def test_the_host_answers_arp_for_it_on_the_external_link(tmp_path: Path) -> None:
    with running(tmp_path, options=("external_interface = ext",)) as lab:
        lab.add_world()
        lab.sh("ip -n world addr add 172.24.4.1/24 dev eth0; ip addr add 172.24.4.254/24 dev ext")
        started(lab, plan())
        assert pinged(lab, FLOATING)
        lab.request("refresh", plan(None))
        lab.sh("ip -n world neigh flush all")
        assert not pinged(lab, FLOATING)
