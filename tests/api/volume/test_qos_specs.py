# SPDX-License-Identifier: Apache-2.0
"""QoS specs, as an admin makes them and has them hold for types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api.volume_api import VolumeApi, add_type


def add(api: VolumeApi, name: str = "slow", **fields: Any) -> str:
    made = api.post("/qos-specs", {"qos_specs": {"name": name, **fields}}, user="admin")
    assert made.status == 200, made.body
    return str(made.body["qos_specs"]["id"])


def test_specs_are_created_shown_changed_and_deleted(api: VolumeApi) -> None:
    made = api.post("/qos-specs", {"qos_specs": {"name": "slow", "consumer": "front-end", "read_iops_sec": "100"}}, user="admin")
    assert made.status == 200
    specs_id = made.body["qos_specs"]["id"]
    assert made.body["qos_specs"] == {"id": specs_id, "name": "slow", "consumer": "front-end", "specs": {"read_iops_sec": "100"}}
    assert [link["rel"] for link in made.body["links"]] == ["self", "bookmark"]
    assert api.get(f"/qos-specs/{specs_id}", user="admin").body == made.body
    assert api.get("/qos-specs", user="admin").body == {"qos_specs": [made.body["qos_specs"]]}
    changed = api.put(f"/qos-specs/{specs_id}", {"qos_specs": {"write_iops_sec": 50, "consumer": "both"}}, user="admin")
    assert (changed.status, changed.body) == (200, {"qos_specs": {"write_iops_sec": "50", "consumer": "both"}})
    shown = api.get(f"/qos-specs/{specs_id}", user="admin").body["qos_specs"]
    assert (shown["consumer"], shown["specs"]) == ("both", {"read_iops_sec": "100", "write_iops_sec": "50"})
    assert api.put(f"/qos-specs/{specs_id}/delete_keys", {"keys": ["read_iops_sec"]}, user="admin").status == 202
    assert api.put(f"/qos-specs/{specs_id}/delete_keys", {"keys": ["read_iops_sec"]}, user="admin").status == 400
    assert api.delete(f"/qos-specs/{specs_id}", user="admin").status == 202
    assert api.get(f"/qos-specs/{specs_id}", user="admin").status == 404


def test_the_consumer_is_the_back_end_unless_it_is_named(api: VolumeApi) -> None:
    specs_id = add(api)
    assert api.get(f"/qos-specs/{specs_id}", user="admin").body["qos_specs"]["consumer"] == "back-end"


@pytest.mark.parametrize(("fields", "status"), [
    ({}, 400), ({"name": ""}, 400), ({"name": "a", "consumer": "nobody"}, 400), ({"name": "taken"}, 409), ({"name": "a", "k/": "v"}, 400), ({"name": "a", "k": []}, 400)])
def test_wrong_specs_are_refused(api: VolumeApi, fields: dict[str, Any], status: int) -> None:
    add(api, "taken")
    assert api.post("/qos-specs", {"qos_specs": fields}, user="admin").status == status


def test_specs_hold_for_types(api: VolumeApi) -> None:
    specs_id, other, type_id = add(api), add(api, "other"), add_type(api, "t")
    path = f"/qos-specs/{specs_id}"
    assert api.get(f"{path}/associate?vol_type_id={type_id}", user="admin").status == 202
    assert api.get(f"{path}/associate?vol_type_id={type_id}", user="admin").status == 202
    assert api.get(f"/qos-specs/{other}/associate?vol_type_id={type_id}", user="admin").status == 400
    assert api.get(f"/types/{type_id}", user="admin").body["volume_type"]["qos_specs_id"] == specs_id
    expected = [{"association_type": "volume_type", "id": type_id, "name": "t"}]
    assert api.get(f"{path}/associations", user="admin").body == {"qos_associations": expected}
    assert api.get(f"/qos-specs/{other}/disassociate?vol_type_id={type_id}", user="admin").status == 202
    assert api.get(f"{path}/associations", user="admin").body == {"qos_associations": expected}
    assert api.get(f"{path}/disassociate?vol_type_id={type_id}", user="admin").status == 202
    assert api.get(f"{path}/associations", user="admin").body == {"qos_associations": []}


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?vol_type_id=", 400), ("?vol_type_id=none", 404)])
def test_a_type_that_there_is_must_be_named(api: VolumeApi, query: str, status: int) -> None:
    specs_id = add(api)
    assert api.get(f"/qos-specs/{specs_id}/associate{query}", user="admin").status == status
    assert api.get(f"/qos-specs/{specs_id}/disassociate{query}", user="admin").status == status


def test_specs_that_types_have_are_deleted_by_force_alone(api: VolumeApi) -> None:
    specs_id, type_id = add(api), add_type(api, "t")
    api.get(f"/qos-specs/{specs_id}/associate?vol_type_id={type_id}", user="admin")
    assert api.delete(f"/qos-specs/{specs_id}", user="admin").status == 400
    assert api.delete(f"/qos-specs/{specs_id}?force=False", user="admin").status == 400
    assert api.delete(f"/qos-specs/{specs_id}?force=True", user="admin").status == 202
    assert api.get(f"/types/{type_id}", user="admin").body["volume_type"]["qos_specs_id"] is None


def test_all_types_are_let_go_at_once(api: VolumeApi) -> None:
    specs_id = add(api)
    for name in ("a", "b"):
        api.get(f"/qos-specs/{specs_id}/associate?vol_type_id={add_type(api, name)}", user="admin")
    assert len(api.get(f"/qos-specs/{specs_id}/associations", user="admin").body["qos_associations"]) == 2
    assert api.get(f"/qos-specs/{specs_id}/disassociate_all", user="admin").status == 202
    assert api.get(f"/qos-specs/{specs_id}/associations", user="admin").body["qos_associations"] == []


def test_users_see_nothing_of_them(api: VolumeApi) -> None:
    specs_id, type_id = add(api), add_type(api, "t")
    assert api.get("/qos-specs").status == 403
    assert api.get(f"/qos-specs/{specs_id}").status == 403
    assert api.get(f"/qos-specs/{specs_id}/associate?vol_type_id={type_id}").status == 403
    assert api.get(f"/qos-specs/{specs_id}/associations", user="admin").body["qos_associations"] == []
