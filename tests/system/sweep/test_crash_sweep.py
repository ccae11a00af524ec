# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of build and delete, on real libvirt: each server ends as requested, with nothing left over."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.support.system.own_host import cloud_of_real_guests

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

# Reached only by the first server of a network on its host.
NETWORK_POINTS = [f"network.prepare.{step}" for step in ("namespace", "links", "dhcp", "filters", "metadata")]
BUILD_POINTS = [
    *points("create"), "scheduler.claimed", "network.prepare.record", "network.prepare.done",
    *(f"build.{step}.before" for step in ("record", "fetch_image", "make_disks", "make_config_drive", "finish")),
]
DELETE_POINTS = [
    *points("delete"),
    *(f"destroy.{step}.before" for step in ("tombstone", "record", "guest", "disks", "finish")),
    *(f"network.release.{step}" for step in ("tombstone", "filters", "record")),
]
# An address of the network other than its gateway's, or a port's tap.
_OF_A_PORT = re.compile(r'10\.77\.0\.(?!1\b)(?!0/)\d+|"tap[0-9a-f][0-9a-f-]+"')


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("sweep"), options="[conductor]\nreconcile_interval = 1\n") as made:
        yield made


@pytest.fixture(scope="module")
def image(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight MiB of nothing: the domain starts, and what runs in it does not matter here."""
    path = tmp_path_factory.mktemp("image") / "blank"
    path.write_bytes(b"\0" * 2**23)
    return cloud.make_image(path, "raw")


@pytest.fixture(scope="module")
def network(cloud: AllInOne) -> str:
    return cloud.make_network("sweep", "10.77.0.0/24")


def leftovers(cloud: AllInOne) -> dict[str, object]:
    """Everything on the host and in the rows that belongs to some server, when there should be none."""
    assert cloud.host is not None
    run = cloud.host.run
    with sqlite3.connect(f"file:{cloud.state}/nova-lite.sqlite?mode=ro", uri=True) as rows:
        found: dict[str, object] = {
            table: count for table, query in {
                "claims": "SELECT count(*) FROM claims", "ports": "SELECT count(*) FROM ports",
                "addresses": "SELECT count(*) FROM addresses",
                "servers": "SELECT count(*) FROM servers WHERE deleted_at IS NULL",
                "actions": "SELECT count(*) FROM actions WHERE state IN ('queued', 'running', 'undoing')",
                "sums": "SELECT sum(vcpus_claimed + ram_mb_claimed + disk_gb_claimed + servers_claimed) FROM hosts",
            }.items() if (count := rows.execute(query).fetchone()[0])}
    found["domains"] = run(["virsh", "-q", "list", "--all", "--name"]).stdout.split()
    found["taps"] = [line for line in run(["ip", "-br", "link"]).stdout.splitlines() if line.startswith("tap")]
    found["rules"] = _OF_A_PORT.findall(run(["nft", "list", "ruleset"]).stdout)
    instances = cloud.state / "instances"
    found["disks"] = [entry.name for entry in instances.iterdir() if not entry.name.startswith(("_base", "."))]
    found["leases"] = [path for path in (cloud.state / "network" / "dhcp").rglob("*") if path.is_file() and "fa:16:3e" in path.read_text()]
    found["records"] = [*(cloud.state / "network" / "servers").glob("*.json"), *(cloud.state / "compute" / "guests").iterdir()]
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("point", BUILD_POINTS)
def test_a_build_that_is_killed_ends_active(cloud: AllInOne, image: str, network: str, point: str) -> None:
    server_id = cloud.boot("swept", image=image, network=network, crash_at=point, config_drive=True)
    cloud.wait_for_status(server_id, "ACTIVE")
    assert cloud.host is not None
    assert len(cloud.host.run(["virsh", "-q", "list", "--name"]).stdout.split()) == 1
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)


@pytest.mark.parametrize("point", NETWORK_POINTS)
def test_a_build_that_is_killed_while_its_network_is_made_ends_active(cloud: AllInOne, image: str, point: str) -> None:
    fresh = cloud.make_network("fresh", "10.77.0.0/24")
    test_a_build_that_is_killed_ends_active(cloud, image, fresh, point)
    cloud.request("DELETE", f"/network/v2.0/networks/{fresh}")
    cloud.wait(lambda: not of_network(cloud, fresh), f"network {fresh} to go, but there is {of_network(cloud, fresh)}", seconds=30)


def of_network(cloud: AllInOne, network: str) -> list[str]:
    """The host's devices and namespaces of the network."""
    assert cloud.host is not None
    seen = cloud.host.run(["ip", "-br", "link"]).stdout + cloud.host.run(["ip", "netns"]).stdout
    return [line for line in seen.splitlines() if network[:11] in line]


@pytest.mark.parametrize("point", DELETE_POINTS)
def test_a_delete_that_is_killed_ends_with_nothing_left(cloud: AllInOne, image: str, network: str, point: str) -> None:
    server_id = cloud.boot("swept", image=image, network=network)
    cloud.wait_for_status(server_id, "ACTIVE")
    cloud.crash_at(point, "DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)
