# SPDX-License-Identifier: Apache-2.0
"""Security groups through the compute API: on servers, and the resources that end with 2.35."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from nova_lite.db.network import ports
from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi
from tests.support.api.users import PROJECTS

NOWHERE = "11111111-2222-3333-4444-555555555555"


def group(api: ComputeApi, name: str = "web", **more: Any) -> str:
    made = api.post("/os-security-groups", {"security_group": {"name": name, "description": "d"}}, **more)
    assert made.status == 200, made.body
    return str(made.body["security_group"]["id"])


def rule(api: ComputeApi, parent: str, /, **fields: Any) -> Answer:
    return api.post("/os-security-group-rules", {"security_group_rule": {"parent_group_id": parent, **fields}})


def act(api: ComputeApi, server_id: str, word: str, name: str, **more: Any) -> Answer:
    return api.post(f"/servers/{server_id}/action", {word: {"name": name}}, **more)


def names(api: ComputeApi, server_id: str) -> list[str]:
    return [one["name"] for one in api.get(f"/servers/{server_id}/os-security-groups").body["security_groups"]]


def test_a_group_is_put_on_a_server_and_taken_off_by_name_and_by_id(api: ComputeApi, server_id: str) -> None:
    group_id = group(api)
    assert act(api, server_id, "addSecurityGroup", "web").status == 202
    assert names(api, server_id) == ["default", "web"]
    assert act(api, server_id, "addSecurityGroup", group_id, version="2.90").status == 202
    assert act(api, server_id, "removeSecurityGroup", group_id).status == 202
    assert names(api, server_id) == ["default"]


def test_the_servers_host_hears_of_a_change_at_once(api: ComputeApi, server_id: str) -> None:
    group_id = group(api)
    api.rpc.sent.clear()
    act(api, server_id, "addSecurityGroup", "web")
    api.push_network()
    sent = {method: arguments for topic, agent, method, arguments in api.rpc.sent if (topic, agent) == ("network", "h1")}
    assert group_id in sent["refresh"]["ports"].ports[0].group_ids
    assert any(method == "refresh_documents" for _, _, method, _ in api.rpc.sent)


@pytest.mark.parametrize("word", ["addSecurityGroup", "removeSecurityGroup"])
def test_an_unknown_group_is_not_found(api: ComputeApi, server_id: str, word: str) -> None:
    assert act(api, server_id, word, "none").status == 404


def test_a_group_that_the_server_is_not_in_cannot_be_taken_off(api: ComputeApi, server_id: str) -> None:
    group(api)
    assert act(api, server_id, "removeSecurityGroup", "web").status == 404


def test_a_name_that_two_groups_have_is_a_conflict(api: ComputeApi, server_id: str) -> None:
    group(api)
    group(api)
    assert act(api, server_id, "addSecurityGroup", "web").status == 409


def test_a_port_without_port_security_takes_no_group(api: ComputeApi, server_id: str) -> None:
    group(api)

    def open_up(session: Any) -> None:
        ports.of_servers(session, [server_id])[server_id][0].port_security_enabled = False

    api.change(open_up)
    assert act(api, server_id, "addSecurityGroup", "web").status == 400


def test_a_group_is_made_shown_changed_and_removed(api: ComputeApi) -> None:
    group_id = group(api)
    shown = api.get(f"/os-security-groups/{group_id}").body["security_group"]
    assert shown == {"id": group_id, "name": "web", "description": "d", "tenant_id": PROJECTS["alice"], "rules": []}
    changed = api.put(f"/os-security-groups/{group_id}", {"security_group": {"name": "www", "description": "e"}})
    assert (changed.body["security_group"]["name"], changed.status) == ("www", 200)
    assert api.delete(f"/os-security-groups/{group_id}").status == 202
    assert api.get(f"/os-security-groups/{group_id}").status == 404


def test_the_list_has_the_default_group_and_not_anothers(api: ComputeApi) -> None:
    group(api)
    group(api, "bobs", user="bob")

    def listed(path: str, user: str) -> list[str]:
        return [one["name"] for one in api.get(path, user=user).body["security_groups"]]

    assert listed("/os-security-groups", "alice") == ["default", "web"]
    assert listed("/os-security-groups?limit=1&offset=1", "alice") == ["web"]
    assert "bobs" in listed("/os-security-groups?all_tenants=1", "admin")
    assert "bobs" not in listed("/os-security-groups?all_tenants=1", "alice")


@pytest.mark.parametrize(("fields", "shown"), [
    ({"ip_protocol": "tcp", "from_port": 80, "to_port": "90", "cidr": "10.0.0.0/8"},
     {"ip_protocol": "tcp", "from_port": 80, "to_port": 90, "ip_range": {"cidr": "10.0.0.0/8"}, "group": {}}),
    ({"ip_protocol": "ICMP", "from_port": -1, "to_port": -1},
     {"ip_protocol": "icmp", "from_port": -1, "to_port": -1, "ip_range": {"cidr": "0.0.0.0/0"}, "group": {}}),
])
def test_a_rule_is_made_and_shown(api: ComputeApi, fields: dict[str, Any], shown: dict[str, Any]) -> None:
    group_id = group(api)
    made = rule(api, group_id, **fields)
    assert made.status == 200, made.body
    found = made.body["security_group_rule"]
    assert {**found, "id": 0, "parent_group_id": 0} == {**shown, "id": 0, "parent_group_id": 0}
    assert api.get(f"/os-security-groups/{group_id}").body["security_group"]["rules"] == [found]
    assert api.delete(f"/os-security-group-rules/{found['id']}").status == 202
    assert api.get(f"/os-security-groups/{group_id}").body["security_group"]["rules"] == []


def test_a_rule_that_names_a_group_opens_every_port(api: ComputeApi) -> None:
    group_id = group(api)
    made = rule(api, group_id, ip_protocol="tcp", group_id=group_id).body["security_group_rule"]
    assert (made["from_port"], made["to_port"], made["group"]) == (
        1, 65535, {"name": "web", "tenant_id": PROJECTS["alice"]})


@pytest.mark.parametrize("fields", [
    {}, {"ip_protocol": "tcp"}, {"ip_protocol": "gre", "from_port": 1, "to_port": 2},
    {"ip_protocol": "tcp", "from_port": 90, "to_port": 80}, {"ip_protocol": "udp", "from_port": 0, "to_port": 80},
    {"ip_protocol": "tcp", "from_port": "x", "to_port": 80}, {"ip_protocol": "tcp", "from_port": "\u0661", "to_port": 80}, {"ip_protocol": "icmp", "from_port": 256, "to_port": 1},
    {"ip_protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "10.0.0.0/99"},
    {"ip_protocol": "tcp", "from_port": 1, "to_port": 2, "group_id": "x"},
    {"ip_protocol": "tcp", "from_port": 1, "to_port": None, "cidr": "10.0.0.0/8"},
])
def test_a_rule_that_makes_no_sense_is_refused(api: ComputeApi, fields: dict[str, Any]) -> None:
    assert rule(api, group(api), **fields).status == 400


def test_the_same_rule_twice_is_refused(api: ComputeApi) -> None:
    group_id = group(api)
    fields = {"ip_protocol": "tcp", "from_port": 1, "to_port": 2}
    assert [rule(api, group_id, **fields).status for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/os-security-groups/x", None, 400), ("DELETE", "/os-security-groups/x", None, 400),
    ("GET", f"/os-security-groups/{NOWHERE}", None, 404), ("DELETE", f"/os-security-group-rules/{NOWHERE}", None, 404),
    ("DELETE", "/os-security-group-rules/1", None, 400), ("POST", "/os-security-groups", {"security_group": {"name": "x"}}, 400),
    ("POST", "/os-security-groups", {"security_group": {"name": "x" * 256, "description": ""}}, 400),
    ("POST", "/os-security-groups", {"security_group": {"name": "default", "description": ""}}, 400),
])
def test_what_is_not_there_or_wrong_is_refused(
    api: ComputeApi, method: str, path: str, body: Any, status: int
) -> None:
    assert api.request(method, path, body).status == status


def test_a_group_in_use_and_the_default_one_stay(api: ComputeApi, server_id: str) -> None:
    group_id = group(api)
    act(api, server_id, "addSecurityGroup", "web")
    assert api.delete(f"/os-security-groups/{group_id}").status == 400
    default = next(one for one in api.get("/os-security-groups").body["security_groups"] if one["name"] == "default")
    assert api.delete(f"/os-security-groups/{default['id']}").status == 400


def test_quotas_hold(api: ComputeApi) -> None:
    group_id = group(api)
    api.conf.set_override("security_groups", 2, group="quota")
    assert api.post("/os-security-groups", {"security_group": {"name": "b", "description": ""}}).status == 403
    api.conf.set_override("security_group_rules", 1, group="quota")
    assert rule(api, group_id, ip_protocol="tcp", from_port=1, to_port=2).status == 403


@pytest.mark.parametrize("path", ["/os-security-groups", "/os-networks", "/os-tenant-networks"])
def test_the_proxies_end_with_2_35(api: ComputeApi, path: str) -> None:
    assert api.get(path, version="2.35").status == 200
    assert api.get(path, version="2.36").status == 404


def test_networks_are_shown_with_the_little_that_is_left(api: ComputeApi) -> None:
    one = api.get("/os-networks").body["networks"][0]
    assert (one["id"], one["label"], one["cidr"], len(one)) == (compute_api.NETWORK, "net", None, 11)
    assert len(api.get(f"/os-networks/{one['id']}", user="admin").body["network"]) == 32
    assert api.get("/os-tenant-networks").body["networks"] == [{"id": one["id"], "label": "net", "cidr": "None"}]
    assert api.get(f"/os-networks/{uuid.uuid4()}").status == 404
    assert api.get(f"/os-tenant-networks/{one['id']}", user="bob").status == 404


GONE = [
    ("POST", "/os-certificates", None), ("GET", "/os-certificates/root", None), ("GET", "/os-cloudpipe", None),
    ("GET", "/os-fixed-ips/10.0.0.1", None), ("POST", "/os-fixed-ips/10.0.0.1/action", {"reserve": None}),
    ("GET", "/os-floating-ip-dns", None), ("PUT", "/os-floating-ip-dns/d/entries/e", None),
    ("GET", "/os-floating-ips-bulk", None), ("GET", "/os-fping", None), ("POST", "/os-networks", {"network": {}}),
    ("POST", "/os-networks/add", {"id": None}), ("DELETE", "/os-networks/1", None),
    ("POST", "/os-networks/1/action", {"associate_host": "h"}), ("GET", "/os-security-group-default-rules", None),
    ("POST", "/os-tenant-networks", {"network": {}}), ("DELETE", "/os-tenant-networks/1", None),
    ("GET", "/servers/1/os-virtual-interfaces", None),
]


@pytest.mark.parametrize(("method", "path", "body"), GONE)
@pytest.mark.parametrize("version", ["2.1", "2.36", "2.90"])
def test_what_is_gone_is_gone_at_every_version(
    api: ComputeApi, method: str, path: str, body: Any, version: str
) -> None:
    answer = api.request(method, path, body, version=version)
    assert (answer.status, answer.body["computeFault"]["code"]) == (410, 410)
    assert "no longer available" in answer.body["computeFault"]["message"]
