# SPDX-License-Identifier: Apache-2.0
"""Flavors, their extra specs and who may use them, as requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute.flavors import Flavor
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi
from tests.support.api.users import PROJECTS

M1 = {"name": "m1.tiny", "ram": 512, "vcpus": 1, "disk": 1}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.make(tmp_path)
    made.add(*(Flavor(id=str(size), name=f"m{size}", vcpus=size, ram_mb=size * 512, root_gb=size) for size in (1, 2, 3)))
    return made


def create(api: ComputeApi, version: str = "2.1", **fields: Any) -> compute_api.Answer:
    return api.post("/flavors", {"flavor": {**M1, **fields}}, user="admin", version=version)


def test_a_new_flavor_is_shown_with_all_its_fields(api: ComputeApi) -> None:
    made = create(api, id="tiny", **{"OS-FLV-EXT-DATA:ephemeral": 2, "swap": 64})
    assert made.status == 200
    shown = api.get("/flavors/tiny").body["flavor"]
    links = shown.pop("links")
    assert shown == {
        "id": "tiny", "name": "m1.tiny", "ram": 512, "vcpus": 1, "disk": 1, "swap": 64, "rxtx_factor": 1.0,
        "OS-FLV-EXT-DATA:ephemeral": 2, "OS-FLV-DISABLED:disabled": False, "os-flavor-access:is_public": True}
    assert links == [{"rel": "self", "href": "http://cloud:8774/v2.1/flavors/tiny"},
                     {"rel": "bookmark", "href": "http://cloud:8774/flavors/tiny"}]


@pytest.mark.parametrize(("version", "there", "missing"), [
    ("2.1", {"swap": ""}, {"description", "extra_specs"}),
    ("2.55", {"description": None}, {"extra_specs"}),
    ("2.61", {"extra_specs": {}, "swap": ""}, set()),
    ("2.75", {"swap": 0}, set()),
])
def test_fields_come_with_their_microversion(
    api: ComputeApi, version: str, there: dict[str, Any], missing: set[str]
) -> None:
    shown = api.get("/flavors/1", version=version).body["flavor"]
    assert there.items() <= shown.items()
    assert not missing & shown.keys()


@pytest.mark.parametrize(("wrong", "status"), [
    ({"ram": 0}, 400), ({"vcpus": "0"}, 400), ({"disk": -1}, 400), ({"ram": "many"}, 400), ({"name": " x"}, 400),
    ({"name": ""}, 400), ({"unknown": 1}, 400), ({"rxtx_factor": 0}, 400), ({"description": "early"}, 400),
    ({"name": "m1"}, 409), ({"id": "1"}, 409), ({"ram": 2**40}, 400), ({"id": "a/b"}, 400),
])
def test_a_wrong_flavor_is_refused(api: ComputeApi, wrong: dict[str, Any], status: int) -> None:
    assert create(api, **wrong).status == status
    assert len(api.get("/flavors").body["flavors"]) == 3


def test_numbers_may_come_as_digits(api: ComputeApi) -> None:
    assert create(api, ram="512", vcpus="1", disk="1").body["flavor"]["ram"] == 512


def test_only_admins_change_flavors(api: ComputeApi) -> None:
    assert api.post("/flavors", {"flavor": M1}).status == 403
    assert api.delete("/flavors/1").status == 403
    assert api.post("/flavors/1/os-extra_specs", {"extra_specs": {"a": "b"}}).status == 403


def test_a_deleted_flavor_is_gone(api: ComputeApi) -> None:
    assert api.delete("/flavors/1", user="admin").status == 202
    assert api.get("/flavors/1").status == 404
    assert api.delete("/flavors/1", user="admin").status == 404


@pytest.mark.parametrize(("query", "ids"), [
    ("", ["1", "2", "3"]), ("minRam=1024", ["2", "3"]), ("minDisk=3", ["3"]), ("limit=2", ["1", "2"]),
    ("marker=1", ["2", "3"]), ("sort_key=memory_mb&sort_dir=desc", ["3", "2", "1"]), ("limit=0", []),
])
def test_lists_filter_sort_and_page(api: ComputeApi, query: str, ids: list[str]) -> None:
    assert [flavor["id"] for flavor in api.get(f"/flavors/detail?{query}").body["flavors"]] == ids
    assert [flavor["id"] for flavor in api.get(f"/flavors?{query}").body["flavors"]] == ids


def test_the_next_page_is_linked(api: ComputeApi) -> None:
    link = api.get("/flavors?limit=2").body["flavors_links"][0]
    assert link == {"rel": "next", "href": "http://cloud:8774/v2.1/flavors?limit=2&marker=2"}
    assert "flavors_links" not in api.get("/flavors?limit=2&marker=2").body


@pytest.mark.parametrize("query", ["marker=nope", "limit=-1", "limit=x", "minRam=x", "sort_key=colour"])
def test_a_wrong_query_is_refused(api: ComputeApi, query: str) -> None:
    assert api.get(f"/flavors?{query}").status == 400


def test_an_unknown_query_is_refused_from_2_75_on(api: ComputeApi) -> None:
    assert api.get("/flavors?colour=red", version="2.74").status == 200
    assert api.get("/flavors?colour=red", version="2.75").status == 400


def test_a_private_flavor_is_for_those_with_access(api: ComputeApi) -> None:
    create(api, id="secret", **{"os-flavor-access:is_public": False})
    assert api.get("/flavors/secret").status == 404
    access = {"addTenantAccess": {"tenant": PROJECTS["alice"]}}
    given = api.post("/flavors/secret/action", access, user="admin")
    assert given.body == {"flavor_access": [{"flavor_id": "secret", "tenant_id": PROJECTS["alice"]}]}
    assert api.post("/flavors/secret/action", access, user="admin").status == 409
    assert "secret" in [flavor["id"] for flavor in api.get("/flavors").body["flavors"]]
    assert api.get("/flavors/secret", user="bob").status == 404
    assert api.get("/flavors/secret/os-flavor-access", user="admin").body == given.body
    taken = {"removeTenantAccess": access["addTenantAccess"]}
    assert api.post("/flavors/secret/action", taken, user="admin").body == {"flavor_access": []}
    assert api.post("/flavors/secret/action", taken, user="admin").status == 404
    assert api.get("/flavors/secret").status == 404


def test_is_public_selects_for_admins(api: ComputeApi) -> None:
    create(api, id="secret", **{"os-flavor-access:is_public": False})
    for query, count in (("", 3), ("is_public=false", 1), ("is_public=None", 4)):
        assert len(api.get(f"/flavors?{query}", user="admin").body["flavors"]) == count
    assert len(api.get("/flavors?is_public=None").body["flavors"]) == 3


def test_access_to_a_public_flavor_means_nothing_before_2_7_and_is_refused_since(api: ComputeApi) -> None:
    access = {"addTenantAccess": {"tenant": "some"}}
    assert api.post("/flavors/1/action", access, user="admin", version="2.6").status == 200
    assert api.post("/flavors/2/action", access, user="admin", version="2.7").status == 409
    assert api.get("/flavors/1/os-flavor-access", user="admin").status == 404


def test_the_description_can_change_from_2_55_on(api: ComputeApi) -> None:
    change = {"flavor": {"description": "small"}}
    assert api.put("/flavors/1", change, user="admin", version="2.54").status == 404
    assert api.put("/flavors/1", change, user="admin", version="2.55").body["flavor"]["description"] == "small"
    assert api.get("/flavors", version="2.55").body["flavors"][0]["description"] == "small"


def test_extra_specs_are_set_shown_and_removed(api: ComputeApi) -> None:
    path = "/flavors/1/os-extra_specs"
    assert api.post(path, {"extra_specs": {"a": "1", "n": 2}}, user="admin").body == {"extra_specs": {"a": "1", "n": "2"}}
    assert api.put(f"{path}/a", {"a": "3"}, user="admin").body == {"a": "3"}
    assert api.get(path).body == {"extra_specs": {"a": "3", "n": "2"}}
    assert api.get(f"{path}/a").body == {"a": "3"}
    assert api.delete(f"{path}/a", user="admin").status == 200
    assert api.get(f"{path}/a").status == 404
    assert api.delete(f"{path}/a", user="admin").status == 404
    assert api.put(f"{path}/a", {"b": "3"}, user="admin").status == 400
    assert api.put(f"{path}/a", {"a": "3", "b": "4"}, user="admin").status == 400


@pytest.mark.parametrize(("spec", "status"), [
    ({"hw:cpu_policy": "dedicated"}, 200), ({"hw:cpu_policy": "sharrred"}, 400), ({"hw:colour": "red"}, 400), ({"quota:cpu_shares": "\u0662"}, 400),
    ({"colour": "red"}, 200), ({"mine:colour": "red"}, 200), ({"quota:cpu_shares": "100"}, 200),
    ({"resources:VCPU": "x"}, 400), ({"trait:HW_CPU_X86_AVX": "required"}, 200),
])
def test_known_extra_specs_are_checked_from_2_86_on(api: ComputeApi, spec: dict[str, str], status: int) -> None:
    path = "/flavors/1/os-extra_specs"
    assert api.post(path, {"extra_specs": spec}, user="admin", version="2.85").status == 200
    assert api.post(path, {"extra_specs": spec}, user="admin", version="2.86").status == status
