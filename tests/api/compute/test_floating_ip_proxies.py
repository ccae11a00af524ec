# SPDX-License-Identifier: Apache-2.0
"""Floating IPs through the Compute API: the resources that end with 2.35, the actions that end with 2.43."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi, boot, network, settle


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    outside = network("33333333-3333-4333-8333-333333333333", "public", user="admin", segment=9)
    outside.is_external = True
    made.add(outside)
    return made


@pytest.fixture
def server_id(api: ComputeApi) -> str:
    made = boot(api, networks=[{"uuid": compute_api.NETWORK}])
    settle(api, made)
    api.rpc.sent.clear()
    return made


def allocate(api: ComputeApi, **more: Any) -> dict[str, Any]:
    made = api.post("/os-floating-ips", {"pool": "public"}, **more)
    assert made.status == 200, made.body
    return dict(made.body["floating_ip"])


def act(api: ComputeApi, server_id: str, word: str, **params: Any) -> Answer:
    return api.post(f"/servers/{server_id}/action", {word: params})


def test_pools_are_the_external_networks(api: ComputeApi) -> None:
    assert api.get("/os-floating-ip-pools").body == {"floating_ip_pools": [{"name": "public"}]}


def test_one_is_allocated_shown_and_released(api: ComputeApi) -> None:
    made = allocate(api)
    assert set(made) == {"id", "ip", "pool", "fixed_ip", "instance_id"}
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", None, None)
    assert api.get("/os-floating-ips").body["floating_ips"] == [made]
    assert api.get("/os-floating-ips", user="bob").body["floating_ips"] == []
    assert api.get(f"/os-floating-ips/{made['id']}").body["floating_ip"] == made
    assert api.delete(f"/os-floating-ips/{made['id']}").status == 202
    assert api.get(f"/os-floating-ips/{made['id']}").status == 404


def test_it_is_associated_with_a_server_and_disassociated(api: ComputeApi, server_id: str) -> None:
    made = allocate(api)
    assert act(api, server_id, "addFloatingIp", address=made["ip"]).status == 202
    assert api.get(f"/os-floating-ips/{made['id']}").body["floating_ip"]["instance_id"] == server_id
    shown = api.get(f"/servers/{server_id}").body["server"]["addresses"]["net"]
    assert [one["OS-EXT-IPS:type"] for one in shown] == ["fixed", "floating"]
    api.push_network()
    assert "refresh" in [method for _, _, method, _ in api.rpc.sent]
    assert act(api, server_id, "removeFloatingIp", address=made["ip"]).status == 202
    assert act(api, server_id, "removeFloatingIp", address=made["ip"]).status == 409


@pytest.mark.parametrize(("params", "status"), [
    ({"address": "9.9.9.9"}, 404), ({"address": "x"}, 400), ({}, 400), ({"address": "9.9.9.9", "fixed_address": "8.8.8.8"}, 400),
])
def test_an_association_that_cannot_be_is_refused(api: ComputeApi, server_id: str, params: dict[str, Any], status: int) -> None:
    assert act(api, server_id, "addFloatingIp", **params).status == status


def test_what_cannot_be_taken_is_refused(api: ComputeApi) -> None:
    assert api.post("/os-floating-ips", {"pool": "none"}).status == 404
    assert api.get("/os-floating-ips/1").status == 400
    assert api.delete(f"/os-floating-ips/{uuid.uuid4()}").status == 404
    api.conf.set_override("floating_ips", 0, group="quota")
    assert api.post("/os-floating-ips", {}).status == 403


def test_their_microversions_end(api: ComputeApi, server_id: str) -> None:
    assert [api.get(path, version="2.36").status for path in ("/os-floating-ips", "/os-floating-ip-pools")] == [404, 404]
    body = {"addFloatingIp": {"address": "9.9.9.9"}}
    assert api.post(f"/servers/{server_id}/action", body, version="2.43").status == 404
    assert api.post(f"/servers/{server_id}/action", body, version="2.44").status in (400, 404)


def test_limits_count_them(api: ComputeApi) -> None:
    allocate(api)
    assert api.get("/limits").body["limits"]["absolute"]["totalFloatingIpsUsed"] == 1
