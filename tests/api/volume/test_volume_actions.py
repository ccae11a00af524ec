# SPDX-License-Identifier: Apache-2.0
"""Actions on volumes, as clients request them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.image.images import Image
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.volumes import Volume
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, message, snapshot, volume

V1 = "aaaaaaaa-0000-4000-8000-000000000001"
S1, S2 = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
SERVER = "dddddddd-0000-4000-8000-000000000001"


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1 of 2 GiB."""
    made = volume_api.make(tmp_path)
    made.add(volume(V1, size_gb=2))
    return made


def act(api: VolumeApi, name: str, params: Any = None, **more: Any) -> Answer:
    return api.post(f"/volumes/{V1}/action", {name: params}, **more)


def shown(api: VolumeApi) -> dict[str, Any]:
    return dict(api.get(f"/volumes/{V1}", user="admin").body["volume"])


def set_volume(api: VolumeApi, **columns: Any) -> None:
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(**columns)))


def actions_of(api: VolumeApi, resource_id: str = V1) -> list[tuple[str, dict[str, Any]]]:
    rows = api.change(lambda session: session.execute(
        sa.select(Action.name, Action.inputs).where(Action.resource_id == resource_id).order_by(Action.id)).all())
    return [(name, inputs) for name, inputs in rows]


@pytest.mark.parametrize("size", [3, "3"])
def test_a_volume_is_extended(api: VolumeApi, size: object) -> None:
    assert act(api, "os-extend", {"new_size": size}, version="3.0").status == 202
    assert (shown(api)["status"], shown(api)["size"]) == ("extending", 2)
    assert actions_of(api) == [("extend_volume", {"size_gb": 3})]
    assert [method for _, _, method, _ in api.rpc.sent] == ["run"]


@pytest.mark.parametrize("size", [2, 1, 0, -3, "x", None, "", 1 << 31, 2.5])
def test_a_size_that_is_not_larger_is_refused(api: VolumeApi, size: object) -> None:
    assert act(api, "os-extend", {"new_size": size}).status == 400
    assert shown(api)["status"] == "available"


def test_a_volume_in_use_is_extended_from_3_42_on(api: VolumeApi) -> None:
    set_volume(api, status="in-use")
    assert act(api, "os-extend", {"new_size": 3}, version="3.41").status == 400
    assert act(api, "os-extend", {"new_size": 3}, version="3.42").status == 202
    assert act(api, "os-extend", {"new_size": 4}).status == 400


def test_an_extension_beyond_the_quota_is_413(api: VolumeApi) -> None:
    api.add(VolumeQuota(project_id=PROJECTS["alice"], resource="gigabytes", hard_limit=4))
    assert act(api, "os-extend", {"new_size": 5}).status == 413
    assert act(api, "os-extend", {"new_size": 4}, user="admin").status == 202


def test_flags_are_set_and_shown(api: VolumeApi) -> None:
    assert "readonly" not in shown(api)["metadata"]
    for value in (True, "False"):
        assert act(api, "os-set_bootable", {"bootable": value}).status == 200
        assert act(api, "os-update_readonly_flag", {"readonly": value}).status == 202
        assert (shown(api)["bootable"], shown(api)["metadata"]["readonly"]) == (str(value).lower(), str(value))
    assert act(api, "os-set_bootable", {"bootable": "perhaps"}).status == 400
    assert act(api, "os-update_readonly_flag", {}).status == 400
    set_volume(api, status="in-use")
    assert act(api, "os-update_readonly_flag", {"readonly": True}).status == 400


def test_image_metadata_is_set_shown_and_removed(api: VolumeApi) -> None:
    assert act(api, "os-set_image_metadata", {"metadata": {"os": "linux", "hw": "x"}}).body == {"metadata": {"os": "linux", "hw": "x"}}
    assert act(api, "os-unset_image_metadata", {"key": "hw"}).status == 200
    assert act(api, "os-unset_image_metadata", {"key": "hw"}).status == 404
    assert act(api, "os-show_image_metadata").body == {"metadata": {"os": "linux"}}
    assert shown(api)["volume_image_metadata"] == {"os": "linux"}
    assert act(api, "os-set_image_metadata", {"metadata": {str(n): "" for n in range(128)}}).status == 400


def test_an_image_is_made_of_a_volume(api: VolumeApi) -> None:
    answer = act(api, "os-volume_upload_image", {"image_name": "copy", "disk_format": "qcow2", "visibility": "shared", "protected": True})
    made = answer.body["os-volume_upload_image"]
    assert (answer.status, made["status"], made["image_name"], made["disk_format"], made["visibility"]) == (202, "uploading", "copy", "qcow2", "shared")
    assert actions_of(api) == [("upload_volume", {"image_id": made["image_id"], "disk_format": "qcow2"})]
    image = api.change(lambda session: session.get(Image, made["image_id"]))
    assert (image.status, image.owner, image.protected, image.disk_format) == ("queued", PROJECTS["alice"], True, "qcow2")
    assert act(api, "os-volume_upload_image", {"image_name": "again"}).status == 400


def test_the_fields_of_an_upload_follow_the_microversion(api: VolumeApi) -> None:
    assert act(api, "os-volume_upload_image", {"image_name": "x", "visibility": "public"}, version="3.0").status == 400
    made = act(api, "os-volume_upload_image", {"image_name": "x"}, version="3.0").body["os-volume_upload_image"]
    assert made.keys() == {"id", "updated_at", "status", "display_description", "size", "volume_type", "image_id", "container_format", "disk_format", "image_name"}


def test_who_may_upload_what(api: VolumeApi) -> None:
    assert act(api, "os-volume_upload_image", {"image_name": "x", "visibility": "public"}).status == 403
    assert act(api, "os-volume_upload_image", {"image_name": "x", "disk_format": "floppy"}).status == 400
    set_volume(api, status="in-use")
    assert act(api, "os-volume_upload_image", {"image_name": "x"}).status == 400
    assert act(api, "os-volume_upload_image", {"image_name": "x", "force": "True"}).status == 202


def test_a_volume_goes_back_to_its_newest_snapshot(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1, size_gb=2))
    assert act(api, "revert", {"snapshot_id": S1}, version="3.39").status == 400
    assert act(api, "revert", {"snapshot_id": S1}).status == 202
    assert shown(api)["status"] == "reverting"
    assert api.get(f"/snapshots/{S1}").body["snapshot"]["status"] == "restoring"
    assert actions_of(api) == [("revert_volume", {"snapshot_id": S1})]


@pytest.mark.parametrize(("columns", "status"), [({"status": "in-use"}, 409), ({"size_gb": 3}, 400)])
def test_a_revert_that_cannot_be_is_refused(api: VolumeApi, columns: dict[str, Any], status: int) -> None:
    assert act(api, "revert", {"snapshot_id": S1}).status == 400
    api.add(snapshot(S1, V1, size_gb=2))
    assert act(api, "revert", {"snapshot_id": S2}).status == 400
    set_volume(api, **columns)
    assert act(api, "revert", {"snapshot_id": S1}).status == status


def test_a_revert_to_a_snapshot_that_is_busy_leaves_the_volume_as_it_is(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1, size_gb=2, status="creating"))
    assert act(api, "revert", {"snapshot_id": S1}).status == 409
    assert shown(api)["status"] == "available"


@pytest.mark.parametrize("status", ["maintenance", "attaching", "creating", "error", "AVAILABLE"])
def test_administrators_set_a_status(api: VolumeApi, status: str) -> None:
    assert act(api, "os-reset_status", {"status": status}).status == 403
    assert act(api, "os-reset_status", {"status": status}, user="admin").status == 202
    assert shown(api)["status"] == status.lower()
    assert act(api, "os-force_delete", {}, user="admin").status == 202
    assert actions_of(api) == [("delete_volume", {"is_cascade": False})]


@pytest.mark.parametrize("params", [{}, {"status": None}, {"status": "none such"}, {"status": "deleting"}, {"status": "in-use"}, {"attach_status": "x"},
                                    {"migration_status": "x"}, {"state": "error"}])
def test_a_status_that_cannot_be_set_is_refused(api: VolumeApi, params: dict[str, Any]) -> None:
    assert act(api, "os-reset_status", params, user="admin").status == 400


def test_a_connected_volume_is_not_said_to_be_detached(api: VolumeApi) -> None:
    api.add(Attachment(project_id=PROJECTS["alice"], volume_id=V1, server_id=SERVER, status="attached", connection_info="sealed"))
    answer = act(api, "os-reset_status", {"attach_status": "detached"}, user="admin")
    assert (answer.status, "detach it instead" in message(answer)) == (400, True)


def test_a_migration_status_is_cleared_by_none(api: VolumeApi) -> None:
    assert act(api, "os-reset_status", {"migration_status": "error"}, user="admin").status == 202
    assert shown(api)["migration_status"] == "error"
    assert act(api, "os-reset_status", {"migration_status": "none"}, user="admin").status == 202
    assert shown(api)["migration_status"] is None


def test_a_forced_deletion_ends_what_is_under_way(api: VolumeApi) -> None:
    act(api, "os-extend", {"new_size": 3})
    assert act(api, "os-force_delete", {}, user="admin").status == 202
    states = api.change(lambda session: session.execute(sa.select(Action.name, Action.state).order_by(Action.id)).all())
    assert [tuple(row) for row in states] == [("extend_volume", "cancelled"), ("delete_volume", "queued")]


def test_no_extension_waits_for_a_completion(api: VolumeApi) -> None:
    assert act(api, "os-extend_volume_completion", {"error": False}, user="admin").status == 400
    assert act(api, "os-extend_volume_completion", {"error": False}).status == 403
    assert act(api, "none such", {}).status == 400
