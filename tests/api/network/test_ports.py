# SPDX-License-Identifier: Apache-2.0
"""Ports as stock clients use them, and as the hosts of running servers receive them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute import actions, servers
from nova_lite.db.network import ports
from nova_lite.rpc.order import Order
from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


def test_a_port_gets_an_address_a_mac_and_the_default_group(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network()
    made = cloud.create("port", network_id=network_id, name="p1", admin_state_up=True, project_id=PROJECTS["alice"],
                        tenant_id=PROJECTS["alice"])
    assert made.status == 201
    port = made.body
    assert [item["subnet_id"] for item in port["fixed_ips"]] == [subnet_id]
    assert re.fullmatch(r"fa:16:3e(:[0-9a-f]{2}){3}", port["mac_address"])
    groups = cloud.get("/security-groups").body["security_groups"]
    assert port["security_groups"] == [groups[0]["id"]]
    assert (port["status"], port["device_id"], port["tenant_id"]) == ("DOWN", "", PROJECTS["alice"])
    assert "binding:host_id" not in port
    assert cloud.get("/ports/p1").status == 404
    assert cloud.get("/ports?name=p1").body["ports"] == [port]
    assert cloud.delete(f"/ports/{port['id']}").status == 204
    assert cloud.get("/ports").body["ports"] == []


def test_a_fixed_ip_is_allocated_once(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(cidr="10.0.0.0/24")
    requested = [{"subnet_id": subnet_id, "ip_address": "10.0.0.9"}]
    assert cloud.create("port", network_id=network_id, fixed_ips=requested).body["fixed_ips"] == requested
    again = cloud.create("port", network_id=network_id, fixed_ips=requested)
    assert again.status == 409
    assert "10.0.0.9" in again.fault


@pytest.mark.parametrize(("fields", "status", "word"), [
    ({"fixed_ips": [{"ip_address": "10.0.0.1"}]}, 409, "10.0.0.1"),
    ({"fixed_ips": [{"ip_address": "10.1.0.1"}]}, 400, "10.1.0.1"),
    ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "10.0.0.255"),
    ({"fixed_ips": [{"ip_address": "x"}]}, 400, "'x'"),
    ({"fixed_ips": [{"subnet_id": "0" * 32}]}, 400, "subnet"),
    ({"mac_address": "01:00:00:00:00:01"}, 400, "mac_address"),
    ({"device_id": "some-server"}, 400, "device_id"),
    ({"security_groups": ["0" * 32]}, 404, "Security group"),
    ({"admin_state_up": False}, 400, "admin_state_up"),
    ({"binding:vnic_type": "direct"}, 400, "vnic_type"),
    ({"allowed_address_pairs": [{"ip_address": "10.0.0.0/8"}]}, 400, "allowed_address_pairs"),
    ({"port_security_enabled": False, "security_groups": ["0" * 32]}, 409, "Port Security"),
    ({"colour": "red"}, 400, "colour"),
])
def test_an_invalid_port_is_refused_with_the_name_of_its_field(
    cloud: NetworkCloud, fields: dict[str, Any], status: int, word: str
) -> None:
    network_id, _ = cloud.network(cidr="10.0.0.0/24")
    answer = cloud.create("port", network_id=network_id, **fields)
    assert (answer.status, word in answer.fault) == (status, True), answer
    assert cloud.get("/ports").body["ports"] == []


def test_a_network_without_free_addresses_is_answered_409(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(cidr="10.0.0.0/30")
    assert cloud.create("port", network_id=network_id).body["fixed_ips"][0]["ip_address"] == "10.0.0.2"
    answer = cloud.request("POST", "/ports", {"port": {"network_id": network_id}})
    assert (answer.status, answer.body["NeutronError"]["type"]) == (409, "IpAddressGenerationFailure")


def test_a_port_on_a_network_without_subnets_has_no_address(cloud: NetworkCloud) -> None:
    network_id = cloud.create("network").body["id"]
    assert cloud.create("port", network_id=network_id).body["fixed_ips"] == []


def test_the_other_tenant_finds_no_port_on_any_route(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(user="admin", shared=True)
    port_id = cloud.create("port", network_id=network_id).body["id"]
    assert cloud.get(f"/ports/{port_id}", user="bob").status == 404
    assert cloud.update("port", port_id, user="bob", name="x").status == 404
    assert cloud.delete(f"/ports/{port_id}", user="bob").status == 404
    assert cloud.get("/ports", user="bob").body["ports"] == []
    assert cloud.get(f"/ports?network_id={network_id}", user="bob").body["ports"] == []
    assert cloud.create("port", user="bob", network_id=network_id, project_id=PROJECTS["alice"]).status == 403
    assert cloud.get(f"/ports/{port_id}", user="admin").body["port"]["binding:host_id"] == ""


def test_another_tenants_security_group_is_answered_404(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(user="admin", shared=True)
    foreign = cloud.create("security_group", user="bob", name="bobs").body["id"]
    assert cloud.create("port", network_id=network_id, security_groups=[foreign]).status == 404
    port_id = cloud.create("port", network_id=network_id).body["id"]
    assert cloud.update("port", port_id, security_groups=[foreign]).status == 404


def test_on_a_shared_network_only_its_owner_sets_macs_and_port_security(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(user="admin", shared=True)
    assert cloud.create("port", network_id=network_id, mac_address="fa:16:3e:00:00:01").status == 403
    assert cloud.create("port", network_id=network_id, port_security_enabled=False).status == 403
    port_id = cloud.create("port", network_id=network_id).body["id"]
    assert cloud.update("port", port_id, port_security_enabled=False).status == 403
    own, _ = cloud.network()
    assert cloud.create("port", network_id=own, mac_address="fa:16:3e:00:00:01").status == 201
    assert cloud.create("port", network_id=own, mac_address="FA:16:3E:00:00:01").status == 409
    assert cloud.create("port", network_id=own, port_security_enabled=False).body["security_groups"] == []


def test_projects_create_no_ports_on_external_networks(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(user="admin", **{"router:external": True})
    assert cloud.get(f"/networks/{network_id}").status == 200
    assert cloud.create("port", network_id=network_id).status == 403
    assert cloud.create("port", user="admin", network_id=network_id).status == 201


def test_a_servers_port_is_shown(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("server-1", network_id)
    found = cloud.get("/ports?device_id=server-1").body["ports"]
    assert [(row["id"], row["status"], row["device_owner"]) for row in found] == [(port_id, "ACTIVE", "compute:nova")]
    assert cloud.get(f"/ports/{port_id}", user="admin").body["port"]["binding:host_id"] == "host-a"
    assert cloud.update("port", port_id, mac_address="fa:16:3e:00:00:01").status == 409
    assert cloud.update("port", port_id, device_id="server-2").status == 400


def test_the_host_receives_a_running_servers_new_groups(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("server-1", network_id)
    group_id = cloud.create("security_group", name="web").body["id"]
    assert cloud.update("port", port_id, security_groups=[group_id]).body["security_groups"] == [group_id]
    cloud.eventually(lambda: cloud.records.servers["server-1"].ports[0].group_ids == (group_id,))
    server = cloud.records.servers["server-1"]
    assert (server.order, server.documents) == (Order(epoch=1, action=7), {"a": "b"})
    assert cloud.update("port", port_id, security_groups=[], port_security_enabled=False).status == 200
    cloud.eventually(lambda: cloud.records.servers["server-1"].ports[0].is_secured is False)


def test_the_host_receives_a_running_servers_new_address(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(cidr="10.0.0.0/24")
    port_id = cloud.boot("server-1", network_id)
    both = [{"subnet_id": subnet_id, "ip_address": address} for address in ("10.0.0.201", "10.0.0.202")]
    assert cloud.update("port", port_id, fixed_ips=both).body["fixed_ips"] == both
    cloud.eventually(
        lambda: cloud.records.servers["server-1"].ports[0].addresses == ("10.0.0.201", "10.0.0.202"))
    assert cloud.update("port", port_id, fixed_ips=both[1:]).body["fixed_ips"] == both[1:]


def test_hosts_with_rules_for_a_group_receive_its_new_member(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    cloud.boot("server-1", network_id)
    default = cloud.get("/security-groups?name=default").body["security_groups"][0]["id"]
    before = len(cloud.records.groups[default].members)
    port = cloud.create("port", network_id=network_id).body
    address = port["fixed_ips"][0]["ip_address"]
    cloud.eventually(lambda: address in {member.address for member in cloud.records.groups[default].members})
    cloud.delete(f"/ports/{port['id']}")
    cloud.eventually(lambda: len(cloud.records.groups[default].members) == before)


def test_ports_are_filtered_by_address_subnet_and_group(cloud: NetworkCloud) -> None:
    network_id, subnet_id = cloud.network(cidr="10.0.0.0/24")
    port = cloud.create("port", network_id=network_id, fixed_ips=[{"ip_address": "10.0.0.9"}]).body
    cloud.create("port", network_id=network_id)
    found = cloud.get("/ports?fixed_ips=ip_address=10.0.0.9").body["ports"]
    assert [row["id"] for row in found] == [port["id"]]
    assert len(cloud.get(f"/ports?fixed_ips=subnet_id={subnet_id}").body["ports"]) == 2
    assert len(cloud.get(f"/ports?security_groups={port['security_groups'][0]}").body["ports"]) == 2
    assert cloud.get("/ports?fixed_ips=colour=red").status == 400
    assert len(cloud.get(f"/ports?mac_address={port['mac_address']}&limit=1").body["ports"]) == 1


def test_a_port_over_quota_is_refused(cloud: NetworkCloud) -> None:
    cloud.conf.set_override("ports", 1, group="quota")
    network_id, _ = cloud.network()
    assert cloud.create("port", network_id=network_id).status == 201
    assert cloud.create("port", network_id=network_id).fault.startswith("Quota exceeded for resources: ['port']")


def test_deleting_a_servers_port_detaches_it_first(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("s1", network_id)
    assert cloud.delete(f"/ports/{port_id}").status == 204
    with cloud.database.reader() as session:
        server = servers.get(session, "s1")
        action = actions.of_server(session, "s1")[0]
        assert (server.task_state, action.name, action.inputs) == (
            "detaching-interface", "detach_interface", {"port_id": port_id})
        assert ports.get(session, port_id).is_ours


def test_a_port_of_a_server_with_a_task_is_not_deleted(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    port_id = cloud.boot("s1", network_id)
    with cloud.database.writer() as session:
        servers.begin(session, servers.get(session, "s1"), "pause")
    assert cloud.delete(f"/ports/{port_id}").status == 409
