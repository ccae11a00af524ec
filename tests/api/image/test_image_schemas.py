# SPDX-License-Identifier: Apache-2.0
"""The schemas that image clients read, compared with actual responses; and tasks, of which there are none."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from tests.support.api.image_service import ImageService

NOWHERE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def service(tmp_path: Path) -> ImageService:
    return ImageService(tmp_path)


def test_a_list_of_images_is_valid_by_its_schema(service: ImageService) -> None:
    service.create(name="one")
    queued = service.create(name="two", os_distro="cirros", tags=["t"])
    service.upload(queued["id"], b"x" * 600)
    schema = service.request("GET", "/schemas/images").json
    assert (schema["name"], set(schema["properties"])) == ("images", {"images", "first", "next", "schema"})
    listed = service.request("GET", "/images?limit=1").json
    assert listed["next"]
    jsonschema.validate(listed, schema)
    assert schema["properties"]["images"]["items"] == service.request("GET", "/schemas/image").json
    assert listed["schema"] == "/v2/schemas/images"


def test_the_list_of_members_is_valid_by_its_schema(service: ImageService) -> None:
    one, many = service.request("GET", "/schemas/member"), service.request("GET", "/schemas/members")
    assert (one.status_int, many.status_int) == (200, 200)
    assert one.json["name"] == "member"
    assert {"image_id", "member_id", "status"} <= set(one.json["properties"])
    assert many.json["properties"]["members"]["items"] == one.json
    image = service.create()
    jsonschema.validate(service.request("GET", f"/images/{image['id']}/members").json, many.json)


def test_an_image_has_no_tasks_and_is_answered_404_to_other_projects(service: ImageService) -> None:
    image = service.create()
    shown = service.request("GET", f"/images/{image['id']}/tasks")
    assert (shown.status_int, shown.json) == (200, {"tasks": []})
    assert service.request("GET", f"/images/{image['id']}/tasks", user="rita").status_int == 200
    assert service.request("GET", f"/images/{image['id']}/tasks", user="bob").status_int == 404
    assert service.request("GET", f"/images/{NOWHERE}/tasks").status_int == 404


@pytest.mark.parametrize("path", ["/schemas/image", "/schemas/images", "/schemas/member", "/schemas/members"])
def test_schemas_require_the_role_reader(service: ImageService, path: str) -> None:
    assert [service.request("GET", path, user=user).status_int for user in ("rita", "noone", "")] == [200, 403, 401]
