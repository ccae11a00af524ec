# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes between projects, as both of them request them, at both paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.db.volume.quota import VolumeQuota
from nova_lite.db.volume.transfers import VolumeTransfer
from nova_lite.db.volume.volume_types import VolumeType
from nova_lite.db.volume.volumes import Volume
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, snapshot, volume

V1, V2 = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
S1 = "bbbbbbbb-0000-4000-8000-000000000001"
OLD, NEW = "/os-volume-transfer", "/volume-transfers"
BRIEF = {"id", "name", "volume_id", "links"}
BOTH = pytest.mark.parametrize(("path", "at"), [(OLD, "3.0"), (OLD, "3.71"), (NEW, "3.55"), (NEW, "3.57"), (NEW, "3.71")])


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1 of 2 GiB with a snapshot."""
    made = volume_api.make(tmp_path)
    made.add(volume(V1, size_gb=2), snapshot(S1, V1, size_gb=2))
    return made


def offer(api: VolumeApi, path: str = NEW, *, at: str = "3.71", volume_id: str = V1, **fields: object) -> Answer:
    return api.post(path, {"transfer": {"volume_id": volume_id, "name": "gift", **fields}}, version=at)


def accept(api: VolumeApi, made: Answer, *, key: str | None = None, path: str = NEW, at: str = "3.71", user: str = "bob") -> Answer:
    transfer = made.body["transfer"]
    return api.post(f"{path}/{transfer['id']}/accept", {"accept": {"auth_key": key or transfer["auth_key"]}}, version=at, user=user)


@BOTH
def test_a_volume_is_offered_and_taken_with_its_snapshots(api: VolumeApi, path: str, at: str) -> None:
    made = offer(api, path, at=at)
    assert (made.status, api.get(f"/volumes/{V1}").body["volume"]["status"]) == (202, "awaiting-transfer")
    taken = accept(api, made, path=path, at=at)
    assert (taken.status, taken.body["transfer"].keys()) == (202, BRIEF)
    found = api.get(f"/volumes/{V1}", user="bob").body["volume"]
    assert (found["status"], found["user_id"], found["os-vol-tenant-attr:tenant_id"]) == ("available", "bob", PROJECTS["bob"])
    assert (api.get(f"/volumes/{V1}").status, api.get(f"/snapshots/{S1}").status) == (404, 404)
    assert api.get(f"/snapshots/{S1}", user="bob").status == 200
    assert api.get(f"{path}/{made.body['transfer']['id']}", version=at).status == 404


@BOTH
def test_an_offer_is_shown_to_its_project_and_withdrawn_by_it(api: VolumeApi, path: str, at: str) -> None:
    made = offer(api, path, at=at).body["transfer"]
    one = f"{path}/{made['id']}"
    assert api.get(one, version=at).body["transfer"] == {name: value for name, value in made.items() if name != "auth_key"}
    assert api.get(path, version=at).body["transfers"] == [{name: made[name] for name in BRIEF}]
    assert [row["id"] for row in api.get(f"{path}/detail", version=at).body["transfers"]] == [made["id"]]
    for method in ("GET", "DELETE"):
        assert api.request(method, one, user="bob", version=at).status == 404
    assert api.get(path, user="bob", version=at).body["transfers"] == []
    assert api.delete(one, version=at).status == 202
    assert (api.get(f"/volumes/{V1}").body["volume"]["status"], api.delete(one, version=at).status) == ("available", 404)


def test_the_fields_of_a_transfer_follow_the_microversion(api: VolumeApi) -> None:
    made = offer(api, OLD, at="3.0").body["transfer"]
    assert made.keys() == BRIEF | {"created_at", "auth_key"}
    shown = f"{OLD}/{made['id']}"
    assert api.get(shown, version="3.55").body["transfer"].keys() == BRIEF | {"created_at", "no_snapshots"}
    assert api.get(shown).body["transfer"].keys() - BRIEF == {
        "created_at", "no_snapshots", "source_project_id", "destination_project_id", "accepted"}
    assert api.get(NEW, version="3.54").status == 404
    assert offer(api, OLD, at="3.54", no_snapshots=True).status == 400


def test_a_volume_without_its_snapshots_leaves_them_behind(api: VolumeApi) -> None:
    assert accept(api, offer(api, no_snapshots=True)).status == 202
    assert (api.get(f"/snapshots/{S1}").status, api.get(f"/snapshots/{S1}", user="bob").status) == (200, 404)


def test_a_key_is_needed_and_kept_as_a_hash(api: VolumeApi) -> None:
    made = offer(api)
    assert accept(api, made, key="0" * 16).status == 400
    row = api.change(lambda session: session.scalars(sa.select(VolumeTransfer)).one())
    assert made.body["transfer"]["auth_key"] not in (row.key_hash, row.salt)
    assert api.post(f"{NEW}/{V2}/accept", {"accept": {"auth_key": "x"}}, user="bob").status == 404
    assert accept(api, made, user="reader").status == 403


@pytest.mark.parametrize("status", ["in-use", "error", "creating", "awaiting-transfer", "deleting"])
def test_a_volume_that_is_not_available_is_not_offered(api: VolumeApi, status: str) -> None:
    api.change(lambda session: session.execute(sa.update(Volume).values(status=status)))
    assert offer(api).status == 400


def test_a_volume_whose_snapshot_is_busy_is_offered_without_it_only(api: VolumeApi) -> None:
    api.change(lambda session: session.execute(sa.text("UPDATE volume_snapshots SET status = 'creating'")))
    assert offer(api).status == 400
    assert offer(api, no_snapshots=True).status == 202


def test_an_offered_volume_is_neither_deleted_nor_offered_again(api: VolumeApi) -> None:
    offer(api)
    assert (api.delete(f"/volumes/{V1}?cascade=1").status, offer(api).status) == (400, 400)
    api.change(lambda session: session.execute(sa.update(Volume).values(status="available")))  # as os-reset_status does
    assert offer(api).status == 400


def test_others_volumes_cannot_be_offered(api: VolumeApi) -> None:
    api.add(volume(V2, user="bob"))
    assert offer(api, volume_id=V2).status == 404


@pytest.mark.parametrize(("resource", "limit"), [("volumes", 0), ("gigabytes", 3), ("snapshots", 0), ("per_volume_gigabytes", 1)])
def test_a_taker_without_quota_gets_413(api: VolumeApi, resource: str, limit: int) -> None:
    api.add(VolumeQuota(project_id=PROJECTS["bob"], resource=resource, hard_limit=limit))
    assert accept(api, offer(api)).status == 413
    assert api.get(f"/volumes/{V1}").body["volume"]["status"] == "awaiting-transfer"


def test_a_volume_of_a_type_that_the_taker_may_not_use_is_refused(api: VolumeApi) -> None:
    api.add(VolumeType(id=V2, name="private", is_public=False))
    api.change(lambda session: session.execute(sa.update(Volume).values(volume_type_id=V2)))
    assert accept(api, offer(api)).status == 400


def test_a_volume_that_awaits_no_transfer_any_more_is_not_taken(api: VolumeApi) -> None:
    made = offer(api)
    api.change(lambda session: session.execute(sa.update(Volume).values(status="error")))
    assert accept(api, made).status == 400


def test_transfers_are_paged_from_3_59_on(api: VolumeApi) -> None:
    api.add(volume(V2))
    offer(api)
    offer(api, volume_id=V2)
    assert [row["volume_id"] for row in api.get(NEW).body["transfers"]] == [V1, V2]
    (link,) = api.get(f"{NEW}/detail?limit=1&sort=created_at:desc").body["transfers_links"]
    assert "/volume-transfers/detail?limit=1" in link["href"]
    assert "transfers_links" not in api.get(f"{NEW}?limit=1", version="3.58").body
    assert len(api.get(f"{NEW}?all_tenants=1", user="admin").body["transfers"]) == 2
    assert api.get(NEW, user="admin").body["transfers"] == []
