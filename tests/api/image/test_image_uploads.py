# SPDX-License-Identifier: Apache-2.0
"""Uploads of images: refusals, interruptions and concurrent requests."""

from __future__ import annotations

import hashlib
import os
import pathlib
import threading
from typing import Any

import pytest
import webob

from tests.support.api.image_service import DATA, ImageService, message


def test_an_upload_to_an_active_image_is_refused(service: ImageService, active: dict[str, Any]) -> None:
    answer = service.upload(active["id"], b"other")
    assert (answer.status_int, "active" in message(answer)) == (409, True)
    assert service.request("GET", f"/images/{active['id']}/file").body == DATA
    assert len(service.stored()) == 1


def refused(service: ImageService, answer: webob.Response, image_id: str, status: int, *words: str) -> None:
    """It was refused with these words; the image is queued, nothing is stored, and valid data is then accepted."""
    assert answer.status_int == status, answer.text
    assert all(word in message(answer) for word in words), answer.text
    shown = service.request("GET", f"/images/{image_id}").json
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert service.stored() == []
    assert service.upload(image_id, b"good").status_int == 204


def test_data_of_another_format_is_refused(service: ImageService) -> None:
    made = service.create()["id"]
    refused(service, service.upload(made, b"QFI\xfb" + bytes(600)), made, 400, "qcow2, not raw as declared")


@pytest.mark.parametrize("disk_format", ["qcow2", "iso"])
def test_empty_data_is_refused_where_the_format_has_a_header(service: ImageService, disk_format: str) -> None:
    made = service.create(disk_format=disk_format)["id"]
    answer = service.upload(made, b"")
    assert (answer.status_int, f"empty, not {disk_format}" in message(answer)) == (400, True)
    assert service.request("GET", f"/images/{made}").json["status"] == "queued"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_image_without_bytes_is_a_raw_disk(service: ImageService, is_chunked: bool) -> None:
    """As `openstack image create NAME` sends it where its standard input is empty."""
    made = service.create()["id"]
    request = webob.Request.blank(f"/images/{made}/file", method="PUT", body=b"", headers={"X-User": "alice"})
    request.content_type = "application/octet-stream"
    if is_chunked:
        del request.environ["CONTENT_LENGTH"]
        request.headers["Transfer-Encoding"] = "chunked"
    assert request.get_response(service).status_int == 204
    shown = service.request("GET", f"/images/{made}").json
    assert (shown["status"], shown["size"], shown["checksum"]) == ("active", 0, hashlib.md5(b"", usedforsecurity=False).hexdigest())
    got = service.request("GET", f"/images/{made}/file")
    assert (got.status_int, got.body, got.headers["Content-Length"]) == (200, b"", "0")


def test_a_short_body_is_refused(service: ImageService) -> None:
    made = service.create()["id"]
    request = webob.Request.blank(f"/images/{made}/file", method="PUT", body=b"x" * 100, headers={"X-User": "alice"})
    request.content_type, request.content_length = "application/octet-stream", 200
    refused(service, request.get_response(service), made, 400, "ended after", "100", "200")


class InterruptedInput:
    """A connection that is reset after some data."""

    def __init__(self) -> None:
        self.chunks = [b"x" * 1000]

    def read(self, size: int = -1) -> bytes:
        if not self.chunks:
            raise ConnectionResetError(104, "Connection reset by peer")
        return self.chunks.pop()


@pytest.mark.parametrize("length", [{"CONTENT_LENGTH": "5000"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_an_interrupted_connection_leaves_no_data(service: ImageService, length: dict[str, str]) -> None:
    made = service.create()["id"]
    request = webob.Request.blank(f"/images/{made}/file", method="PUT", headers={"X-User": "alice"})
    request.environ.update({"wsgi.input": InterruptedInput(), "CONTENT_TYPE": "application/octet-stream", **length})
    refused(service, request.get_response(service), made, 400, "interrupted")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_image_over_the_limit_is_refused(tmp_path: pathlib.Path, *, chunked: bool) -> None:
    service = ImageService(tmp_path, "max_image_size = 1000000")
    made = service.create()["id"]
    request = webob.Request.blank(f"/images/{made}/file", method="PUT", body=b"x" * 1000001, headers={"X-User": "alice"})
    request.content_type = "application/octet-stream"
    if chunked:
        del request.environ["CONTENT_LENGTH"]
        request.environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    refused(service, request.get_response(service), made, 413, "1000000")


def test_a_body_too_large_for_the_disk_is_refused_at_once(service: ImageService) -> None:
    made = service.create()["id"]
    request = webob.Request.blank(f"/images/{made}/file", method="PUT", body=b"x", headers={"X-User": "alice"})
    request.content_type, request.content_length = "application/octet-stream", 63 * 1024**3
    if os.statvfs(service.conf.state_path).f_bavail * 4096 > 63 * 1024**3:
        service.conf.set_override("max_image_size", 2**62, group="image")
        service.conf.set_override("image_size_total", -1, group="quota")
        request.content_length = 2**60
    refused(service, request.get_response(service), made, 413, str(service.files), str(request.content_length), "free")


def test_formats_are_required_before_an_upload(service: ImageService) -> None:
    made = service.request("POST", "/images", json={"name": "bare"}).json["id"]
    assert service.upload(made, b"x").status_int == 400
    assert service.request("GET", f"/images/{made}").json["status"] == "queued"


def test_another_content_type_is_refused(service: ImageService) -> None:
    made = service.create()["id"]
    answer = service.request("PUT", f"/images/{made}/file", body=b"{}", content_type="application/json")
    assert answer.status_int == 415


class WaitingInput:
    """A body whose second half arrives when the test sets `resume`."""

    def __init__(self, content: bytes) -> None:
        self.chunks = [content[5:], content[:5]]
        self.started, self.resume = threading.Event(), threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.started.set()
        if len(self.chunks) == 1:
            assert self.resume.wait(20)
        return self.chunks.pop() if self.chunks else b""


def slow_upload(service: ImageService, image_id: str, body: WaitingInput) -> tuple[threading.Thread, list[webob.Response]]:
    answers: list[webob.Response] = []
    request = webob.Request.blank(f"/images/{image_id}/file", method="PUT", headers={"X-User": "alice"})
    request.environ.update({"wsgi.input": body, "CONTENT_TYPE": "application/octet-stream",
                            "HTTP_TRANSFER_ENCODING": "chunked"})
    thread = threading.Thread(target=lambda: answers.append(request.get_response(service)))
    thread.start()
    assert body.started.wait(20)
    return thread, answers


def test_other_writes_succeed_during_an_upload(service: ImageService) -> None:
    made, body = service.create()["id"], WaitingInput(b"some bytes")
    thread, answers = slow_upload(service, made, body)
    assert service.request("GET", f"/images/{made}").json["status"] == "saving"
    assert service.create()["status"] == "queued"
    assert service.patch(made, {"op": "add", "path": "/a", "value": "b"}).status_int == 200
    body.resume.set()
    thread.join(20)
    assert answers[0].status_int == 204
    shown = service.request("GET", f"/images/{made}").json
    assert (shown["status"], shown["size"], shown["a"]) == ("active", 10, "b")


def test_delete_during_an_upload_wins(service: ImageService) -> None:
    made, body = service.create()["id"], WaitingInput(b"some bytes")
    thread, answers = slow_upload(service, made, body)
    assert service.request("DELETE", f"/images/{made}").status_int == 204
    body.resume.set()
    thread.join(20)
    assert answers[0].status_int == 409
    assert service.stored() == []


def test_a_second_upload_is_refused_while_one_is_in_progress(service: ImageService) -> None:
    made, body = service.create()["id"], WaitingInput(b"some bytes")
    thread, answers = slow_upload(service, made, body)
    assert service.upload(made, b"other").status_int == 409
    body.resume.set()
    thread.join(20)
    assert answers[0].status_int == 204
    assert service.request("GET", f"/images/{made}/file").body == b"some bytes"


def test_one_of_two_concurrent_uploads_succeeds_completely(service: ImageService) -> None:
    made, gate = service.create()["id"], threading.Barrier(2)
    answers: dict[bytes, int] = {}

    def put(content: bytes) -> None:
        gate.wait(20)
        answers[content] = service.upload(made, content * 100_000).status_int

    threads = [threading.Thread(target=put, args=(content,)) for content in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers.values()) == [204, 409]
    winner = next(content for content, status in answers.items() if status == 204)
    assert service.request("GET", f"/images/{made}/file").body == winner * 100_000
    assert len(service.stored()) == 1
