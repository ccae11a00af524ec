# SPDX-License-Identifier: Apache-2.0
"""The openstack client in an operator's hands: hosts, services, zones, limits, and why a server found no room."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.clients.conftest import Cloud


@pytest.fixture
def disabled(cloud: Cloud) -> Iterator[None]:
    """Its one compute host takes no new servers."""
    service = (cloud.host, "nova-compute")
    cloud.admin.openstack("compute", "service", "set", "--disable", "--disable-reason", "new disks", *service)
    yield
    cloud.admin.openstack("compute", "service", "set", "--enable", *service)


def faulty(cloud: Cloud, *words: str) -> dict[str, Any]:
    """A server of alice's that ends in ERROR within seconds, as `server show` has it; it is deleted again."""
    name = f"no-{uuid.uuid4().hex[:6]}"
    said = cloud.alice.refused("server", "create", "--image", "img", "--network", "net", *words, "--wait", name)
    assert name in said
    shown: dict[str, Any] = cloud.alice.json("server", "show", name)
    assert shown["status"] == "ERROR"
    event = cloud.alice.json("server", "event", "list", "--long", name)[0]
    details = cloud.alice.json("server", "event", "show", name, event["Request ID"])["events"]
    cloud.alice.openstack("server", "delete", "--wait", name)
    return {**shown, "event": event, "steps": details}


def test_a_boot_on_a_disabled_host_says_that_an_operator_did_it(cloud: Cloud, disabled: None) -> None:
    shown = faulty(cloud, "--flavor", "small")
    assert "1 host: 1× disabled by an operator" in shown["fault"]["message"]
    assert shown["fault"]["code"] == 500
    row = cloud.admin.json("compute", "service", "list", "--long", "--service", "nova-compute")[0]
    assert (row["Status"], row["State"], row["Disabled Reason"]) == ("disabled", "up", "new disks")


def test_a_boot_without_room_names_each_filters_count_and_the_nearest_fit(cloud: Cloud) -> None:
    cloud.admin.openstack("flavor", "create", "--ram", "9000000", "--disk", "1", "--vcpus", "1", "vast")
    cloud.admin.openstack("quota", "set", "--ram", "-1", "art")
    shown = faulty(cloud, "--flavor", "vast")
    assert "No valid host was found. 1 host: 1× not enough memory" in shown["fault"]["message"]
    assert "Nearest fit" in shown["fault"]["message"]
    assert "9000000" in shown["fault"]["message"]
    step = next(step for step in shown["steps"] if step["event"] == "schedule_instances")
    assert step["result"] == "Error"
    assert "not enough memory" in str(shown["event"]["Message"]) + str(step["details"])
    cloud.admin.openstack("flavor", "delete", "vast")
    cloud.admin.openstack("quota", "set", "--ram", "51200", "art")


def test_hypervisors_say_how_they_run_guests_and_why(cloud: Cloud) -> None:
    listed = cloud.admin.json("hypervisor", "list")
    assert [(row["Hypervisor Hostname"], row["Hypervisor Type"], row["State"]) for row in listed] == [(cloud.host, "fake", "up")]
    shown = cloud.admin.json("hypervisor", "show", cloud.host)
    assert (shown["status"], shown["state"], shown["service_host"]) == ("enabled", "up", cloud.host)
    assert "driver is fake: guests exist in memory only" in shown["load_average"]
    older = cloud.admin.json("--os-compute-api-version", "2.53", "hypervisor", "show", cloud.host)
    assert older["cpu_info"]["virt_reason"] == "[compute] driver is fake: guests exist in memory only"
    assert min(older["vcpus"], older["memory_mb"]) > 0
    assert "403" in cloud.alice.refused("hypervisor", "list")


def test_every_service_is_listed_as_up(cloud: Cloud) -> None:
    rows = cloud.admin.json("compute", "service", "list")
    assert {row["Binary"] for row in rows} >= {"nova-conductor", "nova-scheduler", "nova-compute", "nova-network"}
    assert {(row["Status"], row["State"]) for row in rows} == {("enabled", "up")}


def test_members_see_their_zone_and_operators_its_hosts(cloud: Cloud) -> None:
    zones = cloud.alice.json("availability", "zone", "list", "--compute")
    assert zones == [{"Zone Name": "nova", "Zone Status": "available"}]
    wide = cloud.admin.json("availability", "zone", "list", "--compute", "--long")
    assert (cloud.host, "nova-compute") in {(row["Host Name"], row["Service Name"]) for row in wide if row["Zone Name"] == "nova"}


def test_limits_and_quota_count_a_server_at_once(cloud: Cloud) -> None:
    before = limits(cloud)
    cloud.alice.openstack("server", "create", "--image", "img", "--flavor", "small", "--network", "net", "counted")
    after = limits(cloud)
    grown = {name: after[name] - before[name] for name in ("total_instances_used", "total_cores_used", "total_ram_used")}
    assert grown == {"total_instances_used": 1, "total_cores_used": 1, "total_ram_used": 64}
    quota = {row["Resource"]: row for row in cloud.alice.json("quota", "show", "--usage")}
    assert (quota["instances"]["Limit"], quota["instances"]["In Use"]) == (10, after["total_instances_used"])
    assert quota["ports"]["In Use"] >= 1
    cloud.alice.openstack("server", "delete", "--wait", "counted")
    assert limits(cloud)["total_instances_used"] == before["total_instances_used"]


def test_a_boot_over_quota_is_refused_with_the_numbers(cloud: Cloud) -> None:
    cloud.admin.openstack("quota", "set", "--force", "--cores", "0", "art")
    said = cloud.alice.refused("server", "create", "--image", "img", "--flavor", "small", "--network", "net", "over")
    assert "403" in said
    assert "cores" in said
    cloud.admin.openstack("quota", "set", "--cores", "20", "art")
    assert "over" not in [row["Name"] for row in cloud.alice.json("server", "list")]


def limits(cloud: Cloud) -> dict[str, int]:
    """`openstack limits show --absolute`, by name."""
    return {row["Name"]: row["Value"] for row in cloud.alice.json("limits", "show", "--absolute")}
