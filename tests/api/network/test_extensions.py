# SPDX-License-Identifier: Apache-2.0
"""Each extension that is advertised is done: clients send what its alias allows without trying."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nova_lite.api.network.extensions import EXTENSIONS
from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS

OWN = PROJECTS["alice"]
NOWHERE = "99999999-9999-4999-8999-999999999999"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path_factory.mktemp("extensions"))
    network_cloud.network(cidr="10.30.0.0/24", name="base", description="one")
    network_cloud.network(cidr="172.24.8.0/24", user="admin", name="outside", **{"router:external": True})
    yield network_cloud
    network_cloud.close()


def _names(cloud: NetworkCloud, path: str, *, user: str = "alice") -> list[str]:
    answer = cloud.get(path, user=user)
    assert answer.status == 200, answer.body
    return [row["name"] for row in answer.body[path.strip("/").partition("?")[0].replace("-", "_")]]


def _first(cloud: NetworkCloud, name: str, *, user: str = "alice") -> dict[str, Any]:
    return dict(cloud.get(f"/{name.replace('_', '-')}", user=user).body[name][0])


def _agent(cloud: NetworkCloud) -> None:
    agent_id = _first(cloud, "agents", user="admin")["id"]
    path = f"/agents/{agent_id}"
    assert cloud.request("PUT", path, {"agent": {"admin_state_up": True}}, user="admin").body["agent"]["id"] == agent_id
    refused = cloud.request("PUT", path, {"agent": {"admin_state_up": False}}, user="admin")
    assert (refused.status, "admin_state_up" in refused.fault) == (400, True)
    assert [cloud.request("PUT", path, {"agent": {}}).status, cloud.delete(path).status] == [403, 403]
    assert [cloud.delete(path, user="admin").status for _ in range(2)] == [204, 404]


def _binding(cloud: NetworkCloud) -> None:
    port = cloud.create("port", user="admin", network_id=_first(cloud, "networks")["id"]).body
    shown = {name: value for name, value in port.items() if name.startswith("binding:")}
    assert shown == {"binding:vnic_type": "normal", "binding:host_id": "", "binding:vif_type": "unbound", "binding:vif_details": {},
                     "binding:profile": {}}
    refused = cloud.update("port", port["id"], user="admin", **{"binding:host_id": "elsewhere"})
    assert (refused.status, "binding:host_id" in str(refused.body)) == (400, True)


def _provider(cloud: NetworkCloud) -> None:
    made = cloud.create("network", user="admin", **{"provider:network_type": "vxlan", "provider:segmentation_id": 4711}).body
    assert (made["provider:network_type"], made["provider:segmentation_id"]) == ("vxlan", 4711)
    refused = cloud.create("network", user="admin", **{"provider:network_type": "flat", "provider:physical_network": "p"})
    assert (refused.status, "vxlan" in str(refused.body)) == (400, True)


def _quotas(cloud: NetworkCloud) -> None:
    path = f"/quotas/{OWN}"
    limits = cloud.get(path).body["quota"]
    assert cloud.get("/quotas", user="admin").body["quotas"] == []
    changed = cloud.request("PUT", path, {"quota": {"router": "21", "floatingip": "-1"}}, user="admin").body["quota"]
    assert changed == {**limits, "router": 21, "floatingip": -1} == cloud.get(path).body["quota"]
    assert cloud.get("/quotas", user="admin").body["quotas"] == [{**changed, "project_id": OWN, "tenant_id": OWN}]
    for quota in ({"rbac_policy": 1}, {"bogus": 1}, {"router": -2}, {"router": "many"}):
        refused = cloud.request("PUT", path, {"quota": quota}, user="admin")
        assert (refused.status, next(iter(quota)) in refused.fault) == (400, True)
    assert [cloud.request("PUT", path, {"quota": {}}).status, cloud.delete(path).status, cloud.get("/quotas").status] == [403] * 3
    assert [cloud.delete(path, user="admin").status for _ in range(2)] == [204, 204]
    assert cloud.get(path).body["quota"] == limits == cloud.get(f"{path}/default").body["quota"]


def _quota_check(cloud: NetworkCloud) -> None:
    path = f"/quotas/{OWN}"
    used = cloud.get(f"{path}/details").body["quota"]["subnet"]["used"]
    for limit, more, status in ((used, {"check_limit": True}, 200), (used - 1, {"check_limit": True}, 400), (used - 1, {"force": True}, 200),
                                (used - 1, {}, 200), (-1, {"check_limit": True}, 200)):
        answer = cloud.request("PUT", path, {"quota": {"subnet": limit, **more}}, user="admin")
        assert answer.status == status, (limit, more, answer.body)
    cloud.delete(path, user="admin")


def _port_security(cloud: NetworkCloud) -> None:
    port = cloud.create("port", network_id=_first(cloud, "networks")["id"], port_security_enabled=False).body
    assert (port["port_security_enabled"], port["security_groups"]) == (False, [])


def _group_filter(cloud: NetworkCloud) -> None:
    group = cloud.create("security_group", name="filtered").body["id"]
    made = cloud.create("port", name="in it", network_id=_first(cloud, "networks")["id"], security_groups=[group]).body
    assert [port["id"] for port in cloud.get(f"/ports?security_groups={group}").body["ports"]] == [made["id"]]


def _router(cloud: NetworkCloud) -> None:
    external = cloud.get("/networks?router:external=true").body["networks"][0]["id"]
    made = cloud.create("router", name="r", external_gateway_info={"network_id": external}).body
    assert made["external_gateway_info"]["network_id"] == external
    assert cloud.create("floatingip", floating_network_id=external).status == 201


def _port_details(cloud: NetworkCloud) -> None:
    assert "port_details" in cloud.create("floatingip", floating_network_id=cloud.get("/networks?name=outside").body["networks"][0]["id"]).body


def _normalized(cloud: NetworkCloud) -> None:
    group = cloud.create("security_group", name="normalized").body["id"]
    rule = cloud.create("security_group_rule", security_group_id=group, direction="ingress", remote_ip_prefix="10.9.8.7/16").body
    assert (rule["remote_ip_prefix"], rule["normalized_cidr"]) == ("10.9.8.7/16", "10.9.0.0/16")


def _changed_since(cloud: NetworkCloud) -> None:
    made = cloud.create("network", name="dated").body
    assert "dated" in _names(cloud, f"/networks?changed_since={made['updated_at']}")
    assert _names(cloud, "/networks?changed_since=2999-01-01T00:00:00Z") == []
    for collection in ("networks", "subnets", "ports", "security-groups", "security-group-rules", "routers", "floatingips"):
        assert cloud.get(f"/{collection}?changed_since=2999-01-01T00:00:00Z").body[collection.replace("-", "_")] == []
        refused = cloud.get(f"/{collection}?changed_since=yesterday")
        assert (refused.status, "changed_since" in refused.fault) == (400, True)


def _tags(cloud: NetworkCloud) -> None:
    network = cloud.create("network", name="tagged").body["id"]
    assert cloud.request("PUT", f"/networks/{network}/tags/red").status == 201
    assert _names(cloud, "/networks?tags=red") == ["tagged"]


def _pages(cloud: NetworkCloud) -> None:
    page = cloud.get("/networks?limit=1&sort_key=name").body
    assert (len(page["networks"]), page["networks_links"][0]["rel"]) == (1, "next")


def _sorted(cloud: NetworkCloud) -> None:
    names = _names(cloud, "/networks?sort_key=name&sort_dir=desc")
    assert names == sorted(names, reverse=True)


def _external_subnets(cloud: NetworkCloud) -> None:
    outside = cloud.get("/networks?name=outside").body["networks"][0]
    assert [subnet["id"] for subnet in cloud.get(f"/subnets?network_id={outside['id']}").body["subnets"]] == outside["subnets"]


PROBES: dict[str, Callable[[NetworkCloud], object]] = {
    "agent": _agent,
    "auto-allocated-topology": lambda cloud: cloud.get(f"/auto-allocated-topology/{OWN}?fields=dry-run").status in (200, 409),
    "availability_zone": lambda cloud: cloud.get("/availability_zones").body["availability_zones"],
    "binding": _binding,
    "empty-string-filtering": lambda cloud: cloud.get("/ports?device_id=").status == 200,
    "external-net": lambda cloud: _names(cloud, "/networks?router:external=true") == ["outside"],
    "filter-validation": lambda cloud: cloud.get("/networks?bogus=1").status == 400,
    "fip-port-details": _port_details,
    "net-mtu": lambda cloud: _first(cloud, "networks")["mtu"] > 1000,
    "pagination": _pages,
    "port-security": _port_security,
    "port-security-groups-filtering": _group_filter,
    "project-id": lambda cloud: _first(cloud, "networks")["project_id"] == OWN,
    "provider": _provider,
    "quota-check-limit": _quota_check,
    "quota_details": lambda cloud: cloud.get(f"/quotas/{OWN}/details").body["quota"]["network"]["used"],
    "quotas": _quotas,
    "router": _router,
    "security-group": lambda cloud: _first(cloud, "security_groups")["security_group_rules"],
    "security-groups-normalized-cidr": _normalized,
    "security-groups-shared-filtering": lambda cloud: _names(cloud, "/security-groups?shared=true") == [],
    "service-type": lambda cloud: cloud.get("/service-providers").body == {"service_providers": []},
    "sort-key-validation": lambda cloud: cloud.get("/networks?sort_key=bogus").status == 400,
    "sorting": _sorted,
    "standard-attr-description": lambda cloud: _names(cloud, "/networks?description=one") == ["base"],
    "standard-attr-tag": _tags,
    "standard-attr-timestamp": _changed_since,
    "subnet-external-network": _external_subnets,
}


@pytest.mark.parametrize("alias", sorted(EXTENSIONS))
def test_an_advertised_extension_is_done(cloud: NetworkCloud, alias: str) -> None:
    found = PROBES[alias](cloud)  # None: it has its own assertions
    assert found is None or found


def test_collections_of_admins_are_hidden_from_members_as_in_neutron(cloud: NetworkCloud) -> None:
    assert cloud.get("/agents").body == {"agents": []}
    assert cloud.get(f"/agents/{NOWHERE}").status == 404
