# SPDX-License-Identifier: Apache-2.0
"""The lists of extensions and of filters."""

from __future__ import annotations

import pytest

from tests.support.api.volume_api import VolumeApi


def test_extensions_are_listed_and_shown(api: VolumeApi) -> None:
    listed = api.get("/extensions").body["extensions"]
    assert "Hosts" in {one["name"] for one in listed}
    assert api.get(f"/extensions/{listed[0]['alias']}").body == {"extension": listed[0]}
    assert api.get("/extensions/none").status == 404


def filters(api: VolumeApi, resource: str, *, version: str = "3.71") -> list[str]:
    answer = api.get(f"/resource_filters?resource={resource}", version=version)
    ((name, found),) = [(one["resource"], one["filters"]) for one in answer.body["resource_filters"]]
    assert name == resource
    return list(found)


def test_filters_are_listed_by_resource(api: VolumeApi) -> None:
    listed = {one["resource"] for one in api.get("/resource_filters").body["resource_filters"]}
    assert {"volume", "snapshot", "message", "pool"} <= listed
    assert {"name", "status", "created_at", "name~"} <= set(filters(api, "volume"))
    assert filters(api, "pool") == ["name", "volume_type"]


def test_filters_are_those_of_the_version(api: VolumeApi) -> None:
    assert {"created_at", "name~"}.isdisjoint(filters(api, "volume", version="3.33"))
    assert filters(api, "pool", version="3.33") == ["name"]


@pytest.mark.parametrize("name", ["volume", "snapshot", "message"])
def test_a_filter_that_is_listed_is_accepted(api: VolumeApi, name: str) -> None:
    plain = [one for one in filters(api, name) if one in ("name", "status", "resource_uuid", "name~")]
    assert plain
    for filtered in plain:
        assert api.get(f"/{name}s?{filtered}=x").status == 200


def test_filters_are_there_from_3_33_on_for_what_has_lists(api: VolumeApi) -> None:
    assert api.get("/resource_filters", version="3.32").status == 404
    assert api.get("/resource_filters?resource=colour").status == 400
