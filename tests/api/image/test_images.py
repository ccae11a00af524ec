# SPDX-License-Identifier: Apache-2.0
"""The image service, request by request."""

from __future__ import annotations

import datetime
import hashlib
import urllib.parse
import uuid
from typing import Any

import pytest
import webob

from nova_lite import errors
from nova_lite.api import image as image_api
from nova_lite.db.image import images
from tests.support.api.image_service import DATA, ImageService, message

NOWHERE = "11111111-2222-3333-4444-555555555555"
EACH_ROUTE = [
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", "/file"), ("GET", "/file"), ("PUT", "/tags/t"),
    ("DELETE", "/tags/t"), ("GET", "/members"), ("GET", "/tasks"),
]


def ids(answer: webob.Response) -> list[str]:
    assert answer.status_int == 200, answer.text
    return [image["id"] for image in answer.json["images"]]


def send(service: ImageService, method: str, path: str, *, user: str) -> webob.Response:
    if method == "PATCH":
        return service.patch(path.split("/")[2], {"op": "add", "path": "/name", "value": "n"}, user=user)
    if path.endswith("/file") and method == "PUT":
        return service.upload(path.split("/")[2], b"x" * 10, user=user)
    return service.request(method, path, user=user)


def test_a_new_image_has_all_fields(service: ImageService) -> None:
    made = service.create(name="cirros", os_distro="cirros", tags=["a", "a", "b"], min_disk=1, min_ram=64)
    assert made["created_at"].endswith("Z")
    assert made["updated_at"] == made.pop("created_at")
    made.pop("updated_at")
    assert made == {
        "id": made["id"], "name": "cirros", "status": "queued", "visibility": "shared", "owner": "red",
        "disk_format": "raw", "container_format": "bare", "min_disk": 1, "min_ram": 64, "size": None,
        "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None, "protected": False,
        "os_hidden": False, "tags": ["a", "b"], "os_distro": "cirros", "self": f"/v2/images/{made['id']}",
        "file": f"/v2/images/{made['id']}/file", "schema": "/v2/schemas/image",
    }


def test_an_upload_makes_an_image_active(active: dict[str, Any]) -> None:
    assert active["status"] == "active"
    assert active["size"] == active["virtual_size"] == len(DATA)
    assert active["checksum"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert (active["os_hash_algo"], active["os_hash_value"]) == ("sha512", hashlib.sha512(DATA).hexdigest())


def test_a_download_has_the_uploaded_bytes(service: ImageService, active: dict[str, Any]) -> None:
    answer = service.request("GET", f"/images/{active['id']}/file")
    assert (answer.status_int, answer.content_type) == (200, "application/octet-stream")
    assert answer.content_length == len(DATA)
    assert answer.body == DATA


def test_a_range_is_answered_206(service: ImageService, active: dict[str, Any]) -> None:
    answer = service.request("GET", f"/images/{active['id']}/file", headers={"Range": "bytes=5-1000004"})
    assert (answer.status_int, answer.headers["Content-Range"]) == (206, f"bytes 5-1000004/{len(DATA)}")
    assert answer.body == DATA[5:1000005]


def test_a_range_beyond_the_end_is_answered_416(service: ImageService, active: dict[str, Any]) -> None:
    answer = service.request("GET", f"/images/{active['id']}/file", headers={"Range": "bytes=99999999-"})
    assert (answer.status_int, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_the_data_of_a_queued_image_is_answered_204(service: ImageService) -> None:
    assert service.request("GET", f"/images/{service.create()['id']}/file").status_int == 204


def test_files_are_readable_by_the_service_only(service: ImageService, active: dict[str, Any]) -> None:
    assert active["status"] == "active"
    assert service.files.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in service.files.iterdir()] == [0o600]


# -- isolation


@pytest.mark.parametrize(("method", "tail"), EACH_ROUTE)
def test_another_projects_private_image_does_not_exist(
    service: ImageService, active: dict[str, Any], method: str, tail: str
) -> None:
    answer = send(service, method, f"/images/{active['id']}{tail}", user="bob")
    assert (answer.status_int, message(answer)) == (404, f"Image {active['id']} could not be found.")
    assert send(service, method, f"/images/{NOWHERE}{tail}", user="bob").status_int == 404
    assert service.request("GET", f"/images/{active['id']}").json == active


@pytest.mark.parametrize(("method", "tail"), [pair for pair in EACH_ROUTE if pair[0] != "GET"])
def test_another_projects_public_image_cannot_be_changed(
    service: ImageService, active: dict[str, Any], method: str, tail: str
) -> None:
    service.patch(active["id"], {"op": "replace", "path": "/visibility", "value": "public"}, user="root")
    assert send(service, method, f"/images/{active['id']}{tail}", user="bob").status_int == 403
    assert service.request("GET", f"/images/{active['id']}/file", user="bob").body == DATA


@pytest.mark.parametrize(("method", "tail"), [pair for pair in EACH_ROUTE if pair[0] != "GET"])
def test_a_reader_changes_nothing(service: ImageService, active: dict[str, Any], method: str, tail: str) -> None:
    assert send(service, method, f"/images/{active['id']}{tail}", user="rita").status_int == 403


@pytest.mark.parametrize(("method", "tail"), EACH_ROUTE)
@pytest.mark.parametrize(("user", "status"), [("", 401), ("noone", 403)])
def test_every_route_requires_a_token_and_a_role(
    service: ImageService, active: dict[str, Any], method: str, tail: str, user: str, status: int
) -> None:
    assert send(service, method, f"/images/{active['id']}{tail}", user=user).status_int == status


def test_lists_show_own_and_public_images(service: ImageService) -> None:
    mine = service.create(user="bob")["id"]
    public = service.create(user="root", visibility="public")["id"]
    service.create(user="alice", visibility="private")
    community = service.create(user="alice", visibility="community")["id"]
    assert set(ids(service.request("GET", "/images", user="bob"))) == {mine, public}
    assert ids(service.request("GET", "/images?visibility=community", user="bob")) == [community]
    assert set(ids(service.request("GET", "/images?visibility=all", user="bob"))) == {mine, public, community}
    assert ids(service.request("GET", "/images?owner=red", user="bob")) == []
    assert len(ids(service.request("GET", "/images", user="root"))) == 4


def test_the_role_service_reads_no_data(service: ImageService, active: dict[str, Any]) -> None:
    assert service.request("GET", f"/images/{active['id']}/file", user="nova").status_int == 403
    assert service.request("GET", f"/images/{active['id']}", user="nova").status_int == 403


@pytest.mark.parametrize("fields", [{"visibility": "public"}, {"owner": "blue"}])
def test_only_an_admin_makes_images_public_or_changes_owners(service: ImageService, fields: dict[str, str]) -> None:
    assert service.request("POST", "/images", json={"name": "i", **fields}).status_int == 403
    (name, value), = fields.items()
    step = {"op": "replace", "path": f"/{name}", "value": value}
    made = service.create()["id"]
    assert service.patch(made, step).status_int == 403
    assert service.patch(made, step, user="root").json[name] == value


# -- refusals of bodies


@pytest.mark.parametrize(("body", "status"), [
    ({"min_disk": -1}, 400), ({"name": 5}, 400), ({"name": "x" * 256}, 400), ({"visibility": "secret"}, 400),
    ({"tags": ["x" * 256]}, 400), ({"tags": "x"}, 400), ({"colour": 5}, 400), ({"id": "x"}, 400),
    ({"disk_format": "vmdk"}, 400), ({"container_format": "ovf"}, 400), ({"protected": "yes"}, 400),
    ({"status": "active"}, 403), ({"checksum": "0"}, 403), ({"locations": []}, 403), ({"os_glance_x": "y"}, 403),
    ({f"p{i}": "v" for i in range(129)}, 413), ({"tags": [str(i) for i in range(129)]}, 413),
])
def test_create_refuses(service: ImageService, body: dict[str, Any], status: int) -> None:
    assert service.request("POST", "/images", json=body).status_int == status


def test_an_id_is_used_once_even_after_delete(service: ImageService) -> None:
    chosen = str(uuid.uuid4())
    assert service.create(id=chosen)["id"] == chosen
    assert service.request("POST", "/images", json={"id": chosen}, user="bob").status_int == 409
    assert service.request("DELETE", f"/images/{chosen}").status_int == 204
    assert service.request("POST", "/images", json={"id": chosen}).status_int == 409


@pytest.mark.parametrize(("step", "status"), [
    ({"op": "replace", "path": "/missing", "value": "x"}, 409), ({"op": "remove", "path": "/missing"}, 409),
    ({"op": "remove", "path": "/name"}, 403), ({"op": "replace", "path": "/status", "value": "active"}, 403),
    ({"op": "replace", "path": "/id", "value": NOWHERE}, 403), ({"op": "add", "path": "/a/b", "value": "x"}, 400),
    ({"op": "add", "path": "/", "value": "x"}, 400), ({"op": "add", "path": "/a"}, 400), ({"op": "move", "path": "/a"}, 400),
    ({"op": "add", "path": "/a", "value": 5}, 400), ({"op": "replace", "path": "/min_ram", "value": "5"}, 400),
    ({"op": "replace", "path": "/disk_format", "value": "vdi"}, 403), ({"op": "add"}, 400),
])
def test_patch_refuses_and_changes_nothing(
    service: ImageService, active: dict[str, Any], step: dict[str, Any], status: int
) -> None:
    answer = service.patch(active["id"], {"op": "add", "path": "/seen", "value": "yes"}, step)
    assert answer.status_int == status, answer.text
    assert service.request("GET", f"/images/{active['id']}").json == active


@pytest.mark.parametrize(("body", "content_type", "status"), [
    (b"{}", "application/openstack-images-v2.1-json-patch", 400),
    (b"[", "application/openstack-images-v2.1-json-patch", 400),
    (b"[5]", "application/openstack-images-v2.1-json-patch", 400),
    (b"[]", "application/json", 415),
    (b" " * (1024**2 + 1), "application/openstack-images-v2.1-json-patch", 413),
])
def test_patch_refuses_other_bodies(service: ImageService, body: bytes, content_type: str, status: int) -> None:
    made = service.create()["id"]
    answer = service.request("PATCH", f"/images/{made}", body=body, content_type=content_type)
    assert answer.status_int == status


def test_patch_adds_replaces_and_removes(service: ImageService) -> None:
    made = service.create(os_distro="debian")["id"]
    answer = service.patch(
        made, {"op": "add", "path": "/hw_disk_bus", "value": "virtio"}, {"op": "remove", "path": "/os_distro"},
        {"op": "replace", "path": "/name", "value": None}, {"op": "replace", "path": "/disk_format", "value": "qcow2"},
        {"op": "add", "path": "/with~1slash", "value": "s"}, {"op": "replace", "path": "/tags", "value": ["t"]})
    assert answer.status_int == 200
    shown = service.request("GET", f"/images/{made}").json
    assert shown == answer.json
    assert (shown["hw_disk_bus"], shown["name"], shown["disk_format"], shown["with/slash"], shown["tags"]) == (
        "virtio", None, "qcow2", "s", ["t"])
    assert "os_distro" not in shown


def test_patch_accepts_glances_older_form(service: ImageService) -> None:
    made = service.create(os_distro="debian")["id"]
    body = b'[{"add": "/hw_rescue_bus", "value": "scsi"}, {"remove": "/os_distro"}, {"replace": "/name", "value": "n"}]'
    old = "application/openstack-images-v2.0-json-patch"
    answer = service.request("PATCH", f"/images/{made}", body=body, content_type=old)
    assert (answer.status_int, answer.json["hw_rescue_bus"], answer.json["name"]) == (200, "scsi", "n")
    assert "os_distro" not in answer.json
    for wrong in (b"[{}]", b"[5]", b"{}", b'[{"add": "/a", "remove": "/b", "value": "v"}]'):
        assert service.request("PATCH", f"/images/{made}", body=wrong, content_type=old).status_int == 400


def test_a_protected_image_is_not_deleted(service: ImageService) -> None:
    made = service.create(protected=True)["id"]
    answer = service.request("DELETE", f"/images/{made}")
    assert (answer.status_int, message(answer)) == (403, f"Image {made} is protected and cannot be deleted.")


def test_delete_removes_the_data(service: ImageService, active: dict[str, Any]) -> None:
    assert service.request("DELETE", f"/images/{active['id']}").status_int == 204
    assert service.request("GET", f"/images/{active['id']}").status_int == 404
    assert service.request("DELETE", f"/images/{active['id']}").status_int == 404
    assert service.stored() == []


def test_tags_are_added_and_removed(service: ImageService) -> None:
    made = service.create()["id"]
    assert service.request("PUT", f"/images/{made}/tags/x").status_int == 204
    assert service.request("PUT", f"/images/{made}/tags/x").status_int == 204
    assert service.request("GET", f"/images/{made}").json["tags"] == ["x"]
    assert service.request("DELETE", f"/images/{made}/tags/x").status_int == 204
    assert service.request("DELETE", f"/images/{made}/tags/x").status_int == 404
    assert service.request("PUT", f"/images/{made}/tags/{'x' * 256}").status_int == 400
    for escaped, tag in (("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb")):
        assert service.request("PUT", f"/images/{made}/tags/{escaped}").status_int == 204
        assert service.request("GET", f"/images/{made}").json["tags"] == [tag]
        assert service.request("DELETE", f"/images/{made}/tags/{escaped}").status_int == 204


def test_an_image_has_no_members(service: ImageService) -> None:
    assert service.request("GET", f"/images/{service.create()['id']}/members").json["members"] == []


@pytest.mark.parametrize(("path", "key"), [
    ("/info/import", "import-methods"), ("/metadefs/namespaces", "namespaces"), ("/metadefs/resource_types", "resource_types"), ("/tasks", "tasks")])
def test_what_every_glance_lists_is_listed_empty(service: ImageService, path: str, key: str) -> None:
    listed = service.request("GET", path, user="root").json[key]
    assert (listed["value"] if key == "import-methods" else listed) == []


# -- lists


def test_filters_select_images(service: ImageService) -> None:
    one = service.create(name="one", tags=["x", 'q"u%'], hw_disk_bus="virtio", min_ram=5)["id"]
    two = service.create(name="two, too", disk_format="qcow2", tags=["xy", "x"])["id"]
    hidden = service.create(name="hidden", os_hidden=True)["id"]
    assert ids(service.request("GET", "/images?name=one")) == [one]
    assert set(ids(service.request("GET", '/images?name=in:one,"two, too"'))) == {one, two}
    assert set(ids(service.request("GET", f"/images?id=in:{one},{two},{NOWHERE}"))) == {one, two}
    assert ids(service.request("GET", "/images?names=in:one,nothing")) == [one]
    assert ids(service.request("GET", "/images?tag=xy&tag=x")) == [two]
    assert ids(service.request("GET", f"/images?tag={urllib.parse.quote(chr(34).join(['q', 'u%']))}")) == [one]
    assert ids(service.request("GET", "/images?tag=q%25")) == ids(service.request("GET", "/images?tag=XY")) == []
    assert ids(service.request("GET", "/images?hw_disk_bus=virtio")) == [one]
    assert ids(service.request("GET", "/images?disk_format=qcow2&status=queued")) == [two]
    assert ids(service.request("GET", "/images?min_ram=5")) == [one]
    assert ids(service.request("GET", "/images?status=active")) == []
    assert ids(service.request("GET", "/images?os_hidden=True")) == [hidden]


@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_times_select_images_by_the_whole_second(service: ImageService, name: str) -> None:
    made = service.create()
    with service.database.writer() as session:
        row = session.get(images.Image, made["id"])
        assert row is not None
        row.created_at = row.updated_at = datetime.datetime(2026, 3, 10, 12, 0, 0, 700_000)

    def found(value: str) -> bool:
        return ids(service.request("GET", f"/images?{name}={urllib.parse.quote(value)}")) == [made["id"]]

    shown = service.request("GET", f"/images/{made['id']}").json[name]
    assert [found(f"{operator}{shown}") for operator in ("", "eq:", "gte:", "lte:", "neq:", "gt:", "lt:")] == [
        True, True, True, True, False, False, False]
    assert [found(value) for value in (
        "gt:2026-03-10T11:59:59Z", "lt:2026-03-10T12:00:01Z", "gte:2026-03-10T13:00:00+01:00", "neq:2026-03-10T12:00:01",
        "gte:2026-03-10T12:00:00.5Z")] == [True, True, True, True, False]
    assert found("gt:2026-01-01T00:00:00Z")
    between = f"/images?{name}=gt:2026-03-10T11:00:00Z&{name}=lt:2026-03-10T11:30:00Z"
    assert ids(service.request("GET", between)) == []


def test_a_hash_and_a_virtual_size_select_images(service: ImageService, active: dict[str, Any]) -> None:
    service.create()
    for query, found in (("os_hash_algo=sha512", [active["id"]]), ("os_hash_algo=md5", []),
                         (f"virtual_size={active['virtual_size']}", [active["id"]]), ("virtual_size=1", [])):
        assert ids(service.request("GET", f"/images?{query}")) == found


@pytest.mark.parametrize("query", [
    "created_at=bogus", "created_at=gt:", "updated_at=near:2026-01-01T00:00:00Z", "virtual_size=big", "limit=-1", "limit=x", "marker=" + NOWHERE, "sort=colour:asc", "sort=name:up", "sort_key=x", "visibility=x",
    "os_hidden=maybe", "size_min=x", "id=in:", "name=in:a,,b",
])
def test_lists_refuse(service: ImageService, query: str) -> None:
    answer = service.request("GET", f"/images?{query}")
    assert answer.status_int == 400
    assert message(answer)


@pytest.mark.parametrize("sort", ["", "&sort=name:asc", "&sort_key=size&sort_dir=asc", "&sort=status,name:asc",
                                  "&sort=updated_at:asc", "&sort_dir=asc", "&sort=id:asc"])
def test_pages_have_every_image_once(service: ImageService, sort: str) -> None:
    made = {service.create(name=name)["id"] for name in ("b", "a", "b", None, "c")}
    whole = ids(service.request("GET", f"/images?limit=100{sort}"))
    seen: list[str] = []
    path = f"/images?limit=2{sort}"
    while path:
        answer = service.request("GET", path)
        seen += ids(answer)
        path = answer.json.get("next", "").removeprefix("/v2")
    assert seen == whole
    assert set(seen) == made


def test_sort_orders(service: ImageService) -> None:
    for name in ("b", "c", "a"):
        service.create(name=name)
    answer = service.request("GET", "/images?sort=name:asc")
    assert [image["name"] for image in answer.json["images"]] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schemas_are_served(service: ImageService, name: str) -> None:
    assert service.request("GET", f"/schemas/{name}").json["name"] == name


def test_every_shown_field_is_in_the_schema(service: ImageService) -> None:
    assert set(service.create()) <= set(service.request("GET", "/schemas/image").json["properties"])


def test_the_versions_document_has_one_current_version() -> None:
    found = image_api.versions("http://c/image/")["versions"]
    assert [(v["status"], v["links"][0]["href"]) for v in found] == [("CURRENT", "http://c/image/v2/")]


# -- queries of other services


def test_usable_raises_with_the_reason(service: ImageService, active: dict[str, Any]) -> None:
    queued = service.create()["id"]
    with service.database.reader() as session:
        assert images.usable(session, active["id"], project_id="red").size == len(DATA)
        with pytest.raises(errors.NotFound):
            images.usable(session, active["id"], project_id="blue")
        with pytest.raises(errors.InvalidImage, match="queued"):
            images.usable(session, queued, project_id="red")
        assert set(images.by_ids(session, [active["id"], queued, NOWHERE])) == {active["id"], queued}


def test_a_reader_uploads_nothing(service: ImageService) -> None:
    assert service.upload(service.create()["id"], b"bytes", user="rita").status_int == 403
