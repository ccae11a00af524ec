# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup as requests: what is answered, written and refused."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.image.images import Image
from tests.support.api.compute_api import IMAGE, ComputeApi, act, settle
from tests.support.api.users import PROJECTS

BACKUP = {"name": "b", "backup_type": "daily", "rotation": 2}


def made_image(api: ComputeApi) -> Image:
    found: Image = api.change(lambda session: session.scalars(sa.select(Image).where(Image.id != IMAGE)).one())
    return found


def test_a_snapshot_is_a_queued_private_image_with_the_servers_properties(api: ComputeApi, server_id: str) -> None:
    answer = act(api, server_id, "createImage", {"name": "snap", "metadata": {"why": "test"}})
    image = made_image(api)
    assert (answer.status, answer.headers["Location"]) == (202, f"http://cloud:8774/image/v2/images/{image.id}")
    assert (image.name, image.status, image.visibility, image.owner) == ("snap", "queued", "private", PROJECTS["alice"])
    assert (image.disk_format, image.min_disk_gb) == ("qcow2", 1)
    assert image.properties | {
        "os": "linux", "why": "test", "image_type": "snapshot", "instance_uuid": server_id, "user_id": "alice",
        "base_image_ref": IMAGE} == image.properties
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["OS-EXT-STS:task_state"], server["status"]) == ("image_snapshot_pending", "ACTIVE")
    action = api.change(lambda session: session.scalars(sa.select(Action).where(Action.name == "create_image")).one())
    assert action.inputs == {"image_id": image.id}
    assert api.rpc.sent == [("conductor", "", "run", {"action_id": action.id})]
    assert api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"][0]["action"] == "createImage"


@pytest.mark.parametrize(("word", "value"), [("createImage", {"name": "snap"}), ("createBackup", BACKUP)])
def test_the_body_has_the_image_id_from_2_45_on(api: ComputeApi, server_id: str, word: str, value: Any) -> None:
    answer = act(api, server_id, word, value, version="2.45")
    assert (answer.status, answer.body) == (202, {"image_id": made_image(api).id})
    assert "Location" not in answer.headers


def test_a_backup_with_rotation_0_has_no_location(api: ComputeApi, server_id: str) -> None:
    answer = act(api, server_id, "createBackup", {**BACKUP, "rotation": "0"})
    assert (answer.status, answer.headers.get("Location")) == (202, None)


def test_a_backup_stores_its_type_and_rotation(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "createBackup", BACKUP).status == 202
    properties = made_image(api).properties
    assert (properties["image_type"], properties["backup_type"]) == ("backup", "daily")
    action = api.change(lambda session: session.scalars(sa.select(Action).where(Action.name == "create_backup")).one())
    assert (action.inputs["backup_type"], action.inputs["rotation"]) == ("daily", 2)


@pytest.mark.parametrize("state", ["active", "stopped", "paused", "suspended"])
def test_a_snapshot_is_created_in_each_allowed_state(api: ComputeApi, server_id: str, state: str) -> None:
    settle(api, server_id, vm_state=state)
    assert act(api, server_id, "createImage", {"name": "snap"}).status == 202


@pytest.mark.parametrize("columns", [{"vm_state": "error"}, {"vm_state": "building"}, {"task_state": "pausing"}])
@pytest.mark.parametrize(("word", "value"), [("createImage", {"name": "snap"}), ("createBackup", BACKUP)])
def test_no_image_is_created_in_a_wrong_state(
    api: ComputeApi, server_id: str, columns: dict[str, Any], word: str, value: Any
) -> None:
    settle(api, server_id, **columns)
    assert act(api, server_id, word, value).status == 409
    assert api.change(lambda session: session.scalars(sa.select(Image).where(Image.id != IMAGE)).all()) == []


@pytest.mark.parametrize(("word", "value"), [
    ("createImage", {}), ("createImage", {"name": ""}), ("createImage", {"name": "a", "metadata": {"k": 1}}),
    ("createImage", {"name": "a", "x": 1}), ("createBackup", {"name": "b"}), ("createBackup", {**BACKUP, "rotation": -1}),
    ("createBackup", {**BACKUP, "rotation": "-1"}), ("createBackup", {**BACKUP, "backup_type": 1}),
])
def test_a_wrong_request_for_an_image_is_refused(api: ComputeApi, server_id: str, word: str, value: Any) -> None:
    assert act(api, server_id, word, value).status == 400


def test_too_many_metadata_items_of_an_image_are_over_quota(api: ComputeApi, server_id: str) -> None:
    many = {f"k{number}": "v" for number in range(129)}
    assert act(api, server_id, "createImage", {"name": "snap", "metadata": many}).status == 403


def test_an_image_of_a_locked_server_can_be_created(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "lock", None).status == 202
    assert act(api, server_id, "createImage", {"name": "snap"}).status == 202
