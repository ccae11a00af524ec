# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes, as clients request them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.snapshots import VolumeSnapshot
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, snapshot, volume

V1 = "aaaaaaaa-0000-4000-8000-000000000001"
S1 = "bbbbbbbb-0000-4000-8000-000000000001"
# What Tempest's schemas allow, and nothing else.
MADE = {"id", "name", "description", "status", "size", "volume_id", "metadata", "created_at", "updated_at"}
DETAIL = MADE | {"os-extended-snapshot-attributes:progress", "os-extended-snapshot-attributes:project_id"}


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1 of 2 GiB."""
    made = volume_api.make(tmp_path)
    made.add(volume(V1, size_gb=2))
    return made


def create(api: VolumeApi, *, at: str = "3.71", **fields: Any) -> Answer:
    return api.post("/snapshots", {"snapshot": {"volume_id": V1, **fields}}, version=at)


def act(api: VolumeApi, name: str, params: Any = None, **more: Any) -> Answer:
    return api.post(f"/snapshots/{S1}/action", {name: params}, **more)


def status_of(api: VolumeApi) -> str:
    return str(api.get(f"/snapshots/{S1}").body["snapshot"]["status"])


def actions_of(api: VolumeApi, resource_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = api.change(lambda session: session.execute(
        sa.select(Action.name, Action.inputs).where(Action.resource_id == resource_id).order_by(Action.id)).all())
    return [(name, inputs) for name, inputs in rows]


def test_a_snapshot_is_made_by_a_conductor(api: VolumeApi) -> None:
    answer = create(api, name="s", metadata={"a": "b"}, at="3.0")
    made = answer.body["snapshot"]
    assert (answer.status, made.keys(), made["status"], made["size"], made["metadata"]) == (202, MADE, "creating", 2, {"a": "b"})
    assert actions_of(api, made["id"]) == [("create_snapshot", {})]
    assert [method for _, _, method, _ in api.rpc.sent] == ["run"]


def test_the_fields_of_a_snapshot_follow_the_microversion(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1))
    assert api.get(f"/snapshots/{S1}", version="3.0").body["snapshot"].keys() == DETAIL
    assert api.get(f"/snapshots/{S1}").body["snapshot"].keys() == DETAIL | {"group_snapshot_id", "user_id", "consumes_quota"}
    assert api.get(f"/snapshots/{S1}").body["snapshot"]["os-extended-snapshot-attributes:progress"] == "100%"


@pytest.mark.parametrize(("at", "fields", "status"), [
    ("3.65", {}, 202), ("3.65", {"force": False}, 400), ("3.65", {"force": True}, 202), ("3.66", {}, 202), ("3.66", {"force": "true"}, 202),
    ("3.66", {"force": False}, 400)])
def test_force_may_be_left_out_of_a_volume_in_use_and_be_false_until_3_65(api: VolumeApi, at: str, fields: dict[str, Any], status: int) -> None:
    api.change(lambda session: session.execute(sa.text("UPDATE volumes SET status = 'in-use'")))
    assert create(api, at=at, **fields).status == status


@pytest.mark.parametrize("columns", [{"status": "error"}, {"status": "maintenance"}, {"status": "deleting"}, {"migration_status": "migrating"}, {"host": None}])
def test_a_volume_that_is_not_at_rest_is_refused(api: VolumeApi, columns: dict[str, Any]) -> None:
    other = "aaaaaaaa-0000-4000-8000-000000000009"
    api.add(volume(other, **columns))
    assert create(api, volume_id=other).status == 400


@pytest.mark.parametrize(("fields", "status"), [
    ({"volume_id": S1}, 404), ({"volume_id": "x"}, 400), ({"volume_id": None}, 404), ({"name": "x" * 256}, 400), ({"size": 1}, 400),
    ({"metadata": {"": ""}}, 400)])
def test_what_is_no_snapshot_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    assert create(api, **fields).status == status


@pytest.mark.parametrize(("resource", "limit"), [("snapshots", 0), ("gigabytes", 3)])
def test_a_snapshot_beyond_the_quota_is_413(api: VolumeApi, resource: str, limit: int) -> None:
    api.add(VolumeQuota(project_id=PROJECTS["alice"], resource=resource, hard_limit=limit))
    assert create(api).status == 413
    api.conf.set_override("no_snapshot_gb_quota", True)
    assert create(api).status == (202 if resource == "gigabytes" else 413)


def test_a_snapshot_is_renamed(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1))
    answer = api.put(f"/snapshots/{S1}", {"snapshot": {"name": "new", "description": "d"}}, version="3.0")
    assert (answer.status, answer.body["snapshot"].keys(), answer.body["snapshot"]["name"]) == (200, MADE, "new")
    assert api.put(f"/snapshots/{S1}", {"snapshot": {}}).status == 400
    assert api.put(f"/snapshots/{S1}", {"snapshot": {"status": "x"}}).status == 400


@pytest.mark.parametrize(("status", "expected"), [
    ("available", 202), ("error", 202), ("error_deleting", 202), ("creating", 400), ("deleting", 400), ("backing-up", 400), ("restoring", 400)])
def test_a_snapshot_at_rest_is_deleted(api: VolumeApi, status: str, expected: int) -> None:
    api.add(snapshot(S1, V1, status=status))
    assert api.delete(f"/snapshots/{S1}").status == expected
    assert actions_of(api, S1) == ([("delete_snapshot", {})] if expected == 202 else [])


@pytest.mark.parametrize("status", ["creating", "deleting", "error", "error_deleting"])
def test_force_deletes_in_any_status_for_administrators(api: VolumeApi, status: str) -> None:
    api.add(snapshot(S1, V1, status=status))
    assert act(api, "os-force_delete", {}).status == 403
    assert act(api, "os-force_delete", {}, user="admin").status == 202
    assert status_of(api) == "deleting"


def test_another_projects_snapshot_is_not_found(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1))
    for method, path, body in (
        ("GET", f"/snapshots/{S1}", None), ("PUT", f"/snapshots/{S1}", {"snapshot": {"name": "x"}}), ("DELETE", f"/snapshots/{S1}", None),
        ("GET", f"/snapshots/{S1}/metadata", None), ("PUT", f"/snapshots/{S1}/metadata", {"metadata": {}}),
        ("POST", f"/snapshots/{S1}/action", {"os-update_snapshot_status": {"status": "error"}}),
    ):
        assert api.request(method, path, body, user="bob").status == 404, (method, path)


def test_metadata_is_read_merged_replaced_and_removed(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1, metadata_items={"a": "1"}))
    path = f"/snapshots/{S1}/metadata"
    assert api.post(path, {"metadata": {"b": "2"}}).body == {"metadata": {"a": "1", "b": "2"}}
    assert api.put(f"{path}/b", {"meta": {"b": "3"}}).body == {"meta": {"b": "3"}}
    assert api.put(f"{path}/b", {"meta": {"c": "3"}}).status == 400
    assert api.get(f"{path}/b").body == {"meta": {"b": "3"}}
    assert (api.delete(f"{path}/b").status, api.delete(f"{path}/b").status, api.get(f"{path}/b").status) == (200, 404, 404)
    assert api.put(path, {"metadata": {}}).body == api.get(path).body == {"metadata": {}}


@pytest.mark.parametrize("status", ["creating", "available", "deleting", "error_deleting", "ERROR"])
def test_administrators_set_a_status(api: VolumeApi, status: str) -> None:
    api.add(snapshot(S1, V1))
    assert act(api, "os-reset_status", {"status": status}).status == 403
    assert act(api, "os-reset_status", {"status": status}, user="admin").status == 202
    assert status_of(api) == status.lower()


def test_a_status_that_is_none_is_refused(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1))
    for params in ({"status": "none such"}, {}, {"status": None}):
        assert act(api, "os-reset_status", params, user="admin").status == 400


def test_a_compute_service_reports_how_a_snapshot_gets_on(api: VolumeApi) -> None:
    api.add(snapshot(S1, V1, status="creating", progress=0))
    assert act(api, "os-update_snapshot_status", {"status": "creating", "progress": "80%"}).status == 202
    assert api.get(f"/snapshots/{S1}").body["snapshot"]["os-extended-snapshot-attributes:progress"] == "80%"
    assert act(api, "os-update_snapshot_status", {"status": "error_deleting"}).status == 400
    assert act(api, "os-update_snapshot_status", {"status": "error", "progress": "x"}).status == 400
    assert act(api, "os-update_snapshot_status", {"status": "error", "progress": "101%"}).status == 400
    assert act(api, "os-update_snapshot_status", {"status": "available"}).status == 202
    assert act(api, "os-update_snapshot_status", {"status": "error"}).status == 400


def test_a_snapshot_is_deleted_while_volumes_that_were_made_from_it_live(api: VolumeApi) -> None:
    """An available copy never blocks it: the pool keeps what the copy needs."""
    api.add(snapshot(S1, V1), volume("aaaaaaaa-0000-4000-8000-000000000002", snapshot_id=S1))
    assert api.delete(f"/snapshots/{S1}").status == 202


def test_the_newest_snapshot_is_the_last_that_was_made(api: VolumeApi) -> None:
    made = [create(api).body["snapshot"]["id"] for _ in range(2)]
    api.change(lambda session: session.execute(sa.update(VolumeSnapshot).values(status="available")))
    assert api.post(f"/volumes/{V1}/action", {"revert": {"snapshot_id": made[0]}}).status == 400
    assert api.post(f"/volumes/{V1}/action", {"revert": {"snapshot_id": made[1]}}).status == 202
