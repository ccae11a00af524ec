# SPDX-License-Identifier: Apache-2.0
"""Aggregates and the zones that they make, as requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, Answer, ComputeApi, boot, settle


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"), *compute_api.host("h2"))
    return made


def make(api: ComputeApi, name: str = "fast", **fields: Any) -> int:
    made = api.post("/os-aggregates", {"aggregate": {"name": name, **fields}}, user="admin")
    assert made.status == 200, made.body
    return int(made.body["aggregate"]["id"])


def act(api: ComputeApi, number: int, word: str, version: str = "2.1", **inner: Any) -> Answer:
    return api.post(f"/os-aggregates/{number}/action", {word: inner}, user="admin", version=version)


def zones(api: ComputeApi) -> dict[str, list[str]]:
    found = api.get("/os-availability-zone/detail", user="admin").body["availabilityZoneInfo"]
    return {zone["zoneName"]: sorted(zone["hosts"]) for zone in found}


FIELDS = {"id", "name", "availability_zone", "created_at", "updated_at", "deleted", "deleted_at"}


def test_an_aggregate_shows_what_its_version_has(api: ComputeApi) -> None:
    made = api.post("/os-aggregates", {"aggregate": {"name": "a"}}, user="admin", version="2.40")
    assert set(made.body["aggregate"]) == FIELDS
    number = made.body["aggregate"]["id"]
    shown = api.get(f"/os-aggregates/{number}", user="admin", version="2.41").body["aggregate"]
    assert set(shown) == FIELDS | {"uuid", "hosts", "metadata"}
    assert api.get("/os-aggregates", user="admin", version="2.41").body["aggregates"] == [shown]


def test_an_aggregate_is_made_renamed_and_removed(api: ComputeApi) -> None:
    number = make(api)
    assert api.post("/os-aggregates", {"aggregate": {"name": "fast"}}, user="admin").status == 409
    other = make(api, "slow")
    path = f"/os-aggregates/{other}"
    assert api.put(path, {"aggregate": {"name": "fast"}}, user="admin").status == 409
    assert api.put(path, {"aggregate": {"name": "slower"}}, user="admin").body["aggregate"]["name"] == "slower"
    assert api.put(path, {"aggregate": {}}, user="admin").status == 400
    assert act(api, number, "add_host", host="h1").body["aggregate"]["hosts"] == ["h1"]
    assert api.delete(f"/os-aggregates/{number}", user="admin").status == 400
    assert api.delete(path, user="admin").status == 200
    assert [api.get(path, user="admin").status, api.get("/os-aggregates/x", user="admin").status] == [404, 400]
    assert api.get("/os-aggregates").status == 403


def test_a_host_comes_to_an_aggregate_and_leaves_it(api: ComputeApi) -> None:
    number = make(api)
    assert act(api, number, "add_host", host="h1").status == 200
    assert [act(api, number, "add_host", host="h1").status, act(api, number, "add_host", host="h9").status,
            act(api, 99, "add_host", host="h1").status, act(api, number, "remove_host", host="h2").status,
            act(api, number, "burn", host="h2").status] == [409, 404, 404, 404, 400]
    assert act(api, number, "remove_host", host="h1").body["aggregate"]["hosts"] == []


def test_metadata_is_set_and_removed(api: ComputeApi) -> None:
    number = make(api)
    shown = act(api, number, "set_metadata", metadata={"ssd": "true", "gpu": "no"}).body["aggregate"]
    assert shown["metadata"] == {"ssd": "true", "gpu": "no"}
    shown = act(api, number, "set_metadata", metadata={"gpu": None}).body["aggregate"]
    assert (shown["metadata"], shown["updated_at"] is not None) == ({"ssd": "true"}, True)
    assert act(api, number, "set_metadata", metadata={"a": 1}).status == 400


def test_an_aggregate_with_a_zone_takes_its_hosts_there(api: ComputeApi) -> None:
    number = make(api, availability_zone="east")
    assert zones(api) == {"nova": ["h1", "h2"]}
    assert act(api, number, "add_host", host="h1").body["aggregate"]["availability_zone"] == "east"
    assert zones(api) == {"east": ["h1"], "nova": ["h2"]}
    services = api.get("/os-services?host=h1", user="admin").body["services"]
    assert [service["zone"] for service in services] == ["east"]
    assert act(api, number, "set_metadata", metadata={"availability_zone": "west"}).status == 200
    assert zones(api) == {"west": ["h1"], "nova": ["h2"]}
    assert api.put(f"/os-aggregates/{number}", {"aggregate": {"availability_zone": None}}, user="admin").status == 200
    assert zones(api) == {"nova": ["h1", "h2"]}


def test_a_host_is_in_one_zone_only(api: ComputeApi) -> None:
    east, west, plain = make(api, "e", availability_zone="east"), make(api, "w", availability_zone="west"), make(api, "p")
    assert act(api, east, "add_host", host="h1").status == 200
    refused = act(api, west, "add_host", host="h1")
    assert (refused.status, "Host already in availability zone east" in refused.body["conflictingRequest"]["message"]) == (
        409, True)
    assert act(api, plain, "add_host", host="h1").status == 200
    assert act(api, plain, "set_metadata", metadata={"availability_zone": "west"}).status == 400
    assert act(api, plain, "set_metadata", metadata={"availability_zone": "east"}).status == 200
    assert act(api, east, "remove_host", host="h1").status == 200
    assert zones(api) == {"east": ["h1"], "nova": ["h2"]}


def test_a_host_with_servers_stays_in_its_zone(api: ComputeApi) -> None:
    settle(api, boot(api))
    east, plain = make(api, "e", availability_zone="east"), make(api, "p")
    assert act(api, east, "add_host", host="h1").status == 409
    assert act(api, plain, "add_host", host="h1").status == 200
    assert act(api, plain, "set_metadata", metadata={"availability_zone": "east"}).status == 400
    assert act(api, plain, "set_metadata", metadata={"availability_zone": "nova"}).status == 200
    assert act(api, plain, "remove_host", host="h1").status == 200
    assert zones(api) == {"nova": ["h1", "h2"]}


def test_a_server_may_request_the_zone_of_an_aggregate(api: ComputeApi) -> None:
    number = make(api, availability_zone="east")
    body = {"server": {**compute_api.SERVER, "availability_zone": "east"}}
    assert api.post("/servers", body).status == 400
    act(api, number, "add_host", host="h1")
    assert api.post("/servers", body).status == 202


def test_images_are_cached_on_an_aggregates_hosts(api: ComputeApi) -> None:
    number = make(api)
    path, body = f"/os-aggregates/{number}/images", {"cache": [{"id": IMAGE}]}
    assert api.post(path, body, user="admin", version="2.81").status == 400  # no hosts yet
    act(api, number, "add_host", host="h1")
    assert api.post(path, body, user="admin", version="2.81").status == 202
    assert ("conductor", "", "cache_images", {"image_ids": (IMAGE,), "hosts": ("h1",)}) in api.rpc.sent
    missing = {"cache": [{"id": IMAGE.replace("1", "3")}]}
    assert [api.post(path, missing, user="admin", version="2.81").status,
            api.post(path, {"cache": []}, user="admin", version="2.81").status,
            api.post(path, body, user="admin", version="2.80").status,
            api.post(path, body, version="2.81").status] == [400, 400, 404, 403]


def test_a_host_that_is_forgotten_leaves_its_aggregates(api: ComputeApi) -> None:
    number = make(api)
    act(api, number, "add_host", host="h2")
    service = api.get("/os-services?host=h2", user="admin", version="2.53").body["services"][0]
    assert api.delete(f"/os-services/{service['id']}", user="admin", version="2.53").status == 204
    assert api.get(f"/os-aggregates/{number}", user="admin").body["aggregate"]["hosts"] == []
