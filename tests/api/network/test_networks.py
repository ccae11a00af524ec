# SPDX-License-Identifier: Apache-2.0
"""Networks and subnets as stock clients use them, by their owner and by another tenant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import databases
from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


def test_a_network_is_created_shown_listed_updated_and_deleted(cloud: NetworkCloud) -> None:
    made = cloud.create("network", name="net1", admin_state_up=True, tenant_id=PROJECTS["alice"],
                        project_id=PROJECTS["alice"])
    assert made.status == 201
    network = made.body
    assert network["tenant_id"] == network["project_id"] == PROJECTS["alice"]
    assert (network["status"], network["subnets"], network["shared"], network["mtu"]) == ("ACTIVE", [], False, 1450)
    assert "provider:segmentation_id" not in network
    assert cloud.get("/networks/net1").status == 404
    assert [row["id"] for row in cloud.get("/networks?name=net1").body["networks"]] == [network["id"]]
    assert cloud.update("network", network["id"], name="other").body["name"] == "other"
    assert cloud.get(f"/networks/{network['id']}").body["network"]["name"] == "other"
    assert cloud.delete(f"/networks/{network['id']}").status == 204
    assert cloud.get(f"/networks/{network['id']}").status == 404


def test_numbers_may_be_written_in_digits(cloud: NetworkCloud) -> None:
    """As the openstack client sends --mtu and --provider-segment."""
    network = cloud.create("network", user="admin", mtu="1400", **{"provider:segmentation_id": "4711"}).body
    assert (network["mtu"], network["provider:segmentation_id"]) == (1400, 4711)
    assert cloud.create("subnet", user="admin", network_id=network["id"], cidr="10.1.0.0/24", ip_version="4").status == 201
    assert cloud.create("network", mtu=1400.0).body["mtu"] == 1400  # an integer too, to JSON
    for name, value in (("mtu", "many"), ("mtu", "-1"), ("mtu", "70000"), ("mtu", 575), ("provider:segmentation_id", "0")):
        refused = cloud.request("POST", "/networks", {"network": {name: value}}, user="admin")
        assert (refused.status, name in refused.fault) == (400, True), (name, value, refused.body)


def test_a_subnet_gets_a_default_gateway_and_pool(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(cidr="10.7.0.0/24", name="n")
    subnet = cloud.get(f"/subnets/{subnet_id}").body["subnet"]
    assert (subnet["gateway_ip"], subnet["ip_version"], subnet["enable_dhcp"]) == ("10.7.0.1", 4, True)
    assert subnet["allocation_pools"] == [{"start": "10.7.0.2", "end": "10.7.0.254"}]
    assert cloud.get(f"/networks/{network_id}").body["network"]["subnets"] == [subnet_id]


def test_a_subnet_without_gateway_allocates_all_host_addresses(cloud: NetworkCloud) -> None:
    network = cloud.create("network").body
    subnet = cloud.create("subnet", network_id=network["id"], cidr="10.0.0.9/24", ip_version=4, gateway_ip=None).body
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("10.0.0.0/24", None)
    assert subnet["allocation_pools"] == [{"start": "10.0.0.1", "end": "10.0.0.254"}]


@pytest.mark.parametrize(("fields", "status", "word"), [
    ({"cidr": "10.0.0.0/24", "ip_version": 6}, 400, "IPv4"),
    ({"cidr": "fd00::/64"}, 400, "cidr"),
    ({"cidr": "nonsense"}, 400, "nonsense"),
    ({}, 400, "cidr"),
    ({"cidr": "10.0.0.0/31"}, 400, "prefix"),
    ({"cidr": "169.254.0.0/24"}, 400, "reserved"),
    ({"cidr": "100.64.3.0/24"}, 400, "reserved"),
    ({"cidr": "10.0.0.0/24", "gateway_ip": "10.1.0.1"}, 400, "gateway_ip"),
    ({"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.255"}, 400, "gateway_ip"),
    ({"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}, 409, "pool"),
    ({"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.5"}]}, 400, "pools"),
    ({"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.5", "end": "10.0.0.9"},
                                                  {"start": "10.0.0.8", "end": "10.0.0.12"}]}, 409, "overlap"),
    ({"cidr": "10.0.0.0/24", "dns_nameservers": ["x"]}, 400, "dns_nameservers"),
    ({"cidr": "10.0.0.0/24", "host_routes": [{"destination": "0.0.0.0/0", "nexthop": "10.0.0.1"}]}, 400, "host_routes"),
    ({"cidr": "10.0.0.0/24", "colour": "red"}, 400, "colour"),
    ({"cidr": 7}, 400, "cidr"),
])
def test_an_invalid_subnet_is_refused_with_the_name_of_its_field(
    cloud: NetworkCloud, fields: dict[str, Any], status: int, word: str
) -> None:
    network_id = cloud.create("network").body["id"]
    answer = cloud.create("subnet", network_id=network_id, **fields)
    assert answer.status == status
    assert word in answer.fault
    assert cloud.get("/subnets").body["subnets"] == []


def test_subnets_of_one_network_do_not_overlap_and_those_of_two_may(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(cidr="10.0.0.0/24")
    answer = cloud.create("subnet", network_id=network_id, cidr="10.0.0.128/25")
    assert answer.status == 400
    assert "overlaps" in answer.fault
    cloud.network(cidr="10.0.0.0/24")


def test_routed_networks_never_overlap(cloud: NetworkCloud) -> None:
    cloud.network(cidr="10.0.0.0/24", user="admin", shared=True)
    external = cloud.create("network", user="admin", **{"router:external": True}).body["id"]
    assert cloud.create("subnet", user="admin", network_id=external, cidr="10.0.0.0/16").status == 400
    private, _ = cloud.network(cidr="10.0.0.0/16", user="admin")
    assert cloud.update("network", private, user="admin", shared=True).status == 400
    assert cloud.get(f"/networks/{private}", user="admin").body["network"]["shared"] is False


def test_a_network_or_subnet_with_ports_is_not_deleted(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network()
    port = cloud.create("port", network_id=network_id).body
    assert cloud.delete(f"/networks/{network_id}").status == 409
    assert cloud.delete(f"/subnets/{subnet_id}").status == 409
    assert cloud.delete(f"/ports/{port['id']}").status == 204
    assert cloud.delete(f"/networks/{network_id}").status == 204
    assert cloud.get(f"/subnets/{subnet_id}").status == 404


def test_only_an_admin_sets_shared_external_and_provider_attributes(cloud: NetworkCloud) -> None:
    for fields in ({"shared": True}, {"router:external": True}, {"provider:segmentation_id": 7},
                   {"provider:network_type": "vxlan"}):
        assert cloud.create("network", **fields).status == 403
    assert cloud.create("network", shared=False).status == 201
    made = cloud.create("network", user="admin", shared=True, **{"provider:segmentation_id": 7}).body
    assert made["provider:segmentation_id"] == 7
    assert cloud.create("network", user="admin", **{"provider:segmentation_id": 7}).status == 409
    assert cloud.create("network", user="admin", **{"provider:network_type": "vlan"}).status == 400


def test_only_an_admin_creates_networks_for_another_project(cloud: NetworkCloud) -> None:
    assert cloud.create("network", tenant_id=PROJECTS["bob"]).status == 403
    made = cloud.create("network", user="admin", project_id=PROJECTS["bob"]).body
    assert cloud.get(f"/networks/{made['id']}", user="bob").status == 200
    both = cloud.create("network", user="admin", project_id=PROJECTS["bob"], tenant_id=PROJECTS["alice"])
    assert both.status == 400


def test_the_other_tenant_finds_no_private_network_on_any_route(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(name="mine")
    for path in (f"/networks/{network_id}", f"/subnets/{subnet_id}"):
        assert cloud.get(path, user="bob").status == 404
        assert cloud.delete(path, user="bob").status == 404
    assert cloud.update("network", network_id, user="bob", name="x").status == 404
    assert cloud.update("subnet", subnet_id, user="bob", name="x").status == 404
    assert cloud.create("subnet", user="bob", network_id=network_id, cidr="10.9.0.0/24").status == 404
    assert cloud.create("port", user="bob", network_id=network_id).status == 404
    for listing in ("networks", "subnets"):
        assert cloud.get(f"/{listing}", user="bob").body[listing] == []
        assert cloud.get(f"/{listing}?project_id={PROJECTS['alice']}", user="bob").body[listing] == []


def test_a_shared_network_is_visible_to_all_and_changed_by_its_owner(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(user="admin", shared=True)
    assert cloud.get(f"/networks/{network_id}").status == 200
    assert cloud.get(f"/subnets/{subnet_id}").status == 200
    assert len(cloud.get("/subnets").body["subnets"]) == 1
    assert cloud.update("network", network_id, name="x").status == 403
    assert cloud.delete(f"/networks/{network_id}").status == 403
    assert cloud.update("subnet", subnet_id, name="x").status == 403
    assert cloud.delete(f"/subnets/{subnet_id}").status == 403
    assert cloud.create("subnet", network_id=network_id, cidr="10.9.0.0/24").status == 403
    assert cloud.create("port", network_id=network_id).status == 201


def test_a_network_stays_shared_while_others_use_it(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(user="admin", shared=True)
    port = cloud.create("port", network_id=network_id).body
    assert cloud.update("network", network_id, user="admin", shared=False).status == 409
    cloud.delete(f"/ports/{port['id']}")
    assert cloud.update("network", network_id, user="admin", shared=False).status == 200
    assert cloud.get(f"/networks/{network_id}").status == 404


def test_readers_read_and_those_without_a_role_do_not(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    assert cloud.get(f"/networks/{network_id}", user="reader").status == 200
    assert cloud.create("network", user="reader").status == 403
    assert cloud.get("/networks", user="nobody").status == 403
    assert cloud.get("/networks", user="").status == 401


def test_pages_are_linked_and_have_the_requested_fields(cloud: NetworkCloud) -> None:
    for name in ("c", "a", "b"):
        cloud.create("network", name=name)
    first = cloud.get("/networks?limit=2&sort_key=name&sort_dir=asc&fields=name&fields=id").body
    assert [set(row) for row in first["networks"]] == [{"id", "name"}] * 2
    assert [row["name"] for row in first["networks"]] == ["a", "b"]
    link = first["networks_links"][0]
    assert link["rel"] == "next"
    rest = cloud.get(link["href"].split("/v2.0", 1)[1]).body
    assert [row["name"] for row in rest["networks"]] == ["c"]
    assert "networks_links" not in rest
    down = cloud.get("/networks?sort_key=name&sort_dir=desc").body["networks"]
    assert [row["name"] for row in down] == ["c", "b", "a"]


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "marker=none", "sort_key=colour", "colour=red", "shared=si"])
def test_a_wrong_query_is_refused(cloud: NetworkCloud, query: str) -> None:
    cloud.create("network")
    assert cloud.get(f"/networks?{query}").status == 400


def test_filters_may_repeat_and_be_booleans(cloud: NetworkCloud) -> None:
    ids = [cloud.create("network", name=name).body["id"] for name in ("a", "b", "c")]
    found = cloud.get(f"/networks?id={ids[0]}&id={ids[2]}&shared=False&admin_state_up=true&status=ACTIVE").body
    assert [row["id"] for row in found["networks"]] == [ids[0], ids[2]]
    assert cloud.get("/networks?status=DOWN").body["networks"] == []
    assert cloud.get("/networks?router:external=True").body["networks"] == []


def test_a_resource_over_quota_is_refused_as_in_neutron(cloud: NetworkCloud) -> None:
    cloud.conf.set_override("networks", 1, group="quota")
    cloud.conf.set_override("subnets", 1, group="quota")
    network_id, _ = cloud.network()
    answer = cloud.request("POST", "/networks", {"network": {}})
    assert (answer.status, answer.body["NeutronError"]["type"]) == (409, "OverQuota")
    assert cloud.create("subnet", network_id=network_id, cidr="10.1.0.0/24").status == 409


def test_a_subnet_is_updated_and_its_gateway_is_in_no_pool(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(cidr="10.0.0.0/24")
    changed = cloud.update("subnet", subnet_id, name="s", dns_nameservers=["9.9.9.9"], enable_dhcp=False).body
    assert (changed["name"], changed["dns_nameservers"], changed["enable_dhcp"]) == ("s", ["9.9.9.9"], False)
    assert cloud.update("subnet", subnet_id, gateway_ip="10.0.0.9").status == 409
    pools = [{"start": "10.0.0.10", "end": "10.0.0.20"}]
    both = cloud.update("subnet", subnet_id, gateway_ip="10.0.0.9", allocation_pools=pools)
    assert (both.status, both.body["allocation_pools"]) == (200, pools)
    port = cloud.create("port", network_id=network_id).body
    used = port["fixed_ips"][0]["ip_address"]
    answer = cloud.update("subnet", subnet_id, gateway_ip=used,
                          allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.120"}])
    assert answer.status == 409


def test_hosts_receive_an_updated_subnet_and_a_deleted_network(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network()
    cloud.boot("server-1", network_id)
    fence = cloud.records.servers["server-1"].fence
    cloud.update("subnet", subnet_id, dns_nameservers=["9.9.9.9"])
    cloud.eventually(lambda: cloud.records.networks[network_id].network.subnets[0].dns == ("9.9.9.9",))
    assert cloud.records.servers["server-1"].fence == fence
    other, _ = cloud.network(cidr="10.5.0.0/24")
    cloud.records.add_network(cloud.records.networks[network_id].network.__class__(
        id=other, segment=5, mtu=1450, subnets=()))
    cloud.delete(f"/networks/{other}")
    cloud.eventually(lambda: other not in cloud.records.networks)


def test_clients_find_extensions_quotas_zones_and_empty_lists(cloud: NetworkCloud) -> None:
    aliases = {row["alias"] for row in cloud.get("/extensions").body["extensions"]}
    assert {"security-group", "quotas", "external-net", "net-mtu", "project-id"} <= aliases
    assert cloud.get("/extensions/security-group").body["extension"]["alias"] == "security-group"
    assert cloud.get("/extensions/trunk").status == 404
    assert cloud.get("/availability_zones").body["availability_zones"][0]["name"] == "nova"
    for listing in ("routers", "floatingips", "subnetpools"):
        assert cloud.get(f"/{listing}").body == {listing: []}
        assert cloud.get(f"/{listing}/x").status == 404
    assert cloud.get("/agents").body == {"agents": []}
    assert cloud.get("/service-providers").body == {"service_providers": []}
    assert [row["alive"] for row in cloud.get("/agents", user="admin").body["agents"]] == [True]


def test_a_project_sees_its_quotas_and_no_others(cloud: NetworkCloud) -> None:
    cloud.network()
    own = PROJECTS["alice"]
    assert cloud.get(f"/quotas/{own}").body["quota"]["network"] == 100
    assert cloud.get(f"/quotas/{own}/default").body["quota"]["port"] == 500
    for path in (f"/quotas/{own}/details", f"/quotas/{own}/details.json"):
        assert cloud.get(path).body["quota"]["subnet"] == {"limit": 100, "used": 1, "reserved": 0}
        assert cloud.get(path, user="bob").status == 404
        assert cloud.get(path, user="admin").status == 200
    assert cloud.get(f"/quotas/{own}", user="bob").status == 404


def test_the_quotas_of_many_projects_take_as_many_statements_as_those_of_two(cloud: NetworkCloud) -> None:
    counts = []
    for number in range(20):
        assert cloud.request("PUT", f"/quotas/project-{number:02}", {"quota": {"network": number}}, user="admin").status == 200
        if number in (1, 19):
            with databases.counted(cloud.database) as statements:
                listed = cloud.get("/quotas", user="admin").body["quotas"]
            counts.append(len(statements))
            assert [(one["project_id"], one["network"], one["port"]) for one in listed] == [
                (f"project-{one:02}", one, 500) for one in range(number + 1)]
    assert counts == [2, 2]
