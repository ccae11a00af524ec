# SPDX-License-Identifier: Apache-2.0
"""Volumes, as clients request them: create from every source, show, list, change and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.image.images import Image
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, message, snapshot, volume, worker

V1 = "aaaaaaaa-0000-4000-8000-000000000001"
V2 = "aaaaaaaa-0000-4000-8000-000000000002"
S1 = "bbbbbbbb-0000-4000-8000-000000000001"
IMAGE = "cccccccc-0000-4000-8000-000000000001"
SERVER = "dddddddd-0000-4000-8000-000000000001"
# What Tempest's schemas allow of a volume that was just made, and nothing else.
MADE = {"attachments", "links", "availability_zone", "encrypted", "updated_at", "replication_status", "snapshot_id", "id", "size", "user_id",
        "metadata", "status", "description", "multiattach", "source_volid", "consistencygroup_id", "name", "bootable", "created_at",
        "volume_type"}


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud with one volume worker in zone nova."""
    made = volume_api.make(tmp_path)
    made.add(worker())
    return made


def create(api: VolumeApi, **fields: Any) -> Answer:
    version = fields.pop("at", "3.71")
    return api.post("/volumes", {"volume": {"size": 1, **fields}}, version=version)


def actions_of(api: VolumeApi, resource_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = api.change(lambda session: session.execute(
        sa.select(Action.name, Action.inputs).where(Action.resource_id == resource_id).order_by(Action.id)).all())
    return [(name, inputs) for name, inputs in rows]


def image(**columns: Any) -> Image:
    values: dict[str, Any] = {"id": IMAGE, "owner": PROJECTS["alice"], "name": "cirros", "status": "active", "visibility": "private", "disk_format": "qcow2",
                              "container_format": "bare", "size": 1000, "virtual_size": 3 << 30, "min_disk_gb": 2, "properties": {"os": "linux"}, **columns}
    return Image(**values)


def test_an_empty_volume_is_made_by_a_conductor(api: VolumeApi) -> None:
    answer = create(api, name=" data ", metadata={"a": "b"}, at="3.0")
    assert answer.status == 202
    made = answer.body["volume"]
    assert made.keys() == MADE
    assert (made["name"], made["status"], made["size"], made["bootable"], made["metadata"]) == ("data", "creating", 1, "false", {"a": "b"})
    assert made["volume_type"] == "__DEFAULT__"
    assert actions_of(api, made["id"]) == [("create_volume", {"source": "blank", "source_id": ""})]
    assert [method for _, _, method, _ in api.rpc.sent] == ["run"]


def test_the_fields_of_a_volume_follow_the_microversion(api: VolumeApi) -> None:
    made = create(api).body["volume"]
    shown = api.get(f"/volumes/{made['id']}", version="3.0").body["volume"]
    assert shown.keys() == MADE | {"os-vol-tenant-attr:tenant_id"}
    newest = api.get(f"/volumes/{made['id']}").body["volume"]
    assert newest.keys() - shown.keys() == {"group_id", "service_uuid", "shared_targets", "volume_type_id", "consumes_quota"}
    assert newest["shared_targets"] is None
    assert api.get(f"/volumes/{made['id']}", version="3.48").body["volume"]["shared_targets"] is False
    to_admin = api.get(f"/volumes/{made['id']}", user="admin", version="3.0").body["volume"]
    assert to_admin.keys() - shown.keys() == {"os-vol-host-attr:host", "os-vol-mig-status-attr:migstat", "os-vol-mig-status-attr:name_id", "migration_status"}


@pytest.mark.parametrize("size", ["#$%", "", "0", "-1", 0, -1, None, 1.5, 1 << 31])
def test_a_size_that_is_none_is_refused(api: VolumeApi, size: object) -> None:
    assert create(api, size=size).status == 400


def test_a_size_may_be_a_string(api: VolumeApi) -> None:
    assert create(api, size="2").body["volume"]["size"] == 2


def test_unknown_fields_are_ignored_until_they_are_refused(api: VolumeApi) -> None:
    assert create(api, at="3.52", status="x").status == 202
    assert create(api, at="3.53", status="x").status == 400


@pytest.mark.parametrize(("fields", "status"), [
    ({"volume_type": "none such"}, 404), ({"snapshot_id": S1}, 404), ({"source_volid": V1}, 404), ({"backup_id": V1}, 404),
    ({"imageRef": IMAGE}, 400), ({"availability_zone": "moon"}, 400), ({"multiattach": True}, 400), ({"group_id": V1}, 404),
    ({"consistencygroup_id": V1}, 400), ({"metadata": {"": "x"}}, 400), ({"metadata": {"k": "x" * 256}}, 400), ({"name": "x" * 256}, 400),
    ({"snapshot_id": S1, "source_volid": V1}, 400), ({"metadata": {str(n): "" for n in range(129)}}, 400),
])
def test_what_cannot_be_made_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    answer = create(api, **fields)
    assert answer.status == status, answer.body
    assert api.change(lambda session: session.scalar(sa.select(sa.func.count()).select_from(Volume))) == 0
    assert not api.rpc.sent


def test_a_volume_of_an_image_takes_its_size_and_properties(api: VolumeApi) -> None:
    api.add(image())
    assert create(api, imageRef=IMAGE, size=2).status == 400
    made = create(api, imageRef=f"http://cloud/image/{IMAGE}", size=3).body["volume"]
    assert made["bootable"] == "true"
    shown = api.get(f"/volumes/{made['id']}").body["volume"]
    assert shown["volume_image_metadata"] == {
        "os": "linux", "image_id": IMAGE, "image_name": "cirros", "container_format": "bare", "disk_format": "qcow2", "min_disk": "2",
        "min_ram": "0", "size": "1000"}
    assert actions_of(api, made["id"]) == [("create_volume", {"source": "image", "source_id": IMAGE})]


def test_an_image_may_be_named_if_its_name_is_the_only_one(api: VolumeApi) -> None:
    api.add(image())
    assert create(api, imageRef="cirros", size=3).status == 202
    api.add(image(id=V1))
    answer = create(api, imageRef="cirros", size=3)
    assert (answer.status, "Multiple matches" in message(answer)) == (409, True)


@pytest.mark.parametrize("columns", [{"status": "queued"}, {"owner": PROJECTS["bob"]}, {"disk_format": "iso"}])
def test_an_image_without_data_of_another_project_or_format_is_refused(api: VolumeApi, columns: dict[str, Any]) -> None:
    api.add(image(**columns))
    assert create(api, imageRef=IMAGE, size=5).status == 400


@pytest.mark.parametrize("mapping", ["[" * 5000, "[", '[{"source_type": "snapshot", "snapshot_id": "\\ud800", "boot_index": 0}]'])
def test_an_image_whose_disks_cannot_be_read_is_refused(api: VolumeApi, mapping: str) -> None:
    api.add(image(size=0, virtual_size=None, properties={"block_device_mapping": mapping, "bdm_v2": "True"}))
    assert create(api, imageRef=IMAGE, size=2).status == 400


def test_an_image_without_data_stands_for_the_snapshot_of_a_server_that_boots_from_a_volume(api: VolumeApi) -> None:
    mapping = f'[{{"source_type": "snapshot", "snapshot_id": "{S1}", "boot_index": 0}}]'
    api.add(volume(V1, size_gb=2), snapshot(S1, V1, size_gb=2),
            image(size=0, virtual_size=None, properties={"block_device_mapping": mapping, "bdm_v2": "True"}))
    made = create(api, imageRef=IMAGE, size=2).body["volume"]
    assert (made["snapshot_id"], made["bootable"]) == (S1, "true")
    assert actions_of(api, made["id"]) == [("create_volume", {"source": "snapshot", "source_id": S1})]


def test_a_copy_of_a_snapshot_takes_its_size_and_its_volumes_flags(api: VolumeApi) -> None:
    api.add(volume(V1, size_gb=2, bootable=True, image_metadata={"os": "x"}), snapshot(S1, V1, size_gb=2))
    assert create(api, snapshot_id=S1, size=1).status == 400
    made = create(api, snapshot_id=S1, size=None).body["volume"]
    assert (made["size"], made["bootable"], made["snapshot_id"]) == (2, "true", S1)
    assert create(api, snapshot_id=S1, size=3).body["volume"]["size"] == 3


def test_a_copy_of_a_volume_is_made_while_it_is_in_use_too(api: VolumeApi) -> None:
    api.add(volume(V1, size_gb=2, status="in-use"), volume(V2, status="error"))
    made = create(api, source_volid=V1, size=2).body["volume"]
    assert made["source_volid"] == V1
    assert actions_of(api, made["id"]) == [("create_volume", {"source": "volume", "source_id": V1})]
    assert create(api, source_volid=V2).status == 400


def test_what_a_volume_is_being_made_from_cannot_be_deleted_meanwhile(api: VolumeApi) -> None:
    api.add(volume(V1), snapshot(S1, V1), volume(V2))
    copies = [create(api, snapshot_id=S1).body["volume"]["id"], create(api, source_volid=V2).body["volume"]["id"]]
    for path in (f"/snapshots/{S1}", f"/volumes/{V2}", f"/volumes/{V1}?cascade=true"):
        assert api.delete(path).status == 400, path
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id.in_(copies)).values(status="available")))
    for path in (f"/volumes/{V2}", f"/volumes/{V1}?cascade=true"):
        assert api.delete(path).status == 202, path


@pytest.mark.parametrize(("resource", "limit"), [
    ("volumes", 0), ("gigabytes", 4), ("per_volume_gigabytes", 4), ("volumes___DEFAULT__", 0), ("gigabytes___DEFAULT__", 4)])
def test_a_volume_beyond_the_quota_is_413(api: VolumeApi, resource: str, limit: int) -> None:
    api.add(VolumeQuota(project_id=PROJECTS["alice"], resource=resource, hard_limit=limit))
    answer = create(api, size=5)
    assert (answer.status, list(answer.body), answer.headers["Retry-After"]) == (413, ["overLimit"], "0")


def test_a_type_with_multiattach_makes_volumes_of_several_servers(api: VolumeApi) -> None:
    api.add(VolumeType(name="shared", extra_specs={"multiattach": "<is> True"}))
    made = create(api, volume_type="shared").body["volume"]
    assert (made["multiattach"], made["volume_type"]) == (True, "shared")


def test_another_projects_volume_is_not_found(api: VolumeApi) -> None:
    api.add(volume(V1), snapshot(S1, V1))
    for method, path, body in (
        ("GET", f"/volumes/{V1}", None), ("PUT", f"/volumes/{V1}", {"volume": {"name": "x"}}), ("DELETE", f"/volumes/{V1}", None),
        ("GET", f"/volumes/{V1}/metadata", None), ("POST", f"/volumes/{V1}/metadata", {"metadata": {"a": "b"}}),
        ("POST", f"/volumes/{V1}/action", {"os-extend": {"new_size": 3}}), ("POST", f"/volumes/{V1}/action", {"os-set_bootable": {"bootable": True}}),
        ("POST", "/volumes", {"volume": {"size": 1, "source_volid": V1}}), ("POST", "/volumes", {"volume": {"size": 1, "snapshot_id": S1}}),
        ("POST", "/snapshots", {"snapshot": {"volume_id": V1}}), ("GET", f"/volumes/{V1}/encryption", None),
    ):
        answer = api.request(method, path, body, user="bob")
        assert (answer.status, list(answer.body)) == (404, ["itemNotFound"]), (method, path, answer.body)


def test_an_empty_or_unknown_id_is_not_found(api: VolumeApi) -> None:
    for path in ("/volumes/", "/volumes/none", f"/volumes/{V1}", "/snapshots/", "/snapshots/none"):
        for method in ("GET", "DELETE"):
            assert api.request(method, path).status == 404, (method, path)
        assert api.put(path, {path.split("/")[1].rstrip("s"): {"name": "x"}}).status == 404, path


def test_a_volume_is_renamed_and_described(api: VolumeApi) -> None:
    api.add(volume(V1, name="old"))
    answer = api.put(f"/volumes/{V1}", {"volume": {"display_name": "new", "description": None, "metadata": {"a": "b"}}})
    assert (answer.status, answer.body["volume"]["name"], answer.body["volume"]["metadata"]) == (200, "new", {"a": "b"})
    assert answer.body["volume"]["updated_at"] is not None
    assert api.put(f"/volumes/{V1}", {"volume": {}}, version="3.52").status == 200
    assert api.put(f"/volumes/{V1}", {"volume": {}}).status == 400
    assert api.put(f"/volumes/{V1}", {"volume": {"size": 3}}).status == 400


@pytest.mark.parametrize("status", ["available", "error", "error_restoring", "error_extending", "error_deleting"])
def test_a_volume_at_rest_is_deleted_by_a_conductor(api: VolumeApi, status: str) -> None:
    api.add(volume(V1, status=status))
    assert api.delete(f"/volumes/{V1}").status == 202
    assert api.get(f"/volumes/{V1}").body["volume"]["status"] == "deleting"
    assert actions_of(api, V1) == [("delete_volume", {"is_cascade": False})]


@pytest.mark.parametrize("status", ["creating", "in-use", "attaching", "detaching", "reserved", "uploading", "extending", "deleting", "maintenance"])
def test_a_busy_volume_is_not_deleted(api: VolumeApi, status: str) -> None:
    api.add(volume(V1, status=status))
    assert api.delete(f"/volumes/{V1}").status == 400
    assert api.get(f"/volumes/{V1}").body["volume"]["status"] == status


def test_force_deletes_in_any_status_for_administrators(api: VolumeApi) -> None:
    api.add(volume(V1, status="creating"))
    assert api.delete(f"/volumes/{V1}?force=true").status == 403
    assert api.delete(f"/volumes/{V1}?force=true", user="admin", version="3.22").status == 400
    assert api.delete(f"/volumes/{V1}?force=perhaps", user="admin").status == 400
    assert api.delete(f"/volumes/{V1}?force=true", user="admin").status == 202


@pytest.mark.parametrize("more", ["", "?cascade=true", "?force=true"])
def test_an_attached_volume_is_never_deleted(api: VolumeApi, more: str) -> None:
    """A detach shows the volume in use until it is over, and force does not help."""
    api.add(volume(V1, status="in-use"), Attachment(project_id=PROJECTS["alice"], volume_id=V1, server_id=SERVER, status="attached"))
    assert api.delete(f"/volumes/{V1}{more}", user="admin").status == 400


def test_a_volume_with_snapshots_goes_with_them_or_not_at_all(api: VolumeApi) -> None:
    api.add(volume(V1), snapshot(S1, V1, status="creating"))
    assert api.delete(f"/volumes/{V1}").status == 400
    assert api.delete(f"/volumes/{V1}?cascade=true").status == 400
    api.change(lambda session: session.execute(sa.text("UPDATE volume_snapshots SET status = 'error'")))
    assert api.delete(f"/volumes/{V1}?cascade=true").status == 202
    assert actions_of(api, V1) == [("delete_volume", {"is_cascade": True})]
    assert api.delete(f"/snapshots/{S1}").status == 400


def test_the_summary_counts_the_projects_volumes(api: VolumeApi) -> None:
    api.add(volume(V1, size_gb=2, metadata_items={"a": "1"}), volume(V2, size_gb=3, metadata_items={"a": "2", "b": "x"}),
            volume(S1, user="bob", size_gb=7))
    assert api.get("/volumes/summary", version="3.12").body == {"volume-summary": {"total_count": 2, "total_size": 5}}
    assert api.get("/volumes/summary").body["volume-summary"]["metadata"] == {"a": ["1", "2"], "b": ["x"]}
    assert api.get("/volumes/summary?all_tenants=1", user="admin").body["volume-summary"]["total_size"] == 12
    assert api.get("/volumes/summary", version="3.11").status == 404


def test_metadata_is_read_merged_replaced_and_removed(api: VolumeApi) -> None:
    api.add(volume(V1, metadata_items={"a": "1"}))
    path = f"/volumes/{V1}/metadata"
    assert api.post(path, {"metadata": {"b": "2"}}).body == {"metadata": {"a": "1", "b": "2"}}
    assert api.put(f"{path}/b", {"meta": {"b": "3"}}).body == {"meta": {"b": "3"}}
    assert api.put(f"{path}/b", {"meta": {"c": "3"}}).status == 400
    assert api.get(f"{path}/b").body == {"meta": {"b": "3"}}
    assert (api.delete(f"{path}/b").status, api.delete(f"{path}/b").status, api.get(f"{path}/b").status) == (200, 404, 404)
    assert api.put(path, {"metadata": {"z": ""}}).body == api.get(path).body == {"metadata": {"z": ""}}
    assert api.put(path, {"metadata": {"k" * 256: "v"}}).status == 400
    api.change(lambda session: session.execute(sa.update(Volume).values(metadata_items={str(n): "" for n in range(128)})))
    assert api.post(path, {"metadata": {"more": ""}}).status == 400


def test_metadata_that_has_changed_since_it_was_read_is_not_overwritten(api: VolumeApi) -> None:
    api.add(volume(V1))
    path = f"/volumes/{V1}/metadata"
    etag = api.get(path).headers["ETag"]
    api.server_environ["HTTP_IF_MATCH"] = etag
    assert api.post(path, {"metadata": {"a": "1"}}).status == 200
    assert api.post(path, {"metadata": {"a": "2"}}).status == 412


@pytest.mark.parametrize("status", ["maintenance", "uploading"])
def test_metadata_of_a_volume_that_is_read_whole_does_not_change(api: VolumeApi, status: str) -> None:
    api.add(volume(V1, status=status))
    assert api.post(f"/volumes/{V1}/metadata", {"metadata": {"a": "1"}}).status == 400


def test_a_plain_volume_has_no_key(api: VolumeApi) -> None:
    api.add(volume(V1))
    assert api.get(f"/volumes/{V1}/encryption").body == {"encryption_key_id": None}
    assert api.get(f"/volumes/{V1}/encryption/cipher").status == 404
