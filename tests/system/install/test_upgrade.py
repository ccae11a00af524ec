# SPDX-License-Identifier: Apache-2.0
"""The network worker takes over a host as release 0.1 left it, with guests on it that go on.

What 0.1 ran and wrote there was recorded; that its actions and rows go on is in tests/migrations.
"""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.network import names
from tests.support.system.network_lab import NET, WORLD, Guest, Lab, needs_programs, port, uuid
from tests.support.wait import wait_until

pytestmark = needs_programs
_HERE = Path(__file__).parent
TUNNEL, FLOATING = "192.0.2.1", "172.24.4.50"
PORTS = tuple(port(number, NET, f"10.0.0.1{number}") for number in (1, 2))


@dataclasses.dataclass(frozen=True)
class Upgraded:
    """The host after the take-over. `traffic`: what pings printed that went on meanwhile. `before`: what worked with 0.1."""

    lab: Lab
    guests: tuple[Guest, ...]
    traffic: dict[str, str]
    before: dict[str, bool]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    lab = Lab(tmp_path_factory.mktemp("upgraded"), options=("mtu = 1450", f"tunnel_ip = {TUNNEL}"))
    try:
        lab.add_world()
        lab.sh(f"ip link add ul type veth peer name far; ip addr add {TUNNEL}/24 dev ul; ip link set ul up; ip link set far up")
        guests = _as_release_0_1_leaves_it(lab)
        before = {"host": guests[0].reaches(TUNNEL), "dhcp": guests[0].dhcp().startswith("10.0.0.11/24")}
        traffic = _upgrade(lab, {"guest to guest": (guests[0].name, "10.0.0.12"), "guest to the outside": (guests[1].name, WORLD),
                                 "host to floating address": (None, FLOATING)})
        yield Upgraded(lab, guests, traffic, before)
    finally:
        lab.close()


def _as_release_0_1_leaves_it(lab: Lab) -> tuple[Guest, ...]:
    state = lab.directory / "state"
    for name, text in json.loads((_HERE / "release_0_1_network.json").read_text()).items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text(text)
    lab.sh(f"sh {_HERE}/release_0_1_network.sh {state}")
    guests = tuple(lab.plug(f"g{number}", plug) for number, plug in enumerate(PORTS, start=1))
    assert all(guest.dhcp() for guest in guests)
    return guests


def _upgrade(lab: Lab, pings: dict[str, tuple[str | None, str]]) -> dict[str, str]:
    """Start the worker of this release, and a ping ten times a second from each namespace to the address; what these print."""
    logs, running = {}, []
    for number, (name, (namespace, address)) in enumerate(pings.items()):
        logs[name] = lab.directory / f"ping{number}"
        where = ("ip", "netns", "exec", namespace) if namespace else ()
        running.append(lab.spawn(*where, "sh", "-c", f"exec ping -n -i 0.1 {address} > {logs[name]}"))
    _wait_for_replies(logs, 5)
    lab.start_worker()
    _wait_for_replies(logs, 5)
    for ping in running:
        ping.send_signal(signal.SIGINT)
        ping.wait(timeout=20)
    return {name: log.read_text() for name, log in logs.items()}


def _replies(log: str) -> list[int]:
    return [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", log)]


def _wait_for_replies(logs: dict[str, Path], more: int) -> None:
    then = {name: len(_replies(log.read_text())) for name, log in logs.items() if log.exists()}
    wait_until(lambda: all(log.exists() and len(_replies(log.read_text())) >= then.get(name, 0) + more for name, log in logs.items()),
               "replies")


@pytest.mark.parametrize("way", ["guest to guest", "guest to the outside", "host to floating address"])
def test_no_packet_is_lost(upgraded: Upgraded, way: str) -> None:
    answered = _replies(upgraded.traffic[way])
    assert answered == list(range(1, len(answered) + 1))


def test_the_host_is_closed_to_guests_that_reached_it(upgraded: Upgraded) -> None:
    assert upgraded.before["host"]
    assert not upgraded.guests[0].reaches(TUNNEL)


def test_a_guest_keeps_its_address_and_finds_its_metadata(upgraded: Upgraded) -> None:
    assert upgraded.before["dhcp"]
    assert [guest.dhcp().split()[0] for guest in upgraded.guests] == ["10.0.0.11/24", "10.0.0.12/24"]
    assert [guest.metadata("who") for guest in upgraded.guests] == ["server 1", "server 2"]


def test_the_root_dnsmasq_and_the_filters_of_release_0_1_are_gone(upgraded: Upgraded) -> None:
    users = upgraded.lab.sh(f"ps -o user= -p $(ip netns pids {names.namespace_name(NET.id)} | paste -sd,)").split()
    assert users
    assert "root" not in users
    assert re.findall("table (?:inet|bridge) nova\n", upgraded.lab.sh("nft list tables")) == []


def test_nothing_is_left_once_the_servers_and_the_network_are_deleted(upgraded: Upgraded) -> None:
    """The last test: it takes the guests away."""
    lab = upgraded.lab
    for number, guest in enumerate(upgraded.guests, start=1):
        lab.sh(f"ip netns del {guest.name}")
        assert lab.request("release", uuid(number, "b"), fence=200) is None
    assert lab.request("remove_network", NET.id) is None
    left = lab.inventory()
    assert left["links"] == ["ext", "far", "lo", "ul"]
    assert left["namespaces"] == ["world"]
    assert left["dnsmasq"] == []
    assert "100.64" not in left["routes"]
    assert "172.24" not in left["routes"]
    assert [path for path in left["state"] if not path.endswith("/network/host")] == []
