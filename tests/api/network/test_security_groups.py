# SPDX-License-Identifier: Apache-2.0
"""Security groups and rules as stock clients use them, and as hosts receive them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api.network_cloud import NetworkCloud
from tests.support.api.users import PROJECTS


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


def _default(cloud: NetworkCloud, user: str = "alice") -> str:
    return str(cloud.get("/security-groups?name=default", user=user).body["security_groups"][0]["id"])


def test_a_project_has_a_default_group_from_its_first_list(cloud: NetworkCloud) -> None:
    groups = cloud.get("/security-groups").body["security_groups"]
    assert [(group["name"], group["tenant_id"]) for group in groups] == [("default", PROJECTS["alice"])]
    rules = groups[0]["security_group_rules"]
    assert {(rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in rules} == {
        ("egress", "IPv4", None), ("egress", "IPv6", None),
        ("ingress", "IPv4", groups[0]["id"]), ("ingress", "IPv6", groups[0]["id"])}
    assert cloud.get("/security-groups").body["security_groups"] == groups


def test_a_group_is_created_updated_and_deleted(cloud: NetworkCloud) -> None:
    made = cloud.create("security_group", name="sg1", description="sg1", tenant_id=PROJECTS["alice"],
                        project_id=PROJECTS["alice"])
    assert made.status == 201
    assert {rule["direction"] for rule in made.body["security_group_rules"]} == {"egress"}
    path = f"/security-groups/{made.body['id']}"
    assert cloud.update("security_group", made.body["id"], name="sg2").body["name"] == "sg2"
    assert cloud.get(path).body["security_group"]["name"] == "sg2"
    assert cloud.delete(path).status == 204
    assert cloud.get(path).status == 404


def test_rules_allow_ssh_and_ping(cloud: NetworkCloud) -> None:
    group_id = _default(cloud)
    ssh = cloud.create(
        "security_group_rule", security_group_id=group_id, direction="ingress", ethertype="IPv4", protocol="tcp",
        port_range_min=22, port_range_max=22, remote_ip_prefix="0.0.0.0/0", tenant_id=PROJECTS["alice"],
        project_id=PROJECTS["alice"])
    assert ssh.status == 201
    assert (ssh.body["port_range_min"], ssh.body["remote_ip_prefix"]) == (22, "0.0.0.0/0")
    ping = cloud.create("security_group_rule", security_group_id=group_id, direction="ingress", protocol="icmp",
                        remote_ip_prefix="10.0.0.7").body
    assert ping["remote_ip_prefix"] == "10.0.0.7/32"
    inside = cloud.create("security_group_rule", security_group_id=group_id, direction="ingress", protocol="udp",
                          remote_ip_prefix="10.2.3.124/24").body
    assert inside["remote_ip_prefix"] == "10.2.3.124/24"  # as the client wrote it
    assert cloud.delete(f"/security-group-rules/{inside['id']}").status == 204
    listed = cloud.get(f"/security-group-rules?security_group_id={group_id}").body["security_group_rules"]
    assert len(listed) == 6
    assert cloud.get(f"/security-group-rules/{ping['id']}").body["security_group_rule"]["protocol"] == "icmp"
    assert cloud.delete(f"/security-group-rules/{ping['id']}").status == 204
    assert cloud.get(f"/security-group-rules/{ping['id']}").status == 404


def test_the_same_rule_twice_is_refused(cloud: NetworkCloud) -> None:
    rule = {"security_group_id": _default(cloud), "direction": "ingress", "protocol": "tcp",
            "port_range_min": 22, "port_range_max": 22}
    first = cloud.create("security_group_rule", **rule).body
    again = cloud.create("security_group_rule", **rule)
    assert again.status == 409
    assert first["id"] in again.fault


@pytest.mark.parametrize(("fields", "word"), [
    ({"direction": "sideways"}, "direction"),
    ({"protocol": "carrier-pigeon"}, "carrier-pigeon"),
    ({"protocol": 256}, "256"),
    ({"protocol": "\u0666"}, "\u0666"),
    ({"protocol": "tcp", "port_range_min": "\u0662\u0662", "port_range_max": 22}, "port_range_min"),
    ({"port_range_min": 22, "port_range_max": 22}, "protocol"),
    ({"protocol": "tcp", "port_range_min": 23, "port_range_max": 22}, "port_range_min"),
    ({"protocol": "tcp", "port_range_min": 22}, "port_range_min"),
    ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 22}, "port 0"),
    ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "port_range_max"),
    ({"protocol": "icmp", "port_range_max": 3}, "ICMP"),
    ({"protocol": "icmp", "port_range_min": 256}, "ICMP"),
    ({"ethertype": "IPX"}, "ethertype"),
    ({"remote_ip_prefix": "10.0.0.0/40"}, "remote_ip_prefix"),
    ({"remote_ip_prefix": "fd00::/8"}, "ethertype"),
    ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "0" * 32}, "remote_group_id"),
    ({"colour": "red"}, "colour"),
])
def test_an_invalid_rule_is_refused_with_the_name_of_its_field(
    cloud: NetworkCloud, fields: dict[str, Any], word: str
) -> None:
    rule = {"security_group_id": _default(cloud), "direction": "ingress", **fields}
    answer = cloud.create("security_group_rule", **rule)
    assert (answer.status, word in answer.fault) == (400, True), answer
    assert len(cloud.get("/security-group-rules").body["security_group_rules"]) == 4


def test_the_default_group_is_neither_deleted_nor_renamed(cloud: NetworkCloud) -> None:
    group_id = _default(cloud)
    assert cloud.create("security_group", name="default").status == 409
    assert cloud.delete(f"/security-groups/{group_id}").status == 409
    assert cloud.update("security_group", group_id, name="other").status == 409
    assert cloud.update("security_group", group_id, description="ours").status == 200


def test_a_group_in_use_is_not_deleted(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    group_id = cloud.create("security_group", name="web").body["id"]
    port_id = cloud.create("port", network_id=network_id, security_groups=[group_id]).body["id"]
    answer = cloud.delete(f"/security-groups/{group_id}")
    assert answer.status == 409
    assert "in use" in answer.fault
    cloud.delete(f"/ports/{port_id}")
    assert cloud.delete(f"/security-groups/{group_id}").status == 204


def test_rules_with_a_deleted_remote_group_are_deleted_too(cloud: NetworkCloud) -> None:
    named = cloud.create("security_group", name="named").body["id"]
    rule = cloud.create("security_group_rule", security_group_id=_default(cloud), direction="ingress",
                        remote_group_id=named).body
    assert cloud.delete(f"/security-groups/{named}").status == 204
    assert cloud.get(f"/security-group-rules/{rule['id']}").status == 404


def test_the_other_tenant_finds_no_group_and_no_rule_on_any_route(cloud: NetworkCloud) -> None:
    group = cloud.create("security_group", name="mine").body
    group_id, rule_id = group["id"], group["security_group_rules"][0]["id"]
    assert cloud.get(f"/security-groups/{group_id}", user="bob").status == 404
    assert cloud.update("security_group", group_id, user="bob", name="x").status == 404
    assert cloud.delete(f"/security-groups/{group_id}", user="bob").status == 404
    assert cloud.get(f"/security-group-rules/{rule_id}", user="bob").status == 404
    assert cloud.delete(f"/security-group-rules/{rule_id}", user="bob").status == 404
    answer = cloud.create("security_group_rule", user="bob", security_group_id=group_id, direction="ingress")
    assert answer.status == 404
    theirs = _default(cloud, user="bob")
    named = cloud.create("security_group_rule", user="bob", security_group_id=theirs, direction="ingress",
                         remote_group_id=group_id)
    assert named.status == 404
    assert group_id not in {row["id"] for row in cloud.get("/security-groups", user="bob").body["security_groups"]}
    query = f"project_id={PROJECTS['alice']}"
    assert cloud.get(f"/security-groups?{query}", user="bob").body["security_groups"] == []
    assert cloud.get(f"/security-group-rules?security_group_id={group_id}", user="bob").body == {
        "security_group_rules": []}
    assert cloud.create("security_group", user="bob", name="x", tenant_id=PROJECTS["alice"]).status == 403


def test_an_admin_sees_a_projects_default_group_before_the_project_does(cloud: NetworkCloud) -> None:
    found = cloud.get(f"/security-groups?tenant_id={PROJECTS['bob']}", user="admin").body["security_groups"]
    assert [group["name"] for group in found] == ["default"]


def test_hosts_receive_new_and_deleted_rules(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    cloud.boot("server-1", network_id)
    group_id = _default(cloud)
    assert len(cloud.records.groups[group_id].rules) == 2
    rule = cloud.create("security_group_rule", security_group_id=group_id, direction="ingress", protocol="tcp",
                        port_range_min=22, port_range_max=22).body
    cloud.eventually(lambda: len(cloud.records.groups[group_id].rules) == 3)
    assert cloud.delete(f"/security-group-rules/{rule['id']}").status == 204
    cloud.eventually(lambda: len(cloud.records.groups[group_id].rules) == 2)


def test_groups_and_rules_count_against_the_quota(cloud: NetworkCloud) -> None:
    group_id = _default(cloud)
    cloud.conf.set_override("security_groups", 1, group="quota")
    cloud.conf.set_override("security_group_rules", 4, group="quota")
    assert cloud.create("security_group", name="x").status == 409
    answer = cloud.create("security_group_rule", security_group_id=group_id, direction="ingress", protocol="icmp")
    assert (answer.status, answer.body["NeutronError"]["type"]) == (409, "OverQuota")
