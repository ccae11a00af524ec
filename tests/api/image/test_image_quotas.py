# SPDX-License-Identifier: Apache-2.0
"""Quotas of images, the reserve of the store, and the size of one image's row."""

from __future__ import annotations

import os
import pathlib
from concurrent import futures
from typing import Any

import pytest
import webob

from nova_lite.db.image.images import Image
from nova_lite.db.quotas.quotas import Quota
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi
from tests.support.api.image_service import ImageService, message
from tests.support.api.users import PROJECTS

MIB = 1024**2


def _limit(service: ImageService, **limits: int) -> None:
    with service.database.writer() as session:
        session.add_all([Quota(project_id="red", resource=name, hard_limit=value) for name, value in limits.items()])


def _send(service: ImageService, image_id: str, chunks: list[bytes], *, length: int | None) -> webob.Response:
    """PUT of the data, chunked if `length` is None."""
    class Input:
        def read(self, size: int = -1) -> bytes:
            return chunks.pop(0) if chunks else b""

    request = webob.Request.blank(f"/images/{image_id}/file", method="PUT", headers={"X-User": "alice"})
    request.content_type, request.environ["wsgi.input"] = "application/octet-stream", Input()
    if length is None:
        request.headers["Transfer-Encoding"] = "chunked"
        request.environ.pop("CONTENT_LENGTH", None)
    else:
        request.content_length = length
    return request.get_response(service)


def test_a_project_has_a_number_of_images(service: ImageService) -> None:
    _limit(service, image_count_total=2)
    first = service.create()
    service.create()
    refused = service.request("POST", "/images", json={"name": "third"})
    assert (refused.status_int, "2 of 2" in message(refused)) == (413, True)
    assert service.request("POST", "/images", user="bob", json={"name": "another project's"}).status_int == 201
    assert service.request("DELETE", f"/images/{first['id']}").status_int == 204
    service.create()


def test_snapshots_count_and_the_server_is_as_it_was(api: ComputeApi, server_id: str) -> None:
    api.add(Quota(project_id=PROJECTS["alice"], resource="image_count_total", hard_limit=1))
    assert compute_api.act(api, server_id, "createImage", {"name": "s1"}).status == 202
    compute_api.settle(api, server_id)
    refused = compute_api.act(api, server_id, "createImage", {"name": "s2"})
    assert (refused.status, "1 of 1" in compute_api.message(refused)) == (403, True)
    assert compute_api.act(api, server_id, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}).status == 403
    assert compute_api.act(api, server_id, "shelve").status == 403
    shown = api.get(f"/servers/{server_id}").body["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", None)


def test_a_project_has_a_number_of_bytes(service: ImageService) -> None:
    _limit(service, image_size_total=2)
    full = service.create()["id"]
    assert service.upload(full, bytes(MIB * 3 // 2)).status_int == 204
    more = service.create()["id"]
    refused = service.upload(more, bytes(MIB))
    assert (refused.status_int, "image_size_total" in message(refused)) == (413, True)
    assert service.request("GET", f"/images/{more}").json["status"] == "queued"
    assert service.upload(more, bytes(MIB // 2)).status_int == 204
    assert service.request("DELETE", f"/images/{full}").status_int == 204
    again = service.create()["id"]
    assert service.upload(again, bytes(MIB)).status_int == 204


def test_an_upload_of_unknown_length_ends_at_the_quota(service: ImageService) -> None:
    _limit(service, image_size_total=2)
    image_id = service.create()["id"]
    refused = _send(service, image_id, [bytes(MIB)] * 3, length=None)
    assert refused.status_int == 413
    shown = service.request("GET", f"/images/{image_id}").json
    assert (shown["status"], shown["size"], service.stored()) == ("queued", None, [])
    assert _send(service, image_id, [bytes(MIB)] * 2, length=None).status_int == 204
    assert service.request("GET", f"/images/{image_id}").json["size"] == 2 * MIB


def test_an_upload_under_way_counts_and_shows_no_size(service: ImageService) -> None:
    _limit(service, image_size_total=2)
    first, second = service.create()["id"], service.create()["id"]
    seen: list[tuple[Any, int]] = []

    class Half(list[bytes]):
        def pop(self, at: Any = -1) -> bytes:
            if len(self) == 1:
                shown = service.request("GET", f"/images/{first}").json
                seen.append(((shown["status"], shown["size"]), service.upload(second, bytes(MIB)).status_int))
            return super().pop(at)

    assert _send(service, first, Half([bytes(MIB), bytes(MIB // 2)]), length=MIB * 3 // 2).status_int == 204
    assert seen == [(("saving", None), 413)]


@pytest.mark.parametrize("length", ["-5", "-9999999999"])
def test_a_negative_length_reserves_nothing(service: ImageService, length: str) -> None:
    image_id = service.create()["id"]
    request = webob.Request.blank(f"/images/{image_id}/file", method="PUT", headers={"X-User": "alice"})
    request.content_type, request.environ["CONTENT_LENGTH"] = "application/octet-stream", length
    assert request.get_response(service).status_int == 400


def test_of_images_made_at_once_only_the_quota_passes(service: ImageService) -> None:
    _limit(service, image_count_total=3)
    with futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: service.request("POST", "/images", json={"name": "i"}).status_int, range(8)))
    assert sorted(statuses) == [201] * 3 + [413] * 5


def test_of_uploads_at_once_only_the_quota_passes(service: ImageService) -> None:
    _limit(service, image_size_total=2)
    made = [service.create()["id"] for _ in range(6)]
    with futures.ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda image_id: service.upload(image_id, bytes(MIB)).status_int, made))
    assert sorted(statuses) == [204] * 2 + [413] * 4


def test_uploads_leave_a_reserve_in_the_store(tmp_path: pathlib.Path) -> None:
    service = ImageService(tmp_path, "store_reserve = 1000000000", f"max_image_size = {1 << 60}")  # at most a tenth of the file system
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    image_id = service.create()["id"]
    refused = _send(service, image_id, [], length=free - disk.f_blocks * disk.f_frsize // 20)
    assert (refused.status_int, "no space" in message(refused)) == (413, True)
    service.database.close()


def test_one_images_row_has_a_size(service: ImageService) -> None:
    image_id = service.create()["id"]
    assert service.patch(image_id, {"op": "add", "path": "/a", "value": "x" * 60_000}).status_int == 200
    refused = service.patch(image_id, {"op": "add", "path": "/b", "value": "x" * 60_000})
    assert (refused.status_int, "65536 bytes" in message(refused)) == (413, True)
    assert service.request("POST", "/images", json={"name": "i", "a": "é" * 33_000}).status_int == 413
    assert service.patch(image_id, {"op": "replace", "path": "/name", "value": "renamed"}).status_int == 200


def test_a_snapshot_with_many_inherited_properties_can_be_renamed(service: ImageService) -> None:
    image_id = service.create()["id"]
    with service.database.writer() as session:
        session.get_one(Image, image_id).properties = {f"p{number}": "v" for number in range(140)}
    assert service.patch(image_id, {"op": "replace", "path": "/name", "value": "renamed"}).status_int == 200
    assert service.patch(image_id, {"op": "add", "path": "/one", "value": "more"}).status_int == 413
