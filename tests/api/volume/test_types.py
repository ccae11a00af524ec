# SPDX-License-Identifier: Apache-2.0
"""Volume types, their extra specs and access, as requests of admins and of the projects that use them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, add_type, message, volume

PRIVATE = {"os-volume-type-access:is_public": False}
SPECS = {"volume_backend_name": "lvm", "multiattach": "<is> True"}
VOLUME = "11111111-1111-4111-8111-111111111111"


def names(api: VolumeApi, query: str = "", *, user: str = "alice") -> list[str]:
    return [one["name"] for one in api.get(f"/types{query}", user=user).body["volume_types"]]


def test_a_cloud_begins_with_a_type_which_is_the_default(api: VolumeApi) -> None:
    assert names(api) == ["__DEFAULT__"]
    shown = api.get("/types/default").body["volume_type"]
    assert (shown["name"], shown["is_public"], shown["extra_specs"]) == ("__DEFAULT__", True, {})


def test_a_type_is_created_shown_changed_and_deleted(api: VolumeApi) -> None:
    made = api.post("/types", {"volume_type": {"name": "fast", "description": "SSD", "extra_specs": SPECS}}, user="admin")
    assert made.status == 200
    type_id = made.body["volume_type"]["id"]
    assert made.body["volume_type"] | {"id": ""} == {
        "id": "", "name": "fast", "description": "SSD", "is_public": True, "os-volume-type-access:is_public": True, "extra_specs": SPECS}
    assert api.get(f"/types/{type_id}", user="admin").body == {"volume_type": {**made.body["volume_type"], "qos_specs_id": None}}
    changed = api.put(f"/types/{type_id}", {"volume_type": {"name": "faster", "is_public": False}}, user="admin")
    assert (changed.status, changed.body["volume_type"]["name"], changed.body["volume_type"]["description"]) == (200, "faster", "SSD")
    assert api.delete(f"/types/{type_id}", user="admin").status == 202
    assert api.get(f"/types/{type_id}", user="admin").status == 404


def test_users_see_the_specs_that_concern_them(api: VolumeApi) -> None:
    type_id = add_type(api, "shared", extra_specs=SPECS)
    shown = api.get(f"/types/{type_id}").body["volume_type"]
    assert shown["extra_specs"] == {"multiattach": "<is> True"}
    assert "qos_specs_id" not in shown
    assert api.get(f"/types/{type_id}/extra_specs").body == {"extra_specs": {"multiattach": "<is> True"}}
    assert api.get(f"/types/{type_id}/extra_specs/volume_backend_name").status == 404


@pytest.mark.parametrize(("fields", "status"), [
    ({"name": ""}, 400), ({"name": "  "}, 400), ({"name": "x" * 256}, 400), ({}, 400), ({"name": "__DEFAULT__"}, 409), ({"name": "a", "more": 1}, 400),
    ({"name": "a", "extra_specs": {"k/": "v"}}, 400), ({"name": "a", "extra_specs": {"k": "v" * 256}}, 400)])
def test_a_wrong_type_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    refused = api.post("/types", {"volume_type": fields}, user="admin")
    assert refused.status == status, refused.body
    assert message(refused)


@pytest.mark.parametrize(("fields", "status"), [({}, 400), ({"name": None}, 400), ({"name": " "}, 400), ({"name": "other"}, 409), ({"description": ""}, 200)])
def test_a_wrong_change_is_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    add_type(api, "other")
    type_id = add_type(api, "mine")
    assert api.put(f"/types/{type_id}", {"volume_type": fields}, user="admin").status == status


@pytest.mark.parametrize("user", ["alice", "reader", "manager"])
def test_only_admins_make_types(api: VolumeApi, user: str) -> None:
    type_id = add_type(api, "t")
    assert api.post("/types", {"volume_type": {"name": "a"}}, user=user).status == 403
    assert api.put(f"/types/{type_id}", {"volume_type": {"name": "a"}}, user=user).status == 403
    assert api.delete(f"/types/{type_id}", user=user).status == 403
    assert api.post(f"/types/{type_id}/extra_specs", {"extra_specs": {"a": "b"}}, user=user).status == 403


def test_a_private_type_is_seen_by_projects_with_access_alone(api: VolumeApi) -> None:
    type_id = add_type(api, "private", **PRIVATE)
    assert api.get(f"/types/{type_id}").status == 404
    assert names(api) == ["__DEFAULT__"]
    grant = {"addProjectAccess": {"project": PROJECTS["alice"]}}
    assert api.post(f"/types/{type_id}/action", grant, user="admin").status == 202
    assert api.post(f"/types/{type_id}/action", grant, user="admin").status == 409
    assert api.get(f"/types/{type_id}").status == 200
    assert names(api) == ["private", "__DEFAULT__"]
    assert (names(api, user="bob"), api.get(f"/types/{type_id}", user="bob").status) == (["__DEFAULT__"], 404)
    listed = api.get(f"/types/{type_id}/os-volume-type-access", user="admin").body
    assert listed == {"volume_type_access": [{"volume_type_id": type_id, "project_id": PROJECTS["alice"]}]}
    take = {"removeProjectAccess": {"project": PROJECTS["alice"]}}
    assert api.post(f"/types/{type_id}/action", take, user="admin").status == 202
    assert api.post(f"/types/{type_id}/action", take, user="admin").status == 404
    assert api.get(f"/types/{type_id}").status == 404


def test_access_is_not_given_to_a_public_type(api: VolumeApi) -> None:
    type_id = add_type(api, "public")
    assert api.post(f"/types/{type_id}/action", {"addProjectAccess": {"project": "p"}}, user="admin").status == 400
    assert api.get(f"/types/{type_id}/os-volume-type-access", user="admin").status == 404


def test_an_admin_chooses_which_types_to_list(api: VolumeApi) -> None:
    add_type(api, "private", **PRIVATE)
    assert names(api, user="admin") == ["__DEFAULT__"]
    assert names(api, "?is_public=false", user="admin") == ["private"]
    assert names(api, "?is_public=None", user="admin") == ["private", "__DEFAULT__"]
    assert names(api, "?is_public=none") == ["__DEFAULT__"]
    assert api.get("/types?is_public=perhaps", user="admin").status == 400


def test_types_are_paged_sorted_and_filtered(api: VolumeApi) -> None:
    for name in ("b", "a"):
        add_type(api, name, extra_specs={"multiattach": f"<is> {name}", "k": "v"})
    assert names(api, "?sort=name:asc") == ["__DEFAULT__", "a", "b"]
    assert names(api, "?sort_key=name&sort_dir=desc&offset=1") == ["a", "__DEFAULT__"]
    first = api.get("/types?limit=1&sort=name")
    (link,) = first.body["volume_type_links"]
    assert link["href"].startswith(f"http://cloud:8774/volume/v3/{PROJECTS['alice']}/types?")
    assert [one["name"] for one in api.get(f"/types?{link['href'].partition('?')[2]}").body["volume_types"]] == ["a"]
    assert names(api, "?limit=0") == []
    assert names(api, "?extra_specs={'multiattach': '<is> a'}") == ["a"]
    assert names(api, "?extra_specs={'k': 'v'}&sort=name:asc", user="admin") == ["a", "b"]


@pytest.mark.parametrize(("query", "status"), [
    ("limit=-1", 400), ("limit=x", 400), ("marker=none", 404), ("sort=colour", 400), ("sort=name:up", 400), ("sort=name&sort_key=name", 400),
    ("extra_specs=x", 400), ("extra_specs={'k': 'v'}", 400), ("offset=-1", 400)])
def test_a_wrong_list_is_refused(api: VolumeApi, query: str, status: int) -> None:
    assert api.get(f"/types?{query}").status == status


def test_extra_specs_are_added_changed_and_removed(api: VolumeApi) -> None:
    type_id = add_type(api, "t")
    path = f"/types/{type_id}/extra_specs"
    added = api.post(path, {"extra_specs": {"a:b": "1", "c": "2"}}, user="admin")
    assert (added.status, added.body) == (200, {"extra_specs": {"a:b": "1", "c": "2"}})
    changed = api.put(f"{path}/c", {"c": "3"}, user="admin")
    assert (changed.status, changed.body) == (200, {"c": "3"})
    assert api.get(f"{path}/c", user="admin").body == {"c": "3"}
    assert api.delete(f"{path}/c", user="admin").status == 202
    assert api.delete(f"{path}/c", user="admin").status == 404
    assert api.get(path, user="admin").body == {"extra_specs": {"a:b": "1"}}


@pytest.mark.parametrize("specs", [{}, {"k k\n": "v"}, {"": "v"}, {"k": 1}, [], {f"k{number}": "v" for number in range(129)}])
def test_wrong_extra_specs_are_refused(api: VolumeApi, specs: Any) -> None:
    type_id = add_type(api, "t")
    assert api.post(f"/types/{type_id}/extra_specs", {"extra_specs": specs}, user="admin").status == 400


@pytest.mark.parametrize("body", [{}, {"other": "v"}, {"key": "v", "other": "v"}])
def test_one_spec_is_set_by_its_own_key(api: VolumeApi, body: dict[str, str]) -> None:
    type_id = add_type(api, "t")
    assert api.put(f"/types/{type_id}/extra_specs/key", body, user="admin").status == 400


def test_specs_of_a_type_with_volumes_stay(api: VolumeApi) -> None:
    type_id = add_type(api, "used", extra_specs={"a": "b"})
    api.add(volume(VOLUME, volume_type_id=type_id))
    assert api.post(f"/types/{type_id}/extra_specs", {"extra_specs": {"a": "c"}}, user="admin").status == 400
    assert api.delete(f"/types/{type_id}/extra_specs/a", user="admin").status == 400
    refused = api.delete(f"/types/{type_id}", user="admin")
    assert (refused.status, "is in use" in message(refused)) == (400, True)


def test_a_default_type_is_not_deleted(api: VolumeApi) -> None:
    default = api.get("/types/default").body["volume_type"]["id"]
    assert api.delete(f"/types/{default}", user="admin").status == 400
    type_id = add_type(api, "t")
    path = f"/default-types/{PROJECTS['alice']}"
    assert api.put(path, {"default_type": {"volume_type": "t"}}, user="admin").status == 200
    assert api.delete(f"/types/{type_id}", user="admin").status == 400


def test_a_project_has_a_default_type_of_its_own(api: VolumeApi) -> None:
    type_id = add_type(api, "mine", **PRIVATE)
    path = f"/default-types/{PROJECTS['alice']}"
    assert api.put(path, {"default_type": {"volume_type": type_id}}, user="admin").status == 400
    api.post(f"/types/{type_id}/action", {"addProjectAccess": {"project": PROJECTS["alice"]}}, user="admin")
    expected = {"project_id": PROJECTS["alice"], "volume_type_id": type_id}
    assert api.put(path, {"default_type": {"volume_type": "mine"}}, user="admin").body == {"default_type": expected}
    assert api.get(path, user="admin").body == {"default_type": expected}
    assert api.get("/default-types", user="admin").body == {"default_types": [expected]}
    assert api.get("/types/default").body["volume_type"]["id"] == type_id
    assert api.get("/types/default", user="bob").body["volume_type"]["name"] == "__DEFAULT__"
    assert api.delete(path, user="admin").status == 204
    assert api.get(path, user="admin").status == 404
    assert api.put(path, {"default_type": {"volume_type": "none"}}, user="admin").status == 404
    assert api.get(path).status == 403
    assert api.get(path, user="admin", version="3.61").status == 404
