# SPDX-License-Identifier: Apache-2.0
"""Lists of volumes and snapshots: filters by microversion, order, pages and counts."""

from __future__ import annotations

import datetime
import urllib.parse
from pathlib import Path

import pytest

from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.volume_types import VolumeType
from tests.support.api import volume_api
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, snapshot, volume

IDS = [f"aaaaaaaa-0000-4000-8000-00000000000{number}" for number in range(1, 6)]
ONE, TWO, THREE, BOBS, TARGET = IDS
S1, S2 = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


def at(minute: int) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, 0, minute)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> VolumeApi:
    made = volume_api.make(Path(tmp_path_factory.mktemp("lists")))
    made.add(
        volume(ONE, name="one", created_at=at(1), metadata_items={"env": "dev", "it's": "x"}, bootable=True),
        volume(TWO, name="two", created_at=at(2), size_gb=2, status="in-use", image_metadata={"os": "linux"}, updated_at=at(9)),
        volume(THREE, name="100%_Two", created_at=at(3), size_gb=3, status="error", availability_zone="other", consumes_quota=False),
        volume(BOBS, name="bobs", user="bob", created_at=at(4)),
        volume(TARGET, name="target", created_at=at(5), migration_status=f"target:{ONE}"),
        snapshot(S1, ONE, name="snap-one", created_at=at(1), metadata_items={"a": "b"}),
        snapshot(S2, THREE, name="snap-two", created_at=at(2), status="error", size_gb=3),
        Attachment(project_id=PROJECTS["alice"], volume_id=TWO, exclusive_id=TWO, server_id=ONE, host="h1", status="attached",
                   mountpoint="/dev/vdb", mode="rw", attached_at=at(8)))
    return made


def names(api: VolumeApi, query: str, *, path: str = "/volumes/detail", **more: str) -> list[str]:
    answer = api.get(f"{path}?{query}", **more)
    assert answer.status == 200, answer.body
    return [row["name"] for row in next(iter(answer.body.values()))]


@pytest.mark.parametrize(("query", "expected"), [
    ("", ["100%_Two", "two", "one"]), ("name=two", ["two"]), ("name=none", []), ("display_name=two", ["two"]),
    ("status=in-use", ["two"]), ("status=null", []), ("bootable=true", ["one"]), ("bootable=False", ["100%_Two", "two"]),
    ("metadata={'env': 'dev'}", ["one"]), ('metadata={"it\'s": "x"}', ["one"]), ("metadata={'env': 'dev', 'a': 'b'}", []),
    ("glance_metadata={'os': 'linux'}", ["two"]), ("availability_zone=other", ["100%_Two"]), ("size=2", ["two"]), ("group_id=x", []),
    ("migration_status=none", ["100%_Two", "two", "one"]), ("consumes_quota=false", ["100%_Two"]),
    ("name~=o", ["100%_Two", "two", "one"]), ("name~=wo", ["100%_Two", "two"]), ("name~=0%25_", ["100%_Two"]), ("name~=", ["100%_Two", "two", "one"]),
    ("created_at=gt:2026-01-01T00:01:00", ["100%_Two", "two"]), ("created_at=gte:2026-01-01T00:01:00,lt:2026-01-01T00:02:00", ["one"]),
    ("created_at=neq:2026-01-01T00:02:00", ["100%_Two", "one"]), ("updated_at=eq:2026-01-01T00:09:00", ["two"]),
    ("all_tenants=1", ["100%_Two", "two", "one"]), ("sort=name:asc", ["100%_Two", "one", "two"]), ("sort=size:desc,name", ["100%_Two", "two", "one"]),
    ("sort_key=created_at&sort_dir=asc", ["one", "two", "100%_Two"]), ("sort_key=updated_at&sort_dir=desc", ["two", "100%_Two", "one"]),
    ("limit=0", []), ("limit=1", ["100%_Two"]), ("offset=1&limit=1", ["two"]), (f"marker={TWO}", ["one"]), ("status=error&limit=1", ["100%_Two"]),
])
def test_a_list_has_what_its_query_selects(api: VolumeApi, query: str, expected: list[str]) -> None:
    found = names(api, query)
    assert sorted(found) == sorted(expected) if "updated_at&" in query or "size:desc" in query else found == expected
    assert names(api, query, path="/volumes") == found


@pytest.mark.parametrize("query", [
    "limit=-1", "limit=x", "offset=-1", "offset=x", "sort_key=none", "sort=name:up", "sort=name&sort_key=size", "host=h1", "nothing=1",
    "size=x", "bootable=perhaps", "metadata=x", "metadata={'a': 1}", "metadata={" + "(" * 500, "created_at=x", "created_at=gt:x",
    "created_at=near:2026-01-01T00:00:00", "size~=1", "with_count=perhaps", "all_tenants=perhaps",
])
def test_a_query_that_is_wrong_is_refused(api: VolumeApi, query: str) -> None:
    user = "admin" if query.startswith("all_tenants") else "alice"
    assert api.get(f"/volumes?{query}", user=user).status == 400


def test_an_unknown_marker_is_not_found(api: VolumeApi) -> None:
    assert api.get(f"/volumes?marker={BOBS}").status == 404
    assert api.get(f"/snapshots?marker={BOBS}").status == 404


@pytest.mark.parametrize(("query", "version", "status", "count"), [
    ("nothing=1", "3.30", 200, 3), ("nothing=1", "3.31", 400, 0), ("host=x", "3.30", 200, 3), ("name~=one", "3.33", 400, 0), ("name~=one", "3.34", 200, 1),
    ("bootable=perhaps", "3.1", 200, 2), ("bootable=perhaps", "3.2", 400, 0), ("glance_metadata={'os': 'x'}", "3.3", 200, 3),
    ("created_at=gt:2026-01-01T00:01:00", "3.59", 200, 3), ("created_at=gt:2026-01-01T00:01:00", "3.60", 200, 2),
])
def test_filters_follow_the_microversion(api: VolumeApi, query: str, version: str, status: int, count: int) -> None:
    answer = api.get(f"/volumes?{query}", version=version)
    assert (answer.status, len(answer.body.get("volumes", []))) == (status, count)


def test_administrators_list_all_projects_and_filter_by_any_column(api: VolumeApi) -> None:
    assert names(api, "", user="admin") == []
    assert names(api, "all_tenants=True", user="admin") == ["target", "bobs", "100%_Two", "two", "one"]
    assert names(api, f"all_tenants=1&project_id={PROJECTS['bob']}", user="admin") == ["bobs"]
    assert names(api, "all_tenants=1&host=h1@lvm%23pool&user_id=bob", user="admin") == ["bobs"]


def test_pages_link_to_the_next_one_while_they_are_full(api: VolumeApi) -> None:
    first = api.get("/volumes/detail?limit=2&sort=name").body
    (link,) = first["volumes_links"]
    assert link["rel"] == "next"
    assert link["href"].startswith(f"http://cloud:8774/volume/v3/{PROJECTS['alice']}/volumes/detail?limit=2&sort=name&marker=")
    rest = api.get(link["href"].partition(PROJECTS["alice"])[2]).body
    assert "volumes_links" not in rest
    assert [row["name"] for row in first["volumes"] + rest["volumes"]] == ["two", "one", "100%_Two"]


def test_a_count_is_of_all_pages_and_comes_when_it_is_requested(api: VolumeApi) -> None:
    assert api.get("/volumes?limit=1&with_count=true").body["count"] == 3
    assert api.get("/volumes/detail?limit=1&with_count=true&name~=wo").body["count"] == 2
    assert "count" not in api.get("/volumes?limit=1").body
    assert "count" not in api.get("/volumes?limit=1&with_count=true", version="3.44").body
    assert api.get("/snapshots?limit=1&with_count=1").body["count"] == 2


def test_an_attached_volume_shows_its_attachment_without_the_host(api: VolumeApi) -> None:
    shown = api.get(f"/volumes/{TWO}").body["volume"]
    (attachment,) = shown["attachments"]
    assert attachment == {"id": TWO, "attachment_id": attachment["attachment_id"], "volume_id": TWO, "server_id": ONE, "host_name": None,
                          "device": "/dev/vdb", "attached_at": "2026-01-01T00:08:00.000000"}
    assert shown["metadata"] == {"attached_mode": "rw", "readonly": "False"}
    assert api.get(f"/volumes/{TWO}", user="admin").body["volume"]["attachments"][0]["host_name"] == "h1"


@pytest.mark.parametrize(("query", "expected"), [
    ("", ["snap-two", "snap-one"]), ("name=snap-one", ["snap-one"]), ("status=error", ["snap-two"]), (f"volume_id={ONE}", ["snap-one"]),
    ("metadata={'a': 'b'}", ["snap-one"]), ("availability_zone=other", ["snap-two"]), ("name~=snap", ["snap-two", "snap-one"]),
    ("consumes_quota=true", ["snap-two", "snap-one"]), ("limit=0", []), ("limit=1", ["snap-two"]), ("offset=1", ["snap-one"]),
    ("sort=name:asc", ["snap-one", "snap-two"]), ("sort_key=size&sort_dir=desc", ["snap-two", "snap-one"]), (f"marker={S2}", ["snap-one"]),
])
def test_a_list_of_snapshots_has_what_its_query_selects(api: VolumeApi, query: str, expected: list[str]) -> None:
    assert names(api, query, path="/snapshots/detail") == names(api, query, path="/snapshots") == expected


@pytest.mark.parametrize(("query", "version", "status"), [
    ("sort=name", "3.29", 400), ("sort_key=display_name", "3.0", 200), ("sort=name", "3.30", 200), ("host=x", "3.31", 400), ("limit=x", "3.0", 400), ("sort_key=none", "3.0", 400)])
def test_a_query_of_snapshots_follows_the_microversion(api: VolumeApi, query: str, version: str, status: int) -> None:
    assert api.get(f"/snapshots?{query}", version=version).status == status


def test_lists_take_as_many_statements_for_many_as_for_one(api: VolumeApi) -> None:
    api.add(VolumeType(id=S1, name="t"), *(volume(f"eeeeeeee-0000-4000-8000-00000000000{n}", user="admin", volume_type_id=S1) for n in range(4)))
    for path in ("/volumes/detail", "/snapshots/detail"):
        with api.counted() as one:
            api.get(f"{path}?limit=1", user="admin")
        with api.counted() as many:
            api.get(path, user="admin")
        assert len(many) == len(one)


@pytest.mark.parametrize("item", ["{'a\\x00': 'x'}", "{'a': '\\x00'}", "{'a': '\\ud800'}"])
def test_a_filter_of_characters_that_no_database_stores_is_refused(api: VolumeApi, item: str) -> None:
    """Python's escapes in it are read, so that the query itself has none of them."""
    assert api.get(f"/volumes?metadata={urllib.parse.quote(item)}", version="3.71").status == 400
