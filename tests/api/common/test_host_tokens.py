# SPDX-License-Identifier: Apache-2.0
"""The token that a host gets for one image's data: good for that, and refused by every other route of every service."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterator

import pytest

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import PUBLIC
from nova_lite.runtime import tokens
from nova_lite.values.image_grant import Access, ImageGrant
from tests.support.api.paste_cloud import PasteCloud, Who

ROOTS = {"compute": "/v2.1", "identity": "/identity/v3", "image": "/image/v2", "network": "/network/v2.0",
         "volume": "/volume/v3"}
ROUTES = [(name, route) for name, service in SERVICES.items() for route in service.routes if route.policy is not PUBLIC]
DATA = b"a disk" * 100


@dataclasses.dataclass
class Stage:
    """Alice's private image `active`, her queued image `queued`, and one of bob's, private too."""

    cloud: PasteCloud
    alice: Who
    active: str
    queued: str
    bobs: str

    def token(self, image_id: str, access: Access) -> str:
        grant = ImageGrant(image_id, access, "h1")
        return tokens.open_tokens(self.cloud.conf).issue_for_image(grant, project_id=self.alice.project_id)

    def status(self, method: str, path: str, token: str, body: bytes | None = None) -> int:
        headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
        return int(self.cloud.request(method, path, body, token=token, headers=headers).status_int)


def _image(cloud: PasteCloud, who: Who, *, has_data: bool) -> str:
    body = {"name": "i", "visibility": "private", "disk_format": "raw", "container_format": "bare"}
    image_id = str(cloud.made("/image/v2/images", body, token=who.token)["id"])
    if has_data:
        headers = {"Content-Type": "application/octet-stream"}
        assert cloud.request("PUT", f"/image/v2/images/{image_id}/file", DATA, token=who.token, headers=headers).status_int == 204
    return image_id


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cloud = PasteCloud(tmp_path_factory.mktemp("hosts"))
    alice, bob = cloud.add_member("alice"), cloud.add_member("bob")
    yield Stage(cloud, alice, _image(cloud, alice, has_data=True), _image(cloud, alice, has_data=False),
                _image(cloud, bob, has_data=True))
    cloud.close()


@pytest.mark.parametrize(("service", "route"), ROUTES, ids=[f"{name} {route.method} {route.path} {route.action or ''}" for name, route in ROUTES])
@pytest.mark.parametrize("access", list(Access))
def test_a_hosts_token_is_refused_by_every_other_route(stage: Stage, service: str, route: Route, access: Access) -> None:
    image_id = stage.active if access is Access.READ else stage.queued
    other = stage.queued if access is Access.READ else stage.active
    path = ROOTS[service] + re.sub(r"{image_id}", other, route.path)
    path = re.sub(r"{\w+}", str(uuid.uuid4()), path)
    assert stage.status(route.method, path, stage.token(image_id, access)) == 401


def test_a_read_token_reads_its_image(stage: Stage) -> None:
    answer = stage.cloud.request("GET", f"/image/v2/images/{stage.active}/file", token=stage.token(stage.active, Access.READ))
    assert (answer.status_int, answer.body) == (200, DATA)


@pytest.mark.parametrize(("method", "tail"), [
    ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", "/file"), ("PUT", "/tags/x"), ("GET", "/members"), ("POST", "/file"),
])
def test_a_read_token_does_nothing_else_with_its_image(stage: Stage, method: str, tail: str) -> None:
    token = stage.token(stage.active, Access.READ)
    assert stage.status(method, f"/image/v2/images/{stage.active}{tail}", token, b"x") == 401


def test_a_read_token_does_not_read_another_image(stage: Stage) -> None:
    token = stage.token(stage.active, Access.READ)
    assert stage.status("GET", f"/image/v2/images/{stage.bobs}/file", token) == 401
    assert stage.status("GET", f"/image/v2/images/{stage.queued}/file", token) == 401


def test_a_write_token_fills_its_image_once_and_reads_nothing(stage: Stage) -> None:
    image_id = _image(stage.cloud, stage.alice, has_data=False)
    token, path = stage.token(image_id, Access.WRITE), f"/image/v2/images/{image_id}/file"
    assert stage.status("PUT", f"/image/v2/images/{stage.queued}/file", token, b"other") == 401
    assert stage.status("GET", path, token) == 401
    assert stage.status("PUT", path, token, DATA) == 204
    assert stage.status("PUT", path, token, DATA) == 409


def test_a_write_token_of_a_project_does_not_fill_anothers_image(stage: Stage) -> None:
    token = stage.token(stage.bobs, Access.WRITE)
    assert stage.status("PUT", f"/image/v2/images/{stage.bobs}/file", token, DATA) in (403, 404, 409)
    assert stage.cloud.request("GET", f"/image/v2/images/{stage.bobs}/file", token=stage.cloud.admin.token).body == DATA


def test_a_user_with_the_role_service_has_no_right_to_images_or_tokens(stage: Stage) -> None:
    cloud, admin = stage.cloud, stage.cloud.admin.token
    carol = cloud.add_member("carol")
    role = cloud.request("GET", "/identity/v3/roles?name=service", token=admin).json["roles"][0]["id"]
    cloud.request("PUT", f"/identity/v3/projects/{carol.project_id}/users/{carol.user_id}/roles/{role}", token=admin)
    token = cloud.log_in("carol", "carol secret", "carol").token
    assert stage.status("GET", f"/image/v2/images/{stage.active}/file", token) == 404
    subject = {"X-Subject-Token": stage.alice.token}
    assert cloud.request("GET", "/identity/v3/auth/tokens", token=token, headers=subject).status_int == 200
    assert cloud.request("DELETE", "/identity/v3/auth/tokens", token=token, headers=subject).status_int == 403
    assert cloud.request("GET", "/v2.1/servers", token=stage.alice.token).status_int == 200
