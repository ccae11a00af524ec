# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes, as clients request them: made, listed, restored, deleted, exported and imported."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.volumes import Volume
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, message, snapshot, volume

V1, V2 = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
S1 = "bbbbbbbb-0000-4000-8000-000000000001"
B1, B2 = "cccccccc-0000-4000-8000-000000000001", "cccccccc-0000-4000-8000-000000000002"
BRIEF = {"id", "name", "links"}
# What Tempest's schemas allow, and nothing else.
DETAIL = BRIEF | {"status", "object_count", "container", "description", "availability_zone", "created_at", "updated_at", "has_dependent_backups",
                  "volume_id", "fail_reason", "size", "is_incremental", "data_timestamp", "snapshot_id"}


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1 of 2 GiB."""
    made = volume_api.make(tmp_path)
    made.add(volume(V1, size_gb=2, bootable=True, metadata_items={"a": "b"}, image_metadata={"os": "x"}))
    return made


def backup(backup_id: str = B1, *, user: str = "alice", **columns: Any) -> VolumeBackup:
    """An available backup of V1."""
    values: dict[str, Any] = {
        "volume_id": V1, "project_id": PROJECTS[user], "user_id": user, "size_gb": 2, "status": "available", "data_timestamp": utcnow(),
        "of_volume": {"metadata": {"a": "b"}, "image_metadata": {"os": "x"}, "bootable": True, "volume_type_id": None}, **columns}
    return VolumeBackup(id=backup_id, **values)


def create(api: VolumeApi, *, at: str = "3.71", **fields: Any) -> Answer:
    return api.post("/backups", {"backup": {"volume_id": V1, **fields}}, version=at)


def restore(api: VolumeApi, **fields: Any) -> Answer:
    return api.post(f"/backups/{B1}/restore", {"restore": fields})


def actions_of(api: VolumeApi, resource_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = api.change(lambda session: session.execute(
        sa.select(Action.name, Action.inputs).where(Action.resource_id == resource_id, Action.resource_type == "backup").order_by(Action.id)).all())
    return [(name, inputs) for name, inputs in rows]


def status_of(api: VolumeApi, path: str) -> str:
    return str(next(iter(api.get(path).body.values()))["status"])


def test_a_backup_is_made_by_a_conductor(api: VolumeApi) -> None:
    answer = create(api, name=" copy ", description="d", container="shelf", at="3.0")
    made = answer.body["backup"]
    assert (answer.status, made.keys(), made["name"]) == (202, BRIEF, "copy")
    shown = api.get(f"/backups/{made['id']}", version="3.0").body["backup"]
    assert shown.keys() == DETAIL
    assert (shown["status"], shown["size"], shown["container"], shown["is_incremental"]) == ("creating", 2, "shelf", False)
    assert status_of(api, f"/volumes/{V1}") == "backing-up"
    assert actions_of(api, made["id"]) == [("create_volume_backup", {})]


def test_the_fields_of_a_backup_follow_the_microversion(api: VolumeApi) -> None:
    api.add(backup())
    assert api.get(f"/backups/{B1}").body["backup"].keys() == DETAIL | {"metadata"}
    assert api.get(f"/backups/{B1}", user="admin").body["backup"].keys() == DETAIL | {"metadata", "user_id", "os-backup-project-attr:project_id"}
    assert create(api, metadata={"a": "b"}, at="3.42").status == 400
    assert create(api, availability_zone="nova", at="3.50").status == 400
    assert create(api, metadata={"a": "b"}, availability_zone="nova").status == 202


@pytest.mark.parametrize(("status", "force", "expected"), [
    ("in-use", False, 400), ("in-use", True, 202), ("error", True, 400), ("creating", True, 400), ("backing-up", True, 400)])
def test_a_volume_in_use_is_backed_up_by_force(api: VolumeApi, status: str, force: bool, expected: int) -> None:
    api.change(lambda session: session.execute(sa.update(Volume).values(status=status)))
    assert create(api, force=force).status == expected


def test_a_snapshot_is_backed_up_while_its_volume_is_in_use(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1), volume(V2))
    api.change(lambda session: session.execute(sa.update(Volume).where(Volume.id == V1).values(status="in-use")))
    assert create(api, volume_id=V2, snapshot_id=S1).status == 400
    assert create(api, snapshot_id=V2).status == 404
    made = create(api, snapshot_id=S1).body["backup"]
    assert (status_of(api, f"/snapshots/{S1}"), status_of(api, f"/volumes/{V1}")) == ("backing-up", "in-use")
    assert api.get(f"/backups/{made['id']}").body["backup"]["snapshot_id"] == S1
    assert create(api, snapshot_id=S1).status == 400


def test_an_incremental_backup_does_not_add_to_one_of_the_project_that_had_the_volume_before(api: VolumeApi) -> None:
    api.add(backup(B1, user="bob"))
    answer = create(api, incremental=True)
    assert (answer.status, "No backups available" in message(answer)) == (400, True)


def test_an_incremental_backup_adds_to_the_newest_one(api: VolumeApi) -> None:
    assert create(api, incremental=True).status == 400
    api.add(backup(B1, data_timestamp=datetime.datetime(2026, 1, 1)), backup(B2, data_timestamp=datetime.datetime(2026, 1, 2), parent_id=B1))
    made = create(api, incremental=True).body["backup"]
    assert api.get(f"/backups/{made['id']}").body["backup"]["is_incremental"] is True
    shown = {row["id"]: row["has_dependent_backups"] for row in api.get("/backups/detail").body["backups"]}
    assert shown == {B1: True, B2: True, made["id"]: False}
    assert api.delete(f"/backups/{B2}").status == 400


@pytest.mark.parametrize(("resource", "limit"), [("backups", 1), ("backup_gigabytes", 3)])
def test_a_backup_beyond_the_quota_is_413(api: VolumeApi, resource: str, limit: int) -> None:
    api.add(backup(), VolumeQuota(project_id=PROJECTS["alice"], resource=resource, hard_limit=limit))
    assert create(api).status == 413
    assert status_of(api, f"/volumes/{V1}") == "available"
    used = api.get("/limits").body["limits"]["absolute"]
    assert (used["totalBackupsUsed"], used["totalBackupGigabytesUsed"]) == (1, 2)


@pytest.mark.parametrize(("fields", "status"), [
    ({"volume_id": V2}, 404), ({"volume_id": "x"}, 400), ({"container": "a/b"}, 400), ({"container": ""}, 400), ({"size": 1}, 400), ({"force": "x"}, 400)])
def test_what_is_no_backup_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    assert create(api, **fields).status == status


@pytest.mark.parametrize(("query", "count"), [
    ("", 2), ("name=one", 1), ("name~=on", 1), ("status=error", 1), (f"volume_id={V2}", 0), ("limit=1", 1), ("sort=name", 2), ("offset=1", 1)])
def test_backups_are_listed(api: VolumeApi, query: str, count: int) -> None:
    api.add(backup(name="one"), backup(B2, status="error"), backup(S1, user="bob"))
    for path in ("/backups", "/backups/detail"):
        assert len(api.get(f"{path}?{query}").body["backups"]) == count
    assert api.get("/backups?host=x").status == 400
    assert api.get("/backups?sort=name", version="3.36").status == 400
    assert api.get("/backups?with_count=1&limit=1").body["count"] == 2


def test_a_backup_is_renamed_from_3_9_on(api: VolumeApi) -> None:
    api.add(backup())
    body = {"backup": {"name": "new", "description": "d"}}
    assert api.put(f"/backups/{B1}", body, version="3.8").status == 404
    assert api.put(f"/backups/{B1}", body, version="3.9").body["backup"]["name"] == "new"
    assert api.put(f"/backups/{B1}", {"backup": {"metadata": {"k": "v"}}}).status == 200
    assert api.get(f"/backups/{B1}").body["backup"]["metadata"] == {"k": "v"}
    assert api.put(f"/backups/{B1}", {"backup": {}}).status == 400


def test_a_backup_comes_back_as_a_new_volume_with_what_belongs_to_it(api: VolumeApi) -> None:
    api.add(backup())
    answer = restore(api, name="back")
    made = answer.body["restore"]
    assert (answer.status, made["backup_id"], made["volume_name"]) == (202, B1, "back")
    shown = api.get(f"/volumes/{made['volume_id']}").body["volume"]
    assert (shown["status"], shown["size"], shown["metadata"], shown["bootable"]) == ("creating", 2, {"a": "b"}, "true")
    assert shown["volume_image_metadata"] == {"os": "x"}
    assert (status_of(api, f"/backups/{B1}"), actions_of(api, B1)) == ("restoring", [("restore_volume_backup", {"volume_id": made["volume_id"]})])
    assert restore(api).status == 400


def test_a_backup_comes_back_into_a_volume_that_is_there(api: VolumeApi) -> None:
    api.add(backup(), volume(V2, size_gb=1))
    assert (restore(api, volume_id=V2).status, restore(api, volume_id=B1).status) == (400, 404)
    assert restore(api, volume_id=V1).body["restore"]["volume_id"] == V1
    assert status_of(api, f"/volumes/{V1}") == "restoring-backup"


def test_a_backup_without_a_name_for_its_volume_gives_it_one(api: VolumeApi) -> None:
    api.add(backup())
    answer = api.post(f"/backups/{B1}/restore", {"restore": None})
    assert answer.body["restore"]["volume_name"] == f"restore_backup_{B1}"


def test_a_volume_is_made_from_a_backup(api: VolumeApi) -> None:
    api.add(backup())
    body = {"volume": {"size": 3, "backup_id": B1, "name": "from backup"}}
    assert api.post("/volumes", {"volume": {"size": 1, "backup_id": B1}}).status == 400
    made = api.post("/volumes", body).body["volume"]
    assert (made["size"], made["bootable"]) == (3, "true")
    assert actions_of(api, B1) == [("restore_volume_backup", {"volume_id": made["id"]})]
    assert api.post("/volumes", body, user="bob").status == 404


def test_a_restore_beyond_the_quota_is_413(api: VolumeApi) -> None:
    api.add(backup(), VolumeQuota(project_id=PROJECTS["alice"], resource="volumes", hard_limit=1))
    assert restore(api).status == 413
    assert status_of(api, f"/backups/{B1}") == "available"


@pytest.mark.parametrize(("status", "expected"), [
    ("available", 202), ("error", 202), ("error_deleting", 202), ("creating", 400), ("restoring", 400), ("deleting", 400)])
def test_a_backup_at_rest_is_deleted(api: VolumeApi, status: str, expected: int) -> None:
    api.add(backup(status=status))
    assert api.delete(f"/backups/{B1}").status == expected
    assert actions_of(api, B1) == ([("delete_volume_backup", {})] if expected == 202 else [])


def test_administrators_set_a_status_and_delete_by_force(api: VolumeApi) -> None:
    api.add(backup(status="creating"))
    path = f"/backups/{B1}/action"
    assert api.post(path, {"os-reset_status": {"status": "error"}}).status == 403
    assert api.post(path, {"os-reset_status": {"status": "creating"}}, user="admin").status == 400
    assert api.post(path, {"os-reset_status": {"status": "error"}}, user="admin").status == 202
    assert status_of(api, f"/backups/{B1}") == "error"
    assert api.post(path, {"os-force_delete": {}}, user="admin").status == 202
    assert status_of(api, f"/backups/{B1}") == "deleting"


def test_another_projects_backup_is_not_found(api: VolumeApi) -> None:
    api.add(backup())
    for method, path, body in (
        ("GET", "", None), ("PUT", "", {"backup": {"name": "x"}}), ("DELETE", "", None), ("POST", "/restore", {"restore": {}}),
    ):
        assert api.request(method, f"/backups/{B1}{path}", body, user="bob").status == 404, (method, path)


def test_a_backup_is_known_again_by_its_record(api: VolumeApi) -> None:
    api.add(backup(name="one", object_count=3, details={"path": "x"}))
    record = api.get(f"/backups/{B1}/export_record", user="admin").body["backup-record"]
    assert record["backup_service"].startswith("cinder.backup.drivers")
    assert api.post("/backups/import_record", {"backup-record": record}, user="admin").status == 400
    changed = json.loads(base64.b64decode(record["backup_url"])) | {"id": B2}
    body = {"backup-record": {**record, "backup_url": base64.b64encode(json.dumps(changed).encode()).decode()}}
    answer = api.post("/backups/import_record", body, user="admin")
    assert (answer.status, answer.body["backup"]["id"], answer.body["backup"]["name"]) == (201, B2, "one")
    shown = api.get(f"/backups/{B2}", user="admin").body["backup"]
    assert (shown["status"], shown["object_count"], shown["volume_id"]) == ("available", 3, V1)
    assert (api.get(f"/backups/{B1}/export_record").status, api.post("/backups/import_record", body).status) == (403, 403)


@pytest.mark.parametrize("record", [
    "x", [], {}, {"id": "x", "volume_id": V1}, {"id": B2, "volume_id": V1, "size": -1}, {"id": B2, "volume_id": V1, "size": True, "name": 1},
    {"id": B2, "volume_id": V1, "name": "x" * 256}, {"id": B2, "volume_id": V1, "details": []}])
def test_a_record_that_cannot_be_read_is_refused(api: VolumeApi, record: Any) -> None:
    text = base64.b64encode(json.dumps(record).encode()).decode()
    answer = api.post("/backups/import_record", {"backup-record": {"backup_service": "cinder.backup.drivers.nova_lite", "backup_url": text}}, user="admin")
    assert (answer.status, "cannot be read" in message(answer)) == (400, True)


def test_only_available_backups_of_this_service_are_exported_and_imported(api: VolumeApi) -> None:
    api.add(backup(status="error"))
    assert api.get(f"/backups/{B1}/export_record", user="admin").status == 400
    for service, url in (("cinder.backup.drivers.swift", "e30="), ("cinder.backup.drivers.nova_lite", "%%")):
        assert api.post("/backups/import_record", {"backup-record": {"backup_service": service, "backup_url": url}}, user="admin").status == 400
