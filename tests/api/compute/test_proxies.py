# SPDX-License-Identifier: Apache-2.0
"""What is left of old resources: the image proxy, hosts, bare metal, and what is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.image.images import Image
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, ComputeApi, boot, settle
from tests.support.api.users import PROJECTS

MINE = "33333333-3333-4333-8333-333333333333"
SNAPSHOT_OF = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"), *compute_api.host("h2"), Image(
        id=MINE, owner=PROJECTS["alice"], name="snap", status="queued", visibility="private", size=5,
        properties={"image_type": "snapshot", "instance_uuid": SNAPSHOT_OF}))
    return made


def test_images_are_listed_and_shown_as_nova_used_to(api: ComputeApi) -> None:
    listed = api.get("/images").body["images"]
    assert [set(image) for image in listed] == [{"id", "name", "links"}] * 2
    assert {link["rel"] for link in listed[0]["links"]} == {"self", "bookmark", "alternate"}
    shown = api.get(f"/images/{IMAGE}").body["image"]
    assert (shown["status"], shown["progress"], shown["metadata"], shown["OS-EXT-IMG-SIZE:size"]) == (
        "ACTIVE", 100, {"os": "linux"}, 1000)
    detail = {image["id"]: image for image in api.get("/images/detail").body["images"]}
    assert detail[IMAGE] == shown
    assert (detail[MINE]["status"], detail[MINE]["server"]["id"]) == ("SAVING", SNAPSHOT_OF)
    assert api.get(f"/images/{IMAGE}", version="2.36").status == 404
    assert api.get(f"/images/{MINE}", user="bob").status == 404


@pytest.mark.parametrize(("query", "found"), [
    ("status=active", [IMAGE]), ("status=SAVING", [MINE]), ("status=DELETED", []), ("status=nope", []), ("name=snap", [MINE]),
    (f"server=http://x/servers/{SNAPSHOT_OF}", [MINE]), ("type=snapshot", [MINE]), ("property-os=linux", [IMAGE]),
    ("minRam=0&name=snap", [MINE]), ("changes-since=2000-01-01T00:00:00Z&name=snap", [MINE]),
    ("changes-since=2999-01-01T00:00:00Z", [])])
def test_images_are_filtered(api: ComputeApi, query: str, found: list[str]) -> None:
    assert [image["id"] for image in api.get(f"/images/detail?{query}").body["images"]] == found


def test_images_come_in_pages(api: ComputeApi) -> None:
    page = api.get("/images?limit=1").body
    rest = api.get(page["images_links"][0]["href"].split("/v2.1")[1]).body
    assert sorted(image["id"] for image in page["images"] + rest["images"]) == sorted([IMAGE, MINE])
    assert api.get("/images?limit=x").status == 400
    assert api.get("/images?marker=x").status == 400


def test_an_image_is_deleted_by_its_project_only(api: ComputeApi) -> None:
    assert api.delete(f"/images/{IMAGE}").status == 403
    assert api.delete(f"/images/{MINE}", user="bob").status == 404
    assert api.delete(f"/images/{MINE}").status == 204
    assert api.get(f"/images/{MINE}").status == 404


def test_metadata_of_images_is_read_and_changed_up_to_2_38(api: ComputeApi) -> None:
    path = f"/images/{MINE}/metadata"
    assert api.put(path, {"metadata": {"a": "1"}}).body == {"metadata": {"a": "1"}}
    assert api.post(path, {"metadata": {"b": "2"}}).body == {"metadata": {"a": "1", "b": "2"}}
    assert api.put(f"{path}/b", {"meta": {"b": "3"}}).body == {"meta": {"b": "3"}}
    assert api.put(f"{path}/c", {"meta": {"b": "3"}}).status == 400
    assert api.get(f"{path}/b", version="2.38").body == {"meta": {"b": "3"}}
    assert api.delete(f"{path}/b").status == 204
    assert [api.get(f"{path}/b").status, api.delete(f"{path}/b").status] == [404, 404]
    assert api.get(path).body == {"metadata": {"a": "1"}}
    assert api.get(path, version="2.39").status == 404
    assert api.put(f"/images/{IMAGE}/metadata", {"metadata": {}}).status == 403
    many = {f"k{number}": "v" for number in range(129)}
    assert api.post(path, {"metadata": many}).status == 403


def test_hosts_are_listed_by_zone(api: ComputeApi) -> None:
    listed = api.get("/os-hosts", user="admin").body["hosts"]
    assert listed[0] == {"host_name": "h1", "service": "compute", "zone": "nova"}
    assert len(api.get("/os-hosts?zone=nova", user="admin").body["hosts"]) == 2
    assert api.get("/os-hosts?zone=nope", user="admin").body["hosts"] == []
    assert [api.get("/os-hosts").status, api.get("/os-hosts", user="admin", version="2.43").status] == [403, 404]


def test_a_host_says_what_is_taken(api: ComputeApi) -> None:
    settle(api, boot(api))
    lines = api.get("/os-hosts/h1", user="admin").body["host"]
    assert [line["resource"]["project"] for line in lines] == ["(total)", "(used_now)", "(used_max)"]
    assert lines[0]["resource"] == {"host": "h1", "project": "(total)", "cpu": 8, "memory_mb": 4096, "disk_gb": 100}
    assert api.get("/os-hosts/h9", user="admin").status == 404


def test_a_host_is_disabled_and_enabled(api: ComputeApi) -> None:
    def put(body: dict[str, Any], host: str = "h1", user: str = "admin") -> Any:
        return api.put(f"/os-hosts/{host}", body, user=user)

    assert put({"status": "disable"}).body == {"host": "h1", "status": "disabled"}
    assert api.get("/os-services?host=h1", user="admin").body["services"][0]["status"] == "disabled"
    assert put({"status": "enable"}).body == {"host": "h1", "status": "enabled"}
    assert [put({}).status, put({"status": "x"}).status, put({"status": "enable"}, "h9").status,
            put({"maintenance_mode": "enable"}).status, put({"status": "enable"}, user="alice").status] == [
                400, 400, 404, 501, 403]


@pytest.mark.parametrize("word", ["startup", "shutdown", "reboot"])
def test_hosts_are_not_switched(api: ComputeApi, word: str) -> None:
    assert [api.get(f"/os-hosts/{host}/{word}", user=user).status for host, user in (
        ("h1", "admin"), ("h9", "admin"), ("h1", "alice"))] == [501, 404, 403]


def test_bare_metal_is_not_here(api: ComputeApi) -> None:
    path = "/os-baremetal-nodes"
    answers = [api.get(path, user="admin"), api.get(f"{path}/1", user="admin"), api.post(path, {"node": {}}),
               api.delete(f"{path}/1"), api.post(f"{path}/1/action", {"add_interface": {}}), api.get(path),
               api.get(path, user="admin", version="2.36")]
    assert [answer.status for answer in answers] == [501, 501, 400, 400, 400, 403, 404]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/os-agents"), ("POST", "/os-agents"), ("PUT", "/os-agents/1"), ("DELETE", "/os-agents/1"), ("GET", "/os-cells"),
    ("GET", "/os-cells/detail"), ("GET", "/os-cells/c/capacities"), ("POST", "/os-cells/sync_instances"),
    ("PUT", "/os-cells/c"), ("GET", "/os-cells/c")])
@pytest.mark.parametrize("version", ["2.1", "2.96"])
def test_what_is_gone_says_so(api: ComputeApi, method: str, path: str, version: str) -> None:
    answer = api.request(method, path, {} if method in ("POST", "PUT") else None, version=version)
    assert answer.status == 410
    assert "no longer available" in answer.body["computeFault"]["message"]
