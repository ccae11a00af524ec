# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes, their types and snapshots, as requests; conductors and workers are what the tests write to the rows."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.volume import groups
from nova_lite.db.volume.groups import VolumeGroup
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import HOST, VolumeApi, add_type, message, pool

NOWHERE = "99999999-9999-4999-8999-999999999999"


def add_group_type(api: VolumeApi, name: str = "plain", **fields: Any) -> str:
    made = api.post("/group_types", {"group_type": {"name": name, **fields}}, user="admin")
    assert made.status == 202, made.body
    return str(made.body["group_type"]["id"])


def add_group(api: VolumeApi, *, types: list[str] | None = None, user: str = "alice", **fields: Any) -> str:
    api.post("/group_types", {"group_type": {"name": "plain"}}, user="admin")
    made = api.post("/groups", {"group": {"group_type": "plain", "volume_types": types or ["__DEFAULT__"], **fields}}, user=user)
    assert made.status == 202, made.body
    return str(made.body["group"]["id"])


def add_volume(api: VolumeApi, group_id: str | None = None, **fields: Any) -> str:
    """The id of a new volume that is available."""
    more = {"group_id": group_id} if group_id else {}
    made = api.post("/volumes", {"volume": {"size": 1, **more, **fields}})
    assert made.status == 202, made.body
    set_rows(api, Volume, status="available", host=HOST)
    return str(made.body["volume"]["id"])


def set_rows(api: VolumeApi, table: Any, **columns: Any) -> None:
    """What conductors would have written to all of them."""
    api.change(lambda session: session.execute(sa.update(table).values(**columns)))


def remove_rows(api: VolumeApi, table: Any) -> None:
    """What conductors do at the end of deletions."""
    api.change(lambda session: session.execute(sa.delete(table)))


def show(api: VolumeApi, group_id: str, **more: Any) -> dict[str, Any]:
    answer = api.get(f"/groups/{group_id}?list_volume=true", **more)
    assert answer.status == 200, answer.body
    return dict(answer.body["group"])


def act(api: VolumeApi, group_id: str, word: str, value: Any = None, **more: Any) -> Any:
    return api.post(f"/groups/{group_id}/action", {word: value}, **more)


def actions(api: VolumeApi) -> int:
    """How many actions the conductor was sent."""
    return len([method for _, _, method, _ in api.rpc.sent if method == "run"])


def test_a_group_type_is_created_shown_changed_and_deleted(api: VolumeApi) -> None:
    type_id = add_group_type(api, "fast", description="d", group_specs={"a": "b"})
    shown = api.get(f"/group_types/{type_id}", user="admin").body["group_type"]
    assert shown == {"id": type_id, "name": "fast", "description": "d", "is_public": True, "group_specs": {"a": "b"}}
    assert "group_specs" not in api.get(f"/group_types/{type_id}").body["group_type"]
    assert api.put(f"/group_types/{type_id}", {"group_type": {"name": "faster"}}, user="admin").body["group_type"]["name"] == "faster"
    assert api.put(f"/group_types/{type_id}", {"group_type": {}}, user="admin").status == 400
    assert [one["id"] for one in api.get("/group_types").body["group_types"]] == [type_id]
    assert api.delete(f"/group_types/{type_id}", user="admin").status == 202
    assert api.get(f"/group_types/{type_id}").status == 404


def test_the_default_group_type_is_the_one_of_that_name(api: VolumeApi) -> None:
    assert api.get("/group_types/default").status == 404
    type_id = add_group_type(api, "default_cgsnapshot_type")
    assert api.get("/group_types/default").body["group_type"]["id"] == type_id


@pytest.mark.parametrize(("fields", "status"), [({}, 400), ({"name": " "}, 400), ({"name": "taken"}, 409), ({"name": "a", "more": 1}, 400)])
def test_a_wrong_group_type_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    add_group_type(api, "taken")
    assert api.post("/group_types", {"group_type": fields}, user="admin").status == status


def test_private_group_types_are_for_admins(api: VolumeApi) -> None:
    type_id = add_group_type(api, is_public=False)
    assert api.get(f"/group_types/{type_id}").status == 404
    assert api.get("/group_types").body == {"group_types": []}
    assert [one["id"] for one in api.get("/group_types?is_public=none", user="admin").body["group_types"]] == [type_id]
    assert api.post("/group_types", {"group_type": {"name": "a"}}).status == 403


def test_group_specs_are_added_changed_and_removed(api: VolumeApi) -> None:
    path = f"/group_types/{add_group_type(api)}/group_specs"
    assert (api.post(path, {"group_specs": {"k": "v"}}, user="admin").status, api.get(path, user="admin").body) == (202, {"group_specs": {"k": "v"}})
    assert api.put(f"{path}/k", {"k": "w"}, user="admin").body == {"k": "w"}
    assert api.put(f"{path}/k", {"other": "w"}, user="admin").status == 400
    assert api.get(f"{path}/k", user="admin").body == {"k": "w"}
    assert (api.delete(f"{path}/k", user="admin").status, api.get(f"{path}/k", user="admin").status) == (202, 404)
    assert api.get(path).status == 403


def test_a_group_is_created_shown_changed_and_deleted(api: VolumeApi) -> None:
    group_id = add_group(api, name="g", description="d")
    shown = show(api, group_id)
    default = api.get("/types/default").body["volume_type"]["id"]
    assert {name: shown[name] for name in ("name", "status", "volume_types", "volumes", "project_id", "group_snapshot_id", "availability_zone")} == {
        "availability_zone": "nova", "name": "g", "status": "available", "volume_types": [default], "volumes": [], "project_id": PROJECTS["alice"], "group_snapshot_id": None}
    assert api.get("/groups").body["groups"] == [{"id": group_id, "name": "g"}]
    assert api.put(f"/groups/{group_id}", {"group": {"name": "h"}}).status == 202
    assert api.get("/groups/detail?name=h").body["groups"][0]["description"] == "d"
    assert api.put(f"/groups/{group_id}", {"group": {}}).status == 400
    assert act(api, group_id, "delete", {"delete-volumes": False}).status == 202
    assert (api.get(f"/groups/{group_id}").status, api.get("/groups").body["groups"]) == (404, [])


@pytest.mark.parametrize(("fields", "status"), [
    ({"group_type": "none"}, 404), ({"volume_types": ["none"]}, 404), ({"volume_types": []}, 400), ({"availability_zone": "mars"}, 400), ({"more": 1}, 400)])
def test_a_wrong_group_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    add_group_type(api)
    body = {"group_type": "plain", "volume_types": ["__DEFAULT__"], **fields}
    assert api.post("/groups", {"group": body}).status == status


def test_a_group_whose_snapshots_would_be_of_one_moment_is_refused(api: VolumeApi) -> None:
    add_group_type(api, "exact", group_specs={"consistent_group_snapshot_enabled": "<is> True"})
    add_group_type(api, "loose", group_specs={"consistent_group_snapshot_enabled": "<is> False"})
    refused = api.post("/groups", {"group": {"group_type": "exact", "volume_types": ["__DEFAULT__"]}})
    assert (refused.status, "of one moment" in message(refused)) == (400, True)
    assert api.post("/groups", {"group": {"group_type": "loose", "volume_types": ["__DEFAULT__"]}}).status == 202


def test_groups_count_in_the_quota(api: VolumeApi) -> None:
    api.put(f"/os-quota-sets/{PROJECTS['alice']}", {"quota_set": {"groups": 1}}, user="admin")
    group_id = add_group(api)
    assert api.post("/groups", {"group": {"group_type": "plain", "volume_types": ["__DEFAULT__"]}}).status == 413
    act(api, group_id, "delete", {})
    add_group(api)


def test_a_volume_is_made_in_a_group_and_deleted_with_it(api: VolumeApi) -> None:
    group_id = add_group(api)
    volume_id = add_volume(api, group_id)
    assert api.get(f"/volumes/{volume_id}").body["volume"]["group_id"] == group_id
    assert show(api, group_id)["volumes"] == [volume_id]
    assert [one["id"] for one in api.get(f"/volumes?group_id={group_id}").body["volumes"]] == [volume_id]
    refused = api.delete(f"/volumes/{volume_id}")
    assert (refused.status, group_id in message(refused)) == (400, True)
    assert act(api, group_id, "delete", {"delete-volumes": False}).status == 400
    assert act(api, group_id, "delete", {"delete-volumes": True}).status == 202
    assert (show(api, group_id)["status"], api.get(f"/volumes/{volume_id}").body["volume"]["status"], actions(api)) == ("deleting", "deleting", 2)
    assert act(api, group_id, "delete", {"delete-volumes": True}).status == 400
    remove_rows(api, Volume)
    assert api.get(f"/groups/{group_id}").status == 404


def test_a_group_whose_volume_was_not_deleted_says_so_and_may_be_deleted_again(api: VolumeApi) -> None:
    group_id = add_group(api)
    add_volume(api, group_id)
    act(api, group_id, "delete", {"delete-volumes": True})
    set_rows(api, Volume, status="error_deleting")
    assert show(api, group_id)["status"] == "error_deleting"
    assert act(api, group_id, "delete", {"delete-volumes": True}).status == 202


def test_a_volume_of_another_type_or_project_does_not_come_into_a_group(api: VolumeApi) -> None:
    add_type(api, "other")
    group_id = add_group(api, types=["other"])
    volume_id = add_volume(api)
    assert api.post("/volumes", {"volume": {"size": 1, "group_id": group_id}}).status == 400
    assert api.post("/volumes", {"volume": {"size": 1, "group_id": group_id}}, user="bob").status == 404
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": volume_id}}).status == 400
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": NOWHERE}}).status == 404
    assert api.put(f"/groups/{group_id}", {"group": {"remove_volumes": volume_id}}).status == 400


def test_volumes_come_into_a_group_and_leave_it(api: VolumeApi) -> None:
    group_id, volume_id = add_group(api), add_volume(api)
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": volume_id, "remove_volumes": volume_id}}).status == 400
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": volume_id}}).status == 202
    assert show(api, group_id)["volumes"] == [volume_id]
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": volume_id}}).status == 400
    assert api.put(f"/groups/{group_id}", {"group": {"remove_volumes": volume_id}}).status == 202
    assert show(api, group_id)["volumes"] == []
    set_rows(api, Volume, status="uploading")
    assert api.put(f"/groups/{group_id}", {"group": {"add_volumes": volume_id}}).status == 400


def test_a_volume_in_a_group_is_not_parted_from_it(api: VolumeApi) -> None:
    add_type(api, "other")
    api.add(pool("h2@lvm#b"))
    volume_id = add_volume(api, add_group(api))
    path = f"/volumes/{volume_id}/action"
    refused = [
        api.post(path, {"os-retype": {"new_type": "other"}}), api.post(path, {"os-migrate_volume": {"host": "h2@lvm#b"}}, user="admin"),
        api.post("/volume-transfers", {"transfer": {"volume_id": volume_id}}), api.delete(f"/volumes/{volume_id}?force=true", user="admin")]
    assert [(answer.status, "group" in message(answer)) for answer in refused] == [(400, True)] * 4


def add_snapshot(api: VolumeApi, group_id: str) -> str:
    made = api.post("/group_snapshots", {"group_snapshot": {"group_id": group_id, "name": "s"}})
    assert made.status == 202, made.body
    return str(made.body["group_snapshot"]["id"])


def snapshot_status(api: VolumeApi, snapshot_id: str) -> str:
    return str(api.get(f"/group_snapshots/{snapshot_id}").body["group_snapshot"]["status"])


def test_a_groups_snapshot_is_one_of_each_volume(api: VolumeApi) -> None:
    group_id = add_group(api)
    volumes = {add_volume(api, group_id), add_volume(api, group_id)}
    snapshot_id = add_snapshot(api, group_id)
    parts = api.get("/snapshots/detail").body["snapshots"]
    assert ({part["volume_id"] for part in parts}, {part["group_snapshot_id"] for part in parts}) == (volumes, {snapshot_id})
    assert (snapshot_status(api, snapshot_id), actions(api)) == ("creating", 4)
    set_rows(api, VolumeSnapshot, status="available")
    assert snapshot_status(api, snapshot_id) == "available"
    assert api.get("/group_snapshots").body["group_snapshots"] == [{"id": snapshot_id, "name": "s"}]
    assert api.get(f"/group_snapshots/detail?group_id={group_id}&status=available").body["group_snapshots"][0]["group_id"] == group_id
    assert api.put(f"/group_snapshots/{snapshot_id}", {"group_snapshot": {"name": "t"}}).status == 202
    assert api.get(f"/group_snapshots/{snapshot_id}").body["group_snapshot"]["name"] == "t"


def test_parts_of_a_groups_snapshot_are_deleted_with_it_alone(api: VolumeApi) -> None:
    group_id = add_group(api)
    volume_id = add_volume(api, group_id)
    snapshot_id = add_snapshot(api, group_id)
    assert api.delete(f"/group_snapshots/{snapshot_id}").status == 400
    set_rows(api, VolumeSnapshot, status="available")
    (part,) = api.get("/snapshots").body["snapshots"]
    assert api.delete(f"/snapshots/{part['id']}").status == 400
    assert act(api, group_id, "delete", {"delete-volumes": True}).status == 400
    api.put(f"/groups/{group_id}", {"group": {"remove_volumes": volume_id}})
    assert api.delete(f"/volumes/{volume_id}?cascade=true").status == 400
    assert api.post("/volume-transfers", {"transfer": {"volume_id": volume_id}}).status == 400
    assert api.delete(f"/group_snapshots/{snapshot_id}").status == 202
    assert snapshot_status(api, snapshot_id) == "deleting"
    remove_rows(api, VolumeSnapshot)
    assert api.get(f"/group_snapshots/{snapshot_id}").status == 404


def test_a_snapshot_of_an_empty_or_busy_group_is_refused(api: VolumeApi) -> None:
    group_id = add_group(api)
    body = {"group_snapshot": {"group_id": group_id}}
    assert api.post("/group_snapshots", body).status == 400
    api.post("/volumes", {"volume": {"size": 1, "group_id": group_id}})
    assert (show(api, group_id)["status"], api.post("/group_snapshots", body).status) == ("creating", 400)
    set_rows(api, Volume, status="error", host=HOST)
    assert (show(api, group_id)["status"], api.post("/group_snapshots", body).status) == ("error", 400)
    assert api.post("/group_snapshots", {"group_snapshot": {"group_id": NOWHERE}}).status == 404


@pytest.mark.parametrize("source", ["group_snapshot_id", "source_group_id"])
def test_a_group_is_made_from_another(api: VolumeApi, source: str) -> None:
    origin = add_group(api)
    for _ in range(2):
        add_volume(api, origin)
    source_id = origin if source == "source_group_id" else add_snapshot(api, origin)
    set_rows(api, VolumeSnapshot, status="available")
    made = api.post("/groups/action", {"create-from-src": {source: source_id, "name": "copy"}})
    assert made.status == 202, made.body
    group_id = made.body["group"]["id"]
    shown = show(api, group_id)
    assert (shown["status"], len(shown["volumes"]), shown[source]) == ("creating", 2, source_id)
    made_from = {"group_snapshot_id": "snapshot_id", "source_group_id": "source_volid"}[source]
    assert all(api.get(f"/volumes/{volume_id}").body["volume"][made_from] for volume_id in shown["volumes"])
    set_rows(api, Volume, status="available")
    assert show(api, group_id)["status"] == "available"


def test_a_copy_needs_one_source_with_volumes_and_quota(api: VolumeApi) -> None:
    origin = add_group(api)

    def copy(**fields: Any) -> int:
        return int(api.post("/groups/action", {"create-from-src": fields}).status)

    assert (copy(), copy(group_snapshot_id=NOWHERE, source_group_id=origin)) == (400, 400)
    assert (copy(source_group_id=origin), copy(source_group_id=NOWHERE), copy(group_snapshot_id=NOWHERE)) == (400, 404, 404)
    add_volume(api, origin)
    api.put(f"/os-quota-sets/{PROJECTS['alice']}", {"quota_set": {"volumes": 1}}, user="admin")
    assert copy(source_group_id=origin) == 413


def test_another_project_reaches_no_group(api: VolumeApi) -> None:
    group_id = add_group(api)
    add_volume(api, group_id)
    snapshot_id = add_snapshot(api, group_id)
    assert (api.get("/groups", user="bob").body["groups"], api.get("/group_snapshots/detail", user="bob").body["group_snapshots"]) == ([], [])
    for path in (f"/groups/{group_id}", f"/group_snapshots/{snapshot_id}"):
        assert api.get(path, user="bob").status == 404
    assert api.put(f"/groups/{group_id}", {"group": {"name": "b"}}, user="bob").status == 404
    assert act(api, group_id, "delete", {"delete-volumes": True}, user="bob").status == 404
    assert api.delete(f"/group_snapshots/{snapshot_id}", user="bob").status == 404
    assert api.post("/group_snapshots", {"group_snapshot": {"group_id": group_id}}, user="bob").status == 404
    assert api.post("/groups/action", {"create-from-src": {"source_group_id": group_id}}, user="bob").status == 404


def test_an_admin_sets_what_a_group_shows(api: VolumeApi) -> None:
    group_id = add_group(api)
    add_volume(api, group_id)
    snapshot_id = add_snapshot(api, group_id)
    assert act(api, group_id, "reset_status", {"status": "error"}).status == 403
    assert act(api, group_id, "reset_status", {"status": "error"}, user="admin").status == 202
    assert show(api, group_id)["status"] == "error"
    assert act(api, group_id, "reset_status", {"status": "blue"}, user="admin").status == 400
    path = f"/group_snapshots/{snapshot_id}/action"
    assert api.post(path, {"reset_status": {"status": "error"}}, user="admin").status == 202
    assert snapshot_status(api, snapshot_id) == "error"


@pytest.mark.parametrize("status", ["creating", "deleting", "available", "updating"])
def test_a_group_without_volumes_shows_what_an_admin_has_set(api: VolumeApi, status: str) -> None:
    group_id = add_group(api)
    assert act(api, group_id, "reset_status", {"status": status}, user="admin").status == 202
    assert show(api, group_id)["status"] == status
    assert [one["id"] for one in api.get(f"/groups/detail?status={status}").body["groups"]] == [group_id]


@pytest.mark.parametrize("word", ["enable_replication", "disable_replication", "failover_replication", "list_replication_targets"])
def test_groups_have_no_replication(api: VolumeApi, word: str) -> None:
    group_id = add_group(api)
    assert act(api, group_id, word, {}).status == 400
    assert act(api, group_id, word, {}, user="bob").status == 404
    assert act(api, group_id, word, {}, version="3.37").status == 400


@pytest.mark.parametrize(("query", "status"), [("limit=x", 400), ("colour=red", 400), ("sort=colour", 400), ("marker=none", 404), ("status=available", 200)])
def test_a_wrong_list_of_groups_is_refused(api: VolumeApi, query: str, status: int) -> None:
    assert api.get(f"/groups?{query}").status == status
    assert api.get(f"/group_snapshots?{query}").status == status


def test_fields_come_with_their_versions(api: VolumeApi) -> None:
    group_id = add_group(api)
    assert api.get(f"/groups/{group_id}", version="3.12").status == 404
    assert {"group_snapshot_id", "volumes", "project_id"}.isdisjoint(show(api, group_id, version="3.13"))
    assert "volumes" in show(api, group_id, version="3.25")
    assert "volumes" not in api.get(f"/groups/{group_id}").body["group"]


def test_rows_of_groups_that_are_gone_are_purged(api: VolumeApi) -> None:
    kept, gone = add_group(api), add_group(api)
    act(api, gone, "delete", {})
    assert api.change(lambda session: groups.purge(session, limit=10)) == 1
    with api.database.reader() as session:
        assert list(session.scalars(sa.select(VolumeGroup.id))) == [kept]


def test_a_group_type_with_groups_stays(api: VolumeApi) -> None:
    group_id = add_group(api)
    assert api.delete("/group_types/plain", user="admin").status == 400
    act(api, group_id, "delete", {})
    assert api.delete("/group_types/plain", user="admin").status == 202
