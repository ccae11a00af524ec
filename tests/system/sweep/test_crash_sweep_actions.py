# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of NICs, floating addresses, pause, suspend and soft delete, on real libvirt and nftables.

One real guest, which lets go of NICs, goes through all of it; the last test deletes it, and nothing is left.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator

import pytest

from nova_lite.conductor.workflows import WORKFLOWS
from tests.support import boot_sector
from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.support.system.own_host import cloud_of_real_guests
from tests.system.sweep.test_crash_sweep import leftovers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

# Of the worker's points those at which the host is half done; the others are what the conductor's leave, too.
ATTACH_POINTS = [*points("attach_interface"), "attach_interface.guest.before"]
DETACH_POINTS = [*points("detach_interface"), "detach_interface.record.before"]
# Latest first: what one test does last has passed the next one's point.
FLOATING_POINTS = ["network.prepare.done", "network.prepare.floating", "network.prepare.record"]
# An action, where it is killed, and the status that it ends in; in an order in which each leads to the next.
POWER = [("pause", "pause.before", "PAUSED"), ("unpause", "unpause.before", "ACTIVE"),
         ("suspend", "suspend.before", "SUSPENDED"), ("resume", "resume.before", "ACTIVE")]
SETTLE_POINTS = ["soft_delete.before", "soft_delete.settle.before", "soft_delete.settle.after"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    options = "[conductor]\nreconcile_interval = 1\n[compute]\nreclaim_instance_interval = 3600\nshutdown_timeout = 2\n"
    with cloud_of_real_guests(tmp_path_factory.mktemp("actions"), options=options) as made:
        yield made


@pytest.fixture(scope="module")
def networks(cloud: AllInOne) -> tuple[str, str, str]:
    """The server's, behind a router; another for NICs that come and go; and one outside."""
    inside, other = cloud.make_network("sweep", "10.77.0.0/24"), cloud.make_network("other", "10.78.0.0/24")
    outside = cloud.request("POST", "/network/v2.0/networks", {"network": {"name": "outside", "router:external": True}})["network"]["id"]
    cloud.request("POST", "/network/v2.0/subnets", {"subnet": {
        "network_id": outside, "cidr": "203.0.113.0/24", "ip_version": 4, "enable_dhcp": False}})
    router = cloud.request("POST", "/network/v2.0/routers", {"router": {
        "name": "r", "external_gateway_info": {"network_id": outside}}})["router"]["id"]
    subnet = cloud.request("GET", f"/network/v2.0/subnets?network_id={inside}")["subnets"][0]["id"]
    cloud.request("PUT", f"/network/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    return inside, other, outside


@pytest.fixture(scope="module")
def guest(cloud: AllInOne, networks: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server that lets go of NICs; all tests of the module use it, and the last deletes it."""
    image = cloud.make_image(boot_sector.disk_file(tmp_path_factory.mktemp("image")), "raw")
    server_id = cloud.boot("swept", image=image, network=networks[0])
    cloud.wait_for_status(server_id, "ACTIVE")
    cloud.wait(lambda: boot_sector.says(boots=1) in console(cloud, server_id), "the guest to be up", seconds=180)
    return server_id


def console(cloud: AllInOne, server_id: str) -> str:
    return str(cloud.request("POST", f"/v2.1/servers/{server_id}/action", {"os-getConsoleOutput": {}})["output"])


def act(cloud: AllInOne, server_id: str, word: str, value: object = None) -> None:
    cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: value})


def crashing(cloud: AllInOne, point: str | None, method: str, path: str, body: object = None) -> bool:
    """Send the request, with the cloud killed at the point; None: nowhere. Whether it was answered."""
    if point is None:
        cloud.request(method, path, body)
        return True
    return cloud.crash_at(point, method, path, body)


def at_rest(cloud: AllInOne, server_id: str, status: str) -> None:
    def reached() -> bool:
        shown = cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]
        return (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None)

    cloud.wait(reached, f"{status} and no task", seconds=60)


def nics(cloud: AllInOne, server_id: str) -> tuple[int, int, int, int]:
    """How many its API, its rows of ports, its guest and its host's records know."""
    assert cloud.host is not None
    attached = cloud.request("GET", f"/v2.1/servers/{server_id}/os-interface")["interfaceAttachments"]
    ports = cloud.request("GET", f"/network/v2.0/ports?device_id={server_id}")["ports"]
    domain = cloud.host.run(["virsh", "-q", "domiflist", server_id]).stdout.strip().splitlines()
    record = json.loads((cloud.state / "network" / "servers" / f"{server_id}.json").read_text())
    return len(attached), len(ports), len(domain), json.dumps(record).count('"mac"')


@pytest.mark.parametrize(("attach", "detach"), itertools.zip_longest(ATTACH_POINTS, DETACH_POINTS))
def test_an_attach_and_a_detach_that_are_killed_end_as_requested(
    cloud: AllInOne, guest: str, networks: tuple[str, str, str], attach: str | None, detach: str | None
) -> None:
    path = f"/v2.1/servers/{guest}/os-interface"
    crashing(cloud, attach, "POST", path, {"interfaceAttachment": {"net_id": networks[1]}})
    at_rest(cloud, guest, "ACTIVE")
    assert nics(cloud, guest) == (2, 2, 2, 2)
    crashing(cloud, detach, "DELETE", f"{path}/{second(cloud, guest, networks)}")
    at_rest(cloud, guest, "ACTIVE")
    assert nics(cloud, guest) == (1, 1, 1, 1)


def second(cloud: AllInOne, server_id: str, networks: tuple[str, str, str]) -> str:
    """The port that came."""
    attached = cloud.request("GET", f"/v2.1/servers/{server_id}/os-interface")["interfaceAttachments"]
    return next(str(one["port_id"]) for one in attached if one["net_id"] == networks[1])


@pytest.mark.parametrize("point", FLOATING_POINTS)
def test_a_floating_address_that_is_killed_on_its_way_leads_to_the_guest(
    cloud: AllInOne, guest: str, networks: tuple[str, str, str], point: str
) -> None:
    port = cloud.request("GET", f"/network/v2.0/ports?device_id={guest}")["ports"][0]["id"]
    crashing(cloud, point, "POST", "/network/v2.0/floatingips", {"floatingip": {
        "floating_network_id": networks[2], "port_id": port}})
    [made] = cloud.request("GET", f"/network/v2.0/floatingips?port_id={port}")["floatingips"]
    address = made["floating_ip_address"]
    cloud.wait(lambda: leads(cloud, networks[0], address), f"{address} to lead to the guest", seconds=30)
    is_answered = crashing(cloud, point if point == FLOATING_POINTS[-1] else None, "DELETE", f"/network/v2.0/floatingips/{made['id']}")
    if not is_answered and cloud.request("GET", f"/network/v2.0/floatingips?port_id={port}")["floatingips"]:
        # What the process had missed is done again after its start, and passed the point before the request was taken.
        cloud.request("DELETE", f"/network/v2.0/floatingips/{made['id']}")
    cloud.wait(lambda: not leads(cloud, networks[0], address), f"{address} to lead nowhere", seconds=30)
    assert cloud.request("GET", "/network/v2.0/floatingips")["floatingips"] == []


def leads(cloud: AllInOne, network: str, address: str) -> bool:
    """Whether the host's filters translate the address."""
    assert cloud.host is not None
    return address in cloud.host.run(["ip", "netns", "exec", f"nova-{network}", "nft", "list", "ruleset"]).stdout


@pytest.mark.parametrize(("word", "point", "status"), POWER)
def test_power_that_is_killed_ends_as_requested(cloud: AllInOne, guest: str, word: str, point: str, status: str) -> None:
    crashing(cloud, point, "POST", f"/v2.1/servers/{guest}/action", {word: None})
    hasten(cloud)
    at_rest(cloud, guest, status)


def hasten(cloud: AllInOne) -> None:
    """As if `[conductor] action_timeout` had passed: the request to a dead worker is sent again."""
    with contextlib.closing(sqlite3.connect(cloud.state / "nova-lite.sqlite", timeout=20)) as rows, rows:
        rows.execute("UPDATE actions SET updated_at = '2000-01-01 00:00:00.000000' WHERE state = 'queued'")


@pytest.mark.parametrize("point", SETTLE_POINTS)
def test_a_soft_delete_of_a_rescued_server_that_is_killed_ends_off_and_is_restored(
    cloud: AllInOne, guest: str, point: str
) -> None:
    act(cloud, guest, "rescue")
    at_rest(cloud, guest, "RESCUE")
    crashing(cloud, point, "DELETE", f"/v2.1/servers/{guest}")
    hasten(cloud)
    at_rest(cloud, guest, "SOFT_DELETED")
    assert not list((cloud.state / "instances" / guest).glob("disk.rescue"))
    act(cloud, guest, "restore")
    at_rest(cloud, guest, "ACTIVE")


@pytest.mark.parametrize("point", ["waiting_delete.before", "waiting_delete.after"])
def test_a_soft_delete_that_waits_for_a_rescue_and_is_killed_as_it_begins_ends_off(cloud: AllInOne, guest: str, point: str) -> None:
    cloud.arm(f"rescue.{WORKFLOWS['rescue'].steps[0].key}.before=delay:3")
    act(cloud, guest, "rescue")
    crashing(cloud, point, "DELETE", f"/v2.1/servers/{guest}")
    hasten(cloud)
    at_rest(cloud, guest, "SOFT_DELETED")
    act(cloud, guest, "restore")
    at_rest(cloud, guest, "ACTIVE")


def test_a_restore_that_is_killed_ends_active(cloud: AllInOne, guest: str) -> None:
    cloud.request("DELETE", f"/v2.1/servers/{guest}")
    at_rest(cloud, guest, "SOFT_DELETED")
    crashing(cloud, "restore.before", "POST", f"/v2.1/servers/{guest}/action", {"restore": None})
    hasten(cloud)
    at_rest(cloud, guest, "ACTIVE")


def test_a_forced_delete_of_a_soft_deleted_server_that_is_killed_leaves_nothing(cloud: AllInOne, guest: str) -> None:
    """The last: the steps of a delete are swept by themselves."""
    cloud.request("DELETE", f"/v2.1/servers/{guest}")
    at_rest(cloud, guest, "SOFT_DELETED")
    crashing(cloud, "delete.destroy_guest.after", "POST", f"/v2.1/servers/{guest}/action", {"forceDelete": None})
    cloud.wait_for_status(guest, "GONE")
    [router] = cloud.request("GET", "/network/v2.0/routers")["routers"]
    [port] = cloud.request("GET", f"/network/v2.0/ports?device_owner=network:router_interface&device_id={router['id']}")["ports"]
    cloud.request("PUT", f"/network/v2.0/routers/{router['id']}/remove_router_interface", {"port_id": port["id"]})
    cloud.request("DELETE", f"/network/v2.0/routers/{router['id']}")
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)
