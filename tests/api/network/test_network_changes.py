# SPDX-License-Identifier: Apache-2.0
"""PUT of network resources, field by field; quota details, agents and subnet pools."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.hosts.hosts import Service
from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS

NOWHERE = "11111111-2222-3333-4444-555555555555"
# Fields that may be changed, each with a value that differs from the default.
NETWORK = {"name": "n2", "description": "d2", "port_security_enabled": False}
SUBNET = {"name": "s2", "description": "d2", "enable_dhcp": False, "dns_nameservers": ["10.0.0.53"],
          "allocation_pools": [{"start": "10.0.0.10", "end": "10.0.0.20"}], "gateway_ip": "10.0.0.254"}
PORT = {"name": "p2", "description": "d2", "fixed_ips": [{"ip_address": "10.0.0.77"}], "mac_address": "fa:16:3e:00:00:77",
        "security_groups": [], "port_security_enabled": False}
ROUTER = {"name": "r2", "description": "d2"}
GROUP = {"name": "g2", "description": "d2"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


@pytest.fixture
def ids(cloud: NetworkCloud) -> dict[str, str]:
    """Ids of one resource of each type, of alice's project."""
    network_id, subnet_id = cloud.network(name="n1")
    group = cloud.request("POST", "/security-groups", {"security_group": {"name": "g1"}})
    assert group.status == 201
    return {
        "network": network_id, "subnet": subnet_id, "security_group": group.body["security_group"]["id"],
        "port": cloud.create("port", network_id=network_id).body["id"], "router": cloud.create("router", name="r1").body["id"]}


def put(cloud: NetworkCloud, resource: str, resource_id: str, fields: dict[str, Any], *, user: str = "alice") -> Any:
    routes = {
        "network": ("PUT", f"/networks/{resource_id}"), "subnet": ("PUT", f"/subnets/{resource_id}"),
        "port": ("PUT", f"/ports/{resource_id}"), "router": ("PUT", f"/routers/{resource_id}"),
        "security_group": ("PUT", f"/security-groups/{resource_id}"),
    }
    return cloud.request(*routes[resource], {resource: fields}, user=user)


def show(cloud: NetworkCloud, resource: str, resource_id: str) -> Any:
    return cloud.get(f"/{resource.replace('_', '-')}s/{resource_id}").body[resource]


def as_shown(name: str, value: Any, subnet_id: str) -> Any:
    return [{"subnet_id": subnet_id, **one} for one in value] if name == "fixed_ips" else value


@pytest.mark.parametrize(("resource", "fields"), [
    ("network", NETWORK), ("subnet", SUBNET), ("port", PORT), ("router", ROUTER), ("security_group", GROUP)])
def test_each_field_is_changed_without_changing_others(
    cloud: NetworkCloud, ids: dict[str, str], resource: str, fields: dict[str, Any]
) -> None:
    before = show(cloud, resource, ids[resource])
    for name, value in fields.items():
        expected = as_shown(name, value, ids["subnet"])
        assert before[name] != expected, f"{name} is not a change"
        answer = put(cloud, resource, ids[resource], {name: value})
        assert answer.status == 200, (name, answer.body)
        after = show(cloud, resource, ids[resource])
        assert answer.body[resource] == after
        assert after[name] == expected, name
        changed = {key for key in after if after[key] != before[key]} - {"updated_at", "revision_number", name}
        assert not changed, f"{name} changed {changed} too"
        before = after


@pytest.mark.parametrize("resource", ["network", "subnet", "port", "router", "security_group"])
def test_updates_of_other_projects_or_unknown_resources_are_answered_404(cloud: NetworkCloud, ids: dict[str, str], resource: str) -> None:
    assert put(cloud, resource, ids[resource], {"name": "mine"}, user="bob").status == 404
    assert put(cloud, resource, NOWHERE, {"name": "mine"}).status == 404
    assert put(cloud, resource, ids[resource], {"name": "mine"}, user="reader").status == 403
    assert show(cloud, resource, ids[resource])["name"] != "mine"


@pytest.mark.parametrize(("resource", "fields", "status", "word"), [
    ("network", {"tenant_id": "b" * 32}, 400, "tenant_id"), ("network", {"name": 7}, 400, "name"),
    ("network", {"mtu": 1400}, 400, "mtu"), ("network", {"shared": True}, 403, "shared"),
    ("network", {"router:external": True}, 403, "router:external"), ("network", {"admin_state_up": False}, 400, "admin_state_up"),
    ("subnet", {"cidr": "10.9.0.0/24"}, 400, "cidr"), ("subnet", {"gateway_ip": "10.9.0.1"}, 400, "gateway_ip"),
    ("subnet", {"allocation_pools": [{"start": "10.9.0.1", "end": "10.9.0.2"}]}, 400, "pool"),
    ("port", {"device_id": NOWHERE}, 400, "device_id"), ("port", {"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 400, "10.9.0.1"),
    ("port", {"security_groups": [NOWHERE]}, 404, NOWHERE), ("port", {"mac_address": "no"}, 400, "mac_address"),
    ("router", {"external_gateway_info": {"network_id": NOWHERE}}, 404, NOWHERE), ("router", {"ha": True}, 400, "ha"),
    ("security_group", {"name": "default"}, 409, "default"), ("security_group", {"stateful": False}, 400, "stateful"),
])
def test_an_invalid_update_is_refused_with_the_fields_name_and_changes_nothing(
    cloud: NetworkCloud, ids: dict[str, str], resource: str, fields: dict[str, Any], status: int, word: str
) -> None:
    before = show(cloud, resource, ids[resource])
    answer = put(cloud, resource, ids[resource], {**fields, **({} if "name" in fields else {"name": "other"})})
    assert (answer.status, word in answer.fault) == (status, True), answer.body
    assert show(cloud, resource, ids[resource]) == before


def test_a_servers_host_receives_an_updated_port_and_subnet(cloud: NetworkCloud, ids: dict[str, str]) -> None:
    port_id = cloud.boot("s1", ids["network"])
    assert put(cloud, "port", port_id, {"security_groups": [ids["security_group"]]}).status == 200
    cloud.eventually(lambda: cloud.records.servers["s1"].ports[0].group_ids == (ids["security_group"],))
    assert put(cloud, "subnet", ids["subnet"], {"dns_nameservers": ["10.0.0.53"]}).status == 200
    cloud.eventually(lambda: "10.0.0.53" in str(cloud.records.networks[ids["network"]]))


def test_a_new_group_allows_all_egress_and_no_ingress(cloud: NetworkCloud) -> None:
    made = cloud.request("POST", "/security-groups", {"security_group": {"name": "g", "description": "d"}})
    assert made.status == 201
    group = made.body["security_group"]
    assert (group["name"], group["description"], group["project_id"]) == ("g", "d", PROJECTS["alice"])
    assert {rule["direction"] for rule in group["security_group_rules"]} == {"egress"}
    assert cloud.request("POST", "/security-groups", {"security_group": {"name": "default"}}).status == 409
    assert cloud.request("POST", "/security-groups", {"security_group": {}}).status == 400
    assert cloud.request("POST", "/security-groups", {"security_group": {"name": "g"}}, user="reader").status == 403


def test_quota_details_count_the_projects_resources(cloud: NetworkCloud, ids: dict[str, str]) -> None:
    path = f"/quotas/{PROJECTS['alice']}"
    plain = cloud.get(path).body["quota"]
    for detailed in (cloud.get(f"/quotas/{PROJECTS['alice']}/details"), cloud.get(f"/quotas/{PROJECTS['alice']}/details.json")):
        assert detailed.status == 200
        quota = detailed.body["quota"]
        assert {name: one["limit"] for name, one in quota.items()} == plain
        assert {name: quota[name]["used"] for name in ("network", "subnet", "port", "router", "floatingip")} == {
            "network": 1, "subnet": 1, "port": 1, "router": 1, "floatingip": 0}
        assert quota["security_group"]["used"] == 2, "the default group and its own"
    assert cloud.get(f"/quotas/{PROJECTS['alice']}/details", user="bob").status == 404
    assert cloud.get(f"/quotas/{PROJECTS['alice']}/details", user="admin").body["quota"]["network"]["used"] == 1


@pytest.mark.parametrize(("ahead", "heard_ahead", "is_alive"), [(1, 1, True), (1, 0, False), (0, 1, False)])
def test_an_agent_is_alive_by_the_clock_of_the_database(cloud: NetworkCloud, ahead: int, heard_ahead: int, is_alive: bool) -> None:
    """Both in hours ahead of the process: the database's clock, and the agent's heartbeat."""
    cloud.database.clock = lambda: utcnow() + datetime.timedelta(hours=ahead)
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).values(seen_at=utcnow() + datetime.timedelta(hours=heard_ahead)))
    listed = cloud.get("/agents", user="admin").body["agents"]
    shown = cloud.get(f"/agents/{listed[0]['id']}", user="admin").body["agent"]
    assert [listed[0]["alive"], shown["alive"]] == [is_alive] * 2


def test_agents_are_shown_to_admins_only(cloud: NetworkCloud) -> None:
    (listed,) = cloud.get("/agents", user="admin").body["agents"]
    shown = cloud.get(f"/agents/{listed['id']}", user="admin")
    assert (shown.status, shown.body) == (200, {"agent": listed})
    assert (listed["binary"], listed["host"]) == ("nova-network", "host-a")
    assert cloud.get(f"/agents/{listed['id']}").status == 404
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", listed["heartbeat_timestamp"])
    assert cloud.get(f"/agents/{NOWHERE}", user="admin").status == 404


def test_there_are_no_subnet_pools(cloud: NetworkCloud) -> None:
    assert cloud.get("/subnetpools").body == {"subnetpools": []}
    missing = cloud.get(f"/subnetpools/{NOWHERE}")
    assert (missing.status, NOWHERE in missing.fault) == (404, True)
