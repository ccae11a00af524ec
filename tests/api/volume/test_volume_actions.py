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
from nova_lite.db.volume.qos_specs import QosSpecs
from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.volume_types import VolumeType, VolumeTypeEncryption
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


OTHER = "h2@lvm#pool"


def test_a_volume_gets_another_type(api: VolumeApi) -> None:
    api.add(VolumeType(id=S1, name="fast"), VolumeType(id=S2, name="slow"))
    set_volume(api, volume_type_id=S2)
    assert act(api, "os-retype", {"new_type": "fast", "migration_policy": "on-demand"}).status == 202
    assert (shown(api)["status"], shown(api)["volume_type"]) == ("retyping", "slow")
    assert actions_of(api) == [("retype_volume", {"volume_type_id": S1, "may_migrate": True})]


@pytest.mark.parametrize(("columns", "params"), [
    ({}, {"new_type": "none such"}), ({}, {"new_type": "slow"}), ({}, {"new_type": ""}), ({}, {"new_type": "fast", "migration_policy": "x"}),
    ({"status": "error"}, {"new_type": "fast"}), ({"migration_status": "migrating"}, {"new_type": "fast"}), ({}, {"new_type": "locked"}),
    ({"status": "in-use"}, {"new_type": "shared"}), ({"status": "in-use"}, {"new_type": "limited"}), ({}, {"new_type": "private"})])
def test_a_retype_that_cannot_be_is_refused(api: VolumeApi, columns: dict[str, Any], params: dict[str, Any]) -> None:
    specs = QosSpecs(name="q", consumer="front-end", specs={"total_iops_sec": "5"})
    slow, locked = VolumeType(id=S2, name="slow"), VolumeType(id=S1, name="locked")
    api.add(specs, slow, locked, VolumeType(name="fast"), VolumeType(name="shared", extra_specs={"multiattach": "<is> True"}),
            VolumeType(name="private", is_public=False), VolumeTypeEncryption(volume_type_id=S1, provider="luks", control_location="front-end"))
    api.add(VolumeType(name="limited", qos_specs_id=specs.id))
    set_volume(api, volume_type_id=S2, **columns)
    assert act(api, "os-retype", params).status == 400
    assert shown(api)["status"] == columns.get("status", "available")


def test_a_retype_beyond_the_types_quota_is_413(api: VolumeApi) -> None:
    api.add(VolumeType(name="fast"), VolumeQuota(project_id=PROJECTS["alice"], resource="gigabytes_fast", hard_limit=1))
    assert act(api, "os-retype", {"new_type": "fast"}).status == 413


@pytest.mark.parametrize(("params", "status"), [({}, "available"), ({"lock_volume": True}, "maintenance"), ({"host": "h2@lvm"}, "available")])
def test_an_administrator_moves_a_volume(api: VolumeApi, params: dict[str, Any], status: str) -> None:
    api.add(volume_api.pool(), volume_api.pool(OTHER))
    assert act(api, "os-migrate_volume", {"host": OTHER, **params}).status == 403
    assert act(api, "os-migrate_volume", {"host": OTHER, **params}, user="admin").status == 202
    assert (shown(api)["status"], shown(api)["migration_status"]) == (status, "starting")
    assert actions_of(api) == [("migrate_volume", {"host": OTHER})]
    assert act(api, "os-migrate_volume", {"host": OTHER}, user="admin").status == 400
    assert act(api, "os-retype", {"new_type": "__DEFAULT__"}).status == 400


@pytest.mark.parametrize(("params", "columns"), [
    ({"host": "h9@lvm#pool"}, {}), ({"host": volume_api.HOST}, {}), ({"host": ""}, {}), ({"cluster": "c"}, {}), ({"host": OTHER, "cluster": "c"}, {}),
    ({"host": OTHER}, {"status": "error"}), ({"host": OTHER}, {"migration_status": "migrating"})])
def test_a_move_that_cannot_be_is_refused(api: VolumeApi, params: dict[str, Any], columns: dict[str, Any]) -> None:
    api.add(volume_api.pool(), volume_api.pool(OTHER))
    if columns:
        set_volume(api, **columns)
    assert act(api, "os-migrate_volume", params, user="admin").status == 400


def test_a_volume_with_snapshots_is_not_moved(api: VolumeApi) -> None:
    api.add(volume_api.pool(), volume_api.pool(OTHER), snapshot(S1, V1))
    assert act(api, "os-migrate_volume", {"host": OTHER}, user="admin").status == 400
    assert shown(api)["migration_status"] is None


def test_nothing_is_left_to_others_and_no_report_is_awaited(api: VolumeApi) -> None:
    assert act(api, "os-unmanage", {}, user="admin").status == 400
    assert act(api, "os-migrate_volume_completion", {"new_volume": V1}, user="admin").status == 400


@pytest.mark.parametrize("path", ["/os-volume-manage", "/manageable_volumes"])
def test_a_pools_volumes_are_listed_as_managed(api: VolumeApi, path: str) -> None:
    api.add(volume_api.pool(), volume_api.pool(OTHER))
    query = "host=h1@lvm%23pool"
    assert api.get(f"{path}?{query}", user="admin").body == {"manageable-volumes": [
        {"reference": {"source-name": f"volume-{V1}"}, "size": 2, "safe_to_manage": False}]}
    (shown,) = api.get(f"{path}/detail?{query}&sort=size:asc", user="admin").body["manageable-volumes"]
    assert (shown["reason_not_safe"], shown["cinder_id"]) == ("already managed", V1)
    assert api.get(f"{path}?host=h2@lvm%23pool", user="admin").body == {"manageable-volumes": []}
    for wrong in ("", "?host=x", f"?{query}&limit=x", f"?{query}&sort=name"):
        assert api.get(f"{path}{wrong}", user="admin").status == 400
    assert api.get(f"{path}?{query}").status == 403
    for name, reason in ((f"volume-{V1}", "managed already"), ("other", "did not make")):
        answer = api.post(path, {"volume": {"ref": {"source-name": name}, "host": OTHER}}, user="admin")
        assert (answer.status, reason in message(answer)) == (400, True)


@pytest.mark.parametrize("path", ["/os-snapshot-manage", "/manageable_snapshots"])
def test_a_pools_snapshots_are_listed_as_managed(api: VolumeApi, path: str) -> None:
    api.add(volume_api.pool(), snapshot(S1, V1, size_gb=2))
    (shown,) = api.get(f"{path}/detail?host=h1@lvm%23pool", user="admin").body["manageable-snapshots"]
    assert (shown["reference"], shown["source_reference"]) == ({"source-name": f"_snapshot-{S1}"}, {"source-name": f"volume-{V1}"})
    assert len(api.get(f"{path}?host=h1@lvm%23pool", user="admin").body["manageable-snapshots"]) == 1
    assert api.post(path, {"snapshot": {"ref": "x", "volume_id": S1}}, user="admin").status == 404
    assert api.post(path, {"snapshot": {"ref": f"_snapshot-{S1}", "volume_id": V1}}, user="admin").status == 400


def image(**columns: Any) -> Image:
    values: dict[str, Any] = {"owner": PROJECTS["alice"], "status": "active", "visibility": "private", "disk_format": "qcow2", "container_format": "bare",
                              "size": 1000, "virtual_size": 2 << 30, "properties": {}, **columns}
    return Image(id=S1, **values)


@pytest.mark.parametrize(("status", "params", "expected"), [
    ("available", {}, 202), ("error", {}, 202), ("reserved", {}, 400), ("reserved", {"reimage_reserved": True}, 202), ("in-use", {}, 400),
    ("creating", {"reimage_reserved": True}, 400)])
def test_a_volume_gets_the_content_of_an_image(api: VolumeApi, status: str, params: dict[str, Any], expected: int) -> None:
    api.add(image(), volume_api.pool(capabilities={"reimage_support": True}))
    set_volume(api, status=status)
    assert act(api, "os-reimage", {"image_id": S1, **params}, version="3.67").status == 400
    assert act(api, "os-reimage", {"image_id": S1, **params}).status == expected
    assert shown(api)["status"] == ("downloading" if expected == 202 else status)
    assert actions_of(api) == ([("reimage_volume", {"image_id": S1})] if expected == 202 else [])


@pytest.mark.parametrize("columns", [{"virtual_size": 3 << 30}, {"min_disk_gb": 3}, {"status": "queued"}, {"owner": PROJECTS["bob"]}])
def test_an_image_that_does_not_fit_is_refused(api: VolumeApi, columns: dict[str, Any]) -> None:
    api.add(image(**columns))
    assert act(api, "os-reimage", {"image_id": S1}).status == 400


def test_a_volume_of_several_servers_is_not_reimaged(api: VolumeApi) -> None:
    api.add(image(), Attachment(project_id=PROJECTS["alice"], volume_id=V1), Attachment(project_id=PROJECTS["alice"], volume_id=V1))
    assert act(api, "os-reimage", {"image_id": S1}).status == 409


CLIENTS = "dddddddd-0000-4000-8000-000000000001"
MIGRATING: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", f"/volumes/{V1}/action", {"os-extend": {"new_size": 3}}), ("POST", f"/volumes/{V1}/action", {"os-volume_upload_image": {"image_name": "x"}}),
    ("POST", f"/volumes/{V1}/action", {"os-attach": {"instance_uuid": CLIENTS, "mountpoint": "/dev/vdb"}}),
    ("POST", f"/volumes/{V1}/action", {"os-reserve": {}}), ("POST", f"/volumes/{V1}/action", {"os-force_delete": {}}),
    ("POST", "/attachments", {"attachment": {"volume_uuid": V1, "instance_uuid": CLIENTS}}), ("POST", "/volumes", {"volume": {"source_volid": V1}}),
    ("POST", "/snapshots", {"snapshot": {"volume_id": V1}}), ("POST", "/backups", {"backup": {"volume_id": V1}}),
    ("POST", "/volume-transfers", {"transfer": {"volume_id": V1}}), ("DELETE", f"/volumes/{V1}", None), ("DELETE", f"/volumes/{V1}?force=true", None)]


@pytest.mark.parametrize(("method", "path", "body"), MIGRATING, ids=[f"{path} {next(iter(body or {}), '')}" for _, path, body in MIGRATING])
def test_nobody_else_uses_a_volume_that_is_moved(api: VolumeApi, method: str, path: str, body: dict[str, Any] | None) -> None:
    """It shows available meanwhile: what a guest wrote into it would be lost with the pool that it leaves."""
    set_volume(api, migration_status="starting")
    answer = api.request(method, path, body, user="admin")
    assert answer.status == 400, answer.body
    assert shown(api)["status"] == "available"


def test_a_forced_deletion_takes_the_copy_of_a_retype_with_it(api: VolumeApi) -> None:
    set_volume(api, status="retyping", previous_status="available")
    api.add(volume(S1, status="creating", migration_status=f"target:{V1}"))
    assert act(api, "os-force_delete", {}, user="admin").status == 202
    assert actions_of(api, S1) == [("delete_volume", {"is_cascade": False})]


def test_a_volume_that_another_one_is_made_from_stays_where_it_is(api: VolumeApi) -> None:
    api.add(volume_api.pool(), volume_api.pool(OTHER), VolumeType(name="fast"), volume(S1, status="creating", source_volume_id=V1))
    assert act(api, "os-migrate_volume", {"host": OTHER}, user="admin").status == 400
    assert act(api, "os-retype", {"new_type": "fast"}).status == 400
    assert shown(api)["migration_status"] is None


def test_a_pool_that_cannot_put_images_into_volumes_says_so(api: VolumeApi) -> None:
    api.add(image(), volume_api.pool())
    assert act(api, "os-reimage", {"image_id": S1}).status == 501
    assert shown(api)["status"] == "available"
