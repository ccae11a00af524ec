# SPDX-License-Identifier: Apache-2.0
"""Several resources in one request: all are made, in their order, or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api.network_cloud import NetworkCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path_factory.mktemp("bulk"))
    yield network_cloud
    network_cloud.close()


@pytest.fixture(scope="module")
def ids(cloud: NetworkCloud) -> dict[str, str]:
    """What the bodies below refer to."""
    network_id, _ = cloud.network(cidr="10.20.0.0/24", name="base")
    external, _ = cloud.network(cidr="172.24.9.0/24", user="admin", **{"router:external": True})
    group = cloud.create("security_group", name="base").body["id"]
    return {"network": network_id, "external": external, "group": group}


def _fill(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _fill(inner, ids) for name, inner in value.items()}
    return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value


@pytest.mark.parametrize(("key", "items", "wrong", "status"), [
    ("network", [{"name": "b1"}, {"name": "b2"}], {"admin_state_up": False}, 400),
    ("subnet", [{"network_id": "$network", "cidr": f"10.2{number}.0.0/24"} for number in (1, 2)],
     {"network_id": "$network", "cidr": "10.21.0.0/25"}, 400),
    ("port", [{"network_id": "$network", "name": "b1"}, {"network_id": "$network", "name": "b2"}],
     {"network_id": "99999999-9999-4999-8999-999999999999"}, 404),
    ("security_group", [{"name": "b1"}, {"name": "b2"}], {"name": "default"}, 409),
    ("security_group_rule", [{"security_group_id": "$group", "direction": "ingress", "protocol": "tcp", "port_range_min": port,
                              "port_range_max": port} for port in (22, 80)],
     {"security_group_id": "$group", "direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, 409),
    ("router", [{"name": "b1"}, {"name": "b2"}], {"admin_state_up": False}, 400),
    ("floatingip", [{"floating_network_id": "$external", "description": text} for text in ("b1", "b2")],
     {"floating_network_id": "$network"}, 400),
])
def test_all_are_made_in_their_order_or_none(
    cloud: NetworkCloud, ids: dict[str, str], key: str, items: list[dict[str, Any]], wrong: dict[str, Any], status: int
) -> None:
    path, plural = f"/{key.replace('_', '-')}s", f"{key}s"
    items, wrong = [_fill(item, ids) for item in items], _fill(wrong, ids)
    made = cloud.request("POST", path, {plural: items})
    assert made.status == 201, made.body
    assert [{name: row[name] for name in item} for row, item in zip(made.body[plural], items, strict=True)] == items
    listed = cloud.get(path).body[plural]
    assert {row["id"] for row in made.body[plural]} <= {row["id"] for row in listed}
    refused = cloud.request("POST", path, {plural: [{**items[0], "description": "more"} if key == "network" else wrong, wrong]})
    assert refused.status == status, refused.body
    assert cloud.get(path).body[plural] == listed


@pytest.mark.parametrize(("body", "word"), [
    ({"networks": []}, "networks"), ({"networks": [{"name": "a"}] * 101}, "networks"), ({"networks": [{"colour": "red"}]}, "colour"),
    ({"networks": [{}], "network": {}}, "many"), ({}, "enough"), ({"networks": {}}, "networks"),
])
def test_a_body_of_another_form_is_refused(cloud: NetworkCloud, body: dict[str, Any], word: str) -> None:
    before = cloud.get("/networks").body
    refused = cloud.request("POST", "/networks", body)
    assert (refused.status, word in refused.fault) == (400, True), refused.fault
    assert cloud.get("/networks").body == before


def test_a_quota_counts_those_of_the_same_request(cloud: NetworkCloud) -> None:
    project = "22222222222222222222222222222222"
    assert cloud.request("PUT", f"/quotas/{project}", {"quota": {"network": 1}}, user="admin").status == 200
    items = [{"name": f"q{number}", "project_id": project} for number in range(2)]
    refused = cloud.request("POST", "/networks", {"networks": items}, user="admin")
    assert (refused.status, refused.body["NeutronError"]["type"]) == (409, "OverQuota")
    assert cloud.get(f"/networks?project_id={project}", user="admin").body["networks"] == []


@pytest.mark.parametrize(("key", "items"), [
    ("subnet", [{"network_id": "$network", "cidr": f"10.3{number}.0.0/24"} for number in range(3)]),
    ("port", [{"network_id": "$network"}] * 3),
    ("security_group_rule", [{"security_group_id": "$group", "direction": "egress", "protocol": "udp", "port_range_min": port,
                              "port_range_max": port} for port in range(1, 4)]),
])
def test_a_conductor_is_woken_once_by_each_request(
    cloud: NetworkCloud, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, key: str, items: list[dict[str, Any]]
) -> None:
    casts: list[str] = []
    monkeypatch.setattr(cloud.rpc.conductor, "push_network", lambda ctxt: casts.append(ctxt.request_id))
    assert cloud.request("POST", f"/{key.replace('_', '-')}s", {f"{key}s": [_fill(item, ids) for item in items]}).status == 201
    assert len(casts) == 1


def test_a_change_of_several_kinds_wakes_a_conductor_once(cloud: NetworkCloud, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    port_id = cloud.boot("woken", ids["network"])
    casts: list[str] = []
    monkeypatch.setattr(cloud.rpc.conductor, "push_network", lambda ctxt: casts.append(ctxt.request_id))
    assert cloud.update("port", port_id, name="n", security_groups=[ids["group"]]).status == 200
    assert len(casts) == 1
