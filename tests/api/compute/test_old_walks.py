# SPDX-License-Identifier: Apache-2.0
"""Routes of the Compute API that no other test names: effects, bad input, wrong states, other tenants."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.api.compute.legacy import removed_apis
from nova_lite.api.wsgi.routing import routes_of
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, act, boot, message, settle

SHARE = "66666666-6666-4666-8666-666666666666"
GONE = [route for route in routes_of((removed_apis,)) if route.status == 410]


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"), *compute_api.host("h2"))
    return made


@pytest.fixture
def server(api: ComputeApi) -> str:
    found = boot(api)
    settle(api, found)
    return found


def test_metadata_is_replaced_as_a_whole_and_item_by_item(api: ComputeApi, server: str) -> None:
    assert api.put(f"/servers/{server}/metadata", {"metadata": {"a": "1", "b": "2"}}).body == {"metadata": {"a": "1", "b": "2"}}
    assert api.put(f"/servers/{server}/metadata", {"metadata": {"c": "3"}}).body == {"metadata": {"c": "3"}}
    assert api.put(f"/servers/{server}/metadata/c", {"meta": {"c": "4"}}).body == {"meta": {"c": "4"}}
    assert api.get(f"/servers/{server}/metadata").body == {"metadata": {"c": "4"}}


@pytest.mark.parametrize(("path", "body", "named"), [
    ("metadata", {"metadata": {"a": 1}}, "a"), ("metadata", {}, "metadata"), ("metadata", {"metadata": {"a" * 256: "x"}}, "a" * 256),
    ("metadata/a", {"meta": {"b": "1"}}, "a"), ("metadata/a", {"meta": {"a": "x" * 256}}, "a"), ("metadata/a", {"metadata": {"a": "1"}}, "meta")])
def test_bad_metadata_is_refused_naming_what_is_wrong(api: ComputeApi, server: str, path: str, body: object, named: str) -> None:
    answer = api.put(f"/servers/{server}/{path}", body)
    assert (answer.status, named in message(answer)) == (400, True)


def test_metadata_is_not_written_in_wrong_states_nor_by_others(api: ComputeApi, server: str) -> None:
    body = {"metadata": {"a": "1"}}
    assert api.put(f"/servers/{server}/metadata", body, user="bob").status == 404
    assert api.put(f"/servers/{server}/metadata/a", {"meta": {"a": "1"}}, user="bob").status == 404
    settle(api, server, vm_state="rescued")
    refused = api.put(f"/servers/{server}/metadata", body)
    assert (refused.status, "rescued" in message(refused)) == (409, True)
    many = {f"k{number}": "v" for number in range(129)}
    settle(api, server)
    assert api.put(f"/servers/{server}/metadata", {"metadata": many}).status == 403


def test_tags_are_replaced_as_a_whole(api: ComputeApi, server: str) -> None:
    path = f"/servers/{server}/tags"
    assert sorted(api.put(path, {"tags": ["b", "a"]}, version="2.26").body["tags"]) == ["a", "b"]
    assert api.put(path, {"tags": []}, version="2.26").body == {"tags": []}
    for body, named in (({"tags": ["a,b"]}, "tags"), ({"tags": ["x" * 61]}, "tags"), ({"tags": "a"}, "tags"), ({}, "tags"),
                        ({"tags": [f"t{number}" for number in range(51)]}, "tags")):
        answer = api.put(path, body, version="2.26")
        assert (answer.status, named in message(answer)) == (400, True)
    assert api.put(path, {"tags": ["a"]}, user="bob", version="2.26").status == 404
    assert api.put(path, {"tags": ["a"]}, version="2.25").status == 404


def test_no_live_migration_is_under_way(api: ComputeApi, server: str) -> None:
    path = f"/servers/{server}/migrations"
    assert api.get(path, user="manager", version="2.23").body == {"migrations": []}
    assert api.get(path, user="manager", version="2.22").status == 404
    assert api.get(path, version="2.23").status == 403
    shown = api.get(f"{path}/1", user="admin", version="2.23")
    assert (shown.status, server in message(shown)) == (404, True)
    for answer, word in ((api.delete(f"{path}/1", user="manager", version="2.24"), "abort"),
                         (api.post(f"{path}/1/action", {"force_complete": None}, user="manager", version="2.22"), "force_complete")):
        assert (answer.status, word in message(answer), server in message(answer)) == (409, True, True)
    assert api.delete(f"{path}/1", user="manager", version="2.23").status == 404


def test_servers_have_no_shares(api: ComputeApi, server: str) -> None:
    path, body = f"/servers/{server}/shares", {"share": {"share_id": SHARE, "tag": "t"}}
    assert api.get(path, version="2.97").body == {"shares": []}
    assert api.get(path, version="2.96").status == 404
    assert api.get(f"{path}/{SHARE}", version="2.97").status == 404
    assert api.delete(f"{path}/{SHARE}", version="2.97").status == 404
    running = api.post(path, body, version="2.97")
    assert (running.status, "active" in message(running)) == (409, True)
    settle(api, server, vm_state="stopped")
    stopped = api.post(path, body, version="2.97")
    assert (stopped.status, SHARE in message(stopped)) == (404, True)
    for wrong, field in (({"share": {}}, "share_id"), ({"share": {"share_id": "x"}}, "share_id"),
                         ({"share": {"share_id": SHARE, "tag": "a b"}}, "tag")):
        refused = api.post(path, wrong, version="2.97")
        assert (refused.status, field in message(refused)) == (400, True)
    assert api.get(path, user="bob", version="2.97").status == api.post(path, body, user="bob", version="2.97").status == 404


def test_hypervisors_are_searched_by_name_and_show_their_uptime(api: ComputeApi) -> None:
    names = [one["hypervisor_hostname"] for one in api.get("/os-hypervisors/h/search", user="admin").body["hypervisors"]]
    assert names == ["h1", "h2"]
    missing = api.get("/os-hypervisors/nope/search", user="admin")
    assert (missing.status, "nope" in message(missing)) == (404, True)
    assert api.get("/os-hypervisors/h/search", user="admin", version="2.53").status == 404
    found = api.get("/os-hypervisors", user="admin").body["hypervisors"][0]["id"]
    assert "up 3 days" in api.get(f"/os-hypervisors/{found}/uptime", user="admin").body["hypervisor"]["uptime"]
    assert api.get("/os-hypervisors/999/uptime", user="admin").status == 404
    assert api.get(f"/os-hypervisors/{found}/uptime", user="admin", version="2.88").status == 404
    assert api.get(f"/os-hypervisors/{found}/uptime").status == 403


@pytest.mark.parametrize("word", ["reboot", "shutdown", "startup"])
def test_hosts_are_not_switched(api: ComputeApi, word: str) -> None:
    refused = api.get(f"/os-hosts/h1/{word}", user="admin")
    assert (refused.status, "switched" in message(refused)) == (501, True)
    assert api.get(f"/os-hosts/nope/{word}", user="admin").status == 404
    assert api.get(f"/os-hosts/h1/{word}").status == 403
    assert api.get(f"/os-hosts/h1/{word}", user="admin", version="2.43").status == 404


def test_an_aggregates_hosts_get_a_request_to_cache_images(api: ComputeApi) -> None:
    made = api.post("/os-aggregates", {"aggregate": {"name": "racks"}}, user="admin").body["aggregate"]["id"]
    api.post(f"/os-aggregates/{made}/action", {"add_host": {"host": "h1"}}, user="admin")
    path, body = f"/os-aggregates/{made}/images", {"cache": [{"id": compute_api.IMAGE}]}
    assert api.post(path, body, user="admin", version="2.81").status == 202
    assert api.rpc.sent[-1][2:] == ("cache_images", {"image_ids": (compute_api.IMAGE,), "hosts": ("h1",)})
    for wrong in ({"cache": []}, {"cache": [{"id": "x"}]}, {}, {"cache": [{"id": compute_api.IMAGE}] * 2}):
        refused = api.post(path, wrong, user="admin", version="2.81")
        assert (refused.status, "cache" in message(refused) or "id" in message(refused)) == (400, True), wrong
    assert api.post("/os-aggregates/999/images", body, user="admin", version="2.81").status == 404
    assert api.post(path, body, user="admin", version="2.80").status == 404
    assert api.post(path, body, version="2.81").status == 403


def test_bare_metal_refuses_its_commands(api: ComputeApi) -> None:
    for word in ("add_interface", "remove_interface"):
        refused = api.post("/os-baremetal-nodes/1/action", {word: None}, version="2.35")
        assert (refused.status, word in message(refused)) == (400, True)


@pytest.mark.parametrize("route", GONE, ids=[f"{route.method} {route.path} {route.action or ''}" for route in GONE])
def test_what_is_gone_says_so_at_both_ends(api: ComputeApi, route: object) -> None:
    path = route.path.replace("{", "").replace("}", "")  # type: ignore[attr-defined]
    for version in ("2.1", "2.104"):
        body = {route.action: None} if route.action else None  # type: ignore[attr-defined]
        answer = api.request(route.method, path, body, version=version)  # type: ignore[attr-defined]
        assert (answer.status, "no longer available" in message(answer)) == (410, True)


def test_the_rest_of_the_actions_that_are_gone(api: ComputeApi, server: str) -> None:
    assert act(api, server, "resetNetwork", None, user="admin").status == 410
