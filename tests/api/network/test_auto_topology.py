# SPDX-License-Identifier: Apache-2.0
"""/auto-allocated-topology: a project without networks gets one with one request, and deletes it with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS

TOPOLOGY = f"/auto-allocated-topology/{PROJECTS['alice']}"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


def test_a_network_is_created_once_with_a_router_to_the_external_one(cloud: NetworkCloud) -> None:
    public = cloud.create("network", user="admin", **{"router:external": True}).body["id"]
    cloud.create("subnet", user="admin", network_id=public, cidr="172.24.4.0/24", ip_version=4)
    assert "auto-allocated-topology" in {extension["alias"] for extension in cloud.get("/extensions").body["extensions"]}
    first, again = (cloud.get(TOPOLOGY).body["auto_allocated_topology"] for _ in range(2))
    assert first == again
    assert first["tenant_id"] == PROJECTS["alice"]
    network = cloud.get(f"/networks/{first['id']}").body["network"]
    assert (len(network["subnets"]), network["project_id"]) == (1, PROJECTS["alice"])
    router, = cloud.get("/routers").body["routers"]
    assert router["external_gateway_info"]["network_id"] == public
    assert cloud.get("/networks", user="bob").body["networks"][0]["id"] == public


def test_a_dry_run_creates_nothing(cloud: NetworkCloud) -> None:
    topology = cloud.get(f"{TOPOLOGY}?fields=dry-run&fields=id").body["auto_allocated_topology"]
    assert topology["id"] == "dry-run=pass"
    assert cloud.get("/networks").body["networks"] == []


def test_network_subnet_and_router_are_deleted_together(cloud: NetworkCloud) -> None:
    cloud.get(TOPOLOGY)
    for _ in range(2):
        assert cloud.delete(TOPOLOGY).status == 204
    assert cloud.get("/networks").body["networks"] == []
    assert cloud.get("/routers").body["routers"] == []


def test_a_network_in_use_is_not_deleted(cloud: NetworkCloud) -> None:
    network_id = cloud.get(TOPOLOGY).body["auto_allocated_topology"]["id"]
    port = cloud.create("port", network_id=network_id).body
    assert cloud.delete(TOPOLOGY).status == 409
    assert len(cloud.get("/routers").body["routers"]) == 1
    assert cloud.delete(f"/ports/{port['id']}").status == 204
    assert cloud.delete(TOPOLOGY).status == 204


def test_a_project_with_several_networks_is_answered_409(cloud: NetworkCloud) -> None:
    for _ in range(2):
        cloud.create("network")
    assert cloud.get(TOPOLOGY).status == 409


def test_another_projects_topology_is_answered_404(cloud: NetworkCloud) -> None:
    for method in (cloud.get, cloud.delete):
        assert method(TOPOLOGY, user="bob").status == 404
    assert cloud.get("/networks", user="admin").body["networks"] == []
