# SPDX-License-Identifier: Apache-2.0
"""Floating IPs and routers as stock clients use them, and as a server's host receives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute import server_lists
from tests.support.api.network_cloud import Answer, NetworkCloud
from tests.support.api.users import PROJECTS


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


@pytest.fixture
def outside(cloud: NetworkCloud) -> str:
    """An external network."""
    return cloud.network(cidr="172.24.4.0/24", user="admin", **{"router:external": True, "name": "public"})[0]


def floating(cloud: NetworkCloud, network_id: str, *, user: str = "alice", **fields: Any) -> Answer:
    answer = cloud.request("POST", "/floatingips", {"floatingip": {"floating_network_id": network_id, **fields}}, user=user)
    return Answer(answer.status, answer.body.get("floatingip", answer.body))


def change(cloud: NetworkCloud, floating_id: str, **fields: Any) -> Answer:
    answer = cloud.request("PUT", f"/floatingips/{floating_id}", {"floatingip": fields})
    return Answer(answer.status, answer.body.get("floatingip", answer.body))


def test_a_floating_ip_is_allocated_associated_and_released(cloud: NetworkCloud, outside: str) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("s1", network_id)
    made = floating(cloud, outside, tenant_id=PROJECTS["alice"], project_id=PROJECTS["alice"])
    assert (made.status, made.body["status"], made.body["port_id"]) == (201, "DOWN", None)
    assert made.body["floating_ip_address"].startswith("172.24.4.")
    associated = change(cloud, made.body["id"], port_id=port_id).body
    fixed = cloud.get(f"/ports/{port_id}").body["port"]["fixed_ips"][0]["ip_address"]
    assert (associated["status"], associated["fixed_ip_address"], associated["port_details"]["device_id"]) == ("ACTIVE", fixed, "s1")
    assert cloud.get(f"/floatingips?port_id={port_id}").body["floatingips"] == [associated]
    assert cloud.get("/floatingips?status=DOWN").body["floatingips"] == []
    assert change(cloud, associated["id"], port_id=None).body["status"] == "DOWN"
    assert cloud.delete(f"/floatingips/{associated['id']}").status == 204
    assert cloud.get("/floatingips").body["floatingips"] == []


def test_the_servers_host_receives_the_association_and_the_server_shows_it(cloud: NetworkCloud, outside: str) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("s1", network_id)
    made = floating(cloud, outside, port_id=port_id).body

    def on_host() -> list[str]:
        return [one.address for one in cloud.records.servers["s1"].ports[0].floating]

    cloud.eventually(lambda: on_host() == [made["floating_ip_address"]])
    with cloud.database.reader() as session:
        shown = server_lists.addresses(session, ["s1"])["s1"][""]
    assert [(one["OS-EXT-IPS:type"], one["addr"]) for one in shown] == [
        ("fixed", made["fixed_ip_address"]), ("floating", made["floating_ip_address"])]
    change(cloud, made["id"], port_id=None)
    cloud.eventually(lambda: on_host() == [])


def test_a_floating_ip_remains_when_its_port_is_deleted(cloud: NetworkCloud, outside: str) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.create("port", network_id=network_id).body["id"]
    made = floating(cloud, outside, port_id=port_id).body
    assert cloud.delete(f"/ports/{port_id}").status == 204
    assert cloud.get(f"/floatingips/{made['id']}").body["floatingip"]["port_id"] is None


def test_invalid_associations_are_refused(cloud: NetworkCloud, outside: str) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.create("port", network_id=network_id).body["id"]
    assert "not a valid external network" in floating(cloud, network_id).fault
    assert floating(cloud, outside, port_id=port_id, fixed_ip_address="10.9.9.9").status == 400
    assert floating(cloud, outside, floating_ip_address="172.24.4.77").status == 403
    assert floating(cloud, outside, port_id="11111111-1111-4111-8111-111111111111").status == 404
    floating(cloud, outside, port_id=port_id)
    assert floating(cloud, outside, port_id=port_id).status == 409
    assert cloud.delete(f"/networks/{outside}", user="admin").status == 409


def test_an_admin_chooses_the_address(cloud: NetworkCloud, outside: str) -> None:
    made = floating(cloud, outside, user="admin", floating_ip_address="172.24.4.77", project_id=PROJECTS["alice"])
    assert made.body["floating_ip_address"] == "172.24.4.77"
    assert cloud.get(f"/floatingips/{made.body['id']}").status == 200
    assert floating(cloud, outside, user="admin", floating_ip_address="172.24.4.77").status == 409


def test_another_project_neither_sees_nor_deletes_it(cloud: NetworkCloud, outside: str) -> None:
    made = floating(cloud, outside).body["id"]
    assert cloud.get("/floatingips", user="bob").body["floatingips"] == []
    assert cloud.delete(f"/floatingips/{made}", user="bob").status == 404


def test_the_quota_is_enforced(cloud: NetworkCloud, outside: str) -> None:
    cloud.conf.set_override("floating_ips", 1, group="quota")
    assert [floating(cloud, outside).status for _ in range(2)] == [201, 409]
    shown = cloud.get(f"/quotas/{PROJECTS['alice']}/details.json").body["quota"]["floatingip"]
    assert (shown["limit"], shown["used"]) == (1, 1)


def test_a_router_connects_a_network_to_an_external_one(cloud: NetworkCloud, outside: str) -> None:
    network_id, subnet_id = cloud.network()
    router = cloud.create("router", name="r", external_gateway_info={"network_id": outside}).body
    gateway = router["external_gateway_info"]
    assert (gateway["network_id"], gateway["external_fixed_ips"][0]["ip_address"][:9]) == (outside, "172.24.4.")
    path = f"/routers/{router['id']}"
    interface = cloud.request("PUT", f"{path}/add_router_interface", {"subnet_id": subnet_id})
    assert (interface.status, interface.body["subnet_id"], interface.body["network_id"]) == (200, subnet_id, network_id)
    port_id = cloud.boot("s1", network_id)
    made = floating(cloud, outside, port_id=port_id).body
    assert made["router_id"] == router["id"]
    assert cloud.get(f"/floatingips?router_id={router['id']}").body["floatingips"] == [made]
    assert cloud.request("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet_id}).status == 409
    assert cloud.delete(path).status == 409
    cloud.delete(f"/floatingips/{made['id']}")
    assert cloud.request("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet_id}).status == 200
    assert cloud.update("router", router["id"], external_gateway_info={}).body["external_gateway_info"] is None
    assert cloud.delete(path).status == 204
    assert cloud.get("/routers").body["routers"] == []


def test_router_requests_that_are_not_supported_are_refused(cloud: NetworkCloud, outside: str) -> None:
    network_id, subnet_id = cloud.network()
    _, second = cloud.network(cidr="10.1.0.0/24")
    router = cloud.create("router").body
    path = f"/routers/{router['id']}"
    assert cloud.request("PUT", f"{path}/add_router_interface", {"subnet_id": subnet_id}).status == 200
    assert "do not route between" in cloud.request("PUT", f"{path}/add_router_interface", {"subnet_id": second}).fault
    assert cloud.request("PUT", f"{path}/add_router_interface", {"port_id": network_id}).status == 400
    assert cloud.update("router", router["id"], external_gateway_info={"network_id": network_id}).status == 400
    assert cloud.get(path, user="bob").status == 404
    other = cloud.create("router").body["id"]
    assert cloud.request("PUT", f"/routers/{other}/add_router_interface", {"subnet_id": subnet_id}).status == 409


def test_a_router_joins_subnets_of_its_own_project_only(cloud: NetworkCloud, outside: str) -> None:
    shared_id, shared_subnet = cloud.network(user="admin", cidr="10.7.0.0/24", shared=True)
    outside_subnet = cloud.get(f"/networks/{outside}").body["network"]["subnets"][0]
    router_id = cloud.request("POST", "/routers", {"router": {}}).body["router"]["id"]

    for subnet_id in (shared_subnet, outside_subnet):
        assert cloud.request("PUT", f"/routers/{router_id}/add_router_interface", {"subnet_id": subnet_id}).status == 403

    assert cloud.get(f"/ports?network_id={shared_id}").body["ports"] == []
    assert cloud.delete(f"/subnets/{shared_subnet}", user="admin").status == 204


@pytest.mark.parametrize("user", ["alice", "admin"])
def test_a_routers_port_keeps_its_address(cloud: NetworkCloud, user: str) -> None:
    network_id, subnet_id = cloud.network()
    router_id = cloud.request("POST", "/routers", {"router": {}}).body["router"]["id"]
    port_id = cloud.request("PUT", f"/routers/{router_id}/add_router_interface", {"subnet_id": subnet_id}).body["port_id"]
    before = cloud.get(f"/ports/{port_id}").body["port"]

    for fields in ({"fixed_ips": [{"ip_address": "10.0.0.77"}]}, {"mac_address": "fa:16:3e:00:00:77"}, {"port_security_enabled": True},
                   {"security_groups": []}):
        assert cloud.request("PUT", f"/ports/{port_id}", {"port": fields}, user=user).status == 409

    assert cloud.get(f"/ports/{port_id}").body["port"] == before
    assert cloud.request("PUT", f"/ports/{port_id}", {"port": {"name": "gateway"}}, user=user).body["port"]["name"] == "gateway"
