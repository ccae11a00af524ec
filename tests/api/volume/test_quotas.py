# SPDX-License-Identifier: Apache-2.0
"""Quotas of block storage: shown with usage, set, reset, by class, and what `check` refuses."""

from __future__ import annotations

import concurrent.futures
import functools
import uuid
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.db.volume import quota
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, add_type, message, snapshot, volume

MINE = f"/os-quota-sets/{PROJECTS['alice']}"
DEFAULTS = {"volumes": 10, "snapshots": 10, "gigabytes": 1000, "backups": 10, "backup_gigabytes": 1000, "groups": 10, "per_volume_gigabytes": -1,
            "volumes___DEFAULT__": -1, "gigabytes___DEFAULT__": -1, "snapshots___DEFAULT__": -1}


def quotas(api: VolumeApi, path: str = MINE, **more: Any) -> dict[str, Any]:
    answer = api.get(path, **more)
    assert answer.status == 200, answer.body
    return dict(answer.body["quota_set"])


def fill(api: VolumeApi, *, type_id: str | None = None) -> None:
    """Two volumes, 3 and 4 GiB, with a snapshot of the second, and a copy that does not count; bob has one of 9 GiB."""
    first, second = (str(uuid.uuid4()) for _ in range(2))
    api.add(volume(first, size_gb=3), volume(second, size_gb=4, volume_type_id=type_id),
            volume(str(uuid.uuid4()), size_gb=5, consumes_quota=False), volume(str(uuid.uuid4()), user="bob", size_gb=9),
            snapshot(str(uuid.uuid4()), second, size_gb=4, volume_type_id=type_id))


def test_limits_are_cinders_by_default(api: VolumeApi) -> None:
    assert quotas(api) == {"id": PROJECTS["alice"], **DEFAULTS}
    assert quotas(api, f"{MINE}/defaults") == {"id": PROJECTS["alice"], **DEFAULTS}


def test_limits_are_set_and_reset_by_admins(api: VolumeApi) -> None:
    changed = api.put(MINE, {"quota_set": {"volumes": 3, "gigabytes": "-1", "tenant_id": "x"}}, user="admin")
    assert (changed.status, changed.body) == (200, {"quota_set": {**DEFAULTS, "volumes": 3, "gigabytes": -1}})
    assert quotas(api)["volumes"] == 3
    assert quotas(api, f"/os-quota-sets/{PROJECTS['bob']}", user="bob")["volumes"] == 10
    assert quotas(api, f"{MINE}/defaults")["volumes"] == 10
    assert api.delete(MINE, user="admin").status == 200
    assert quotas(api)["volumes"] == 10


def test_a_type_has_quotas_of_its_own(api: VolumeApi) -> None:
    type_id = add_type(api, "lvm")
    assert api.put(MINE, {"quota_set": {"volumes_lvm": 5}}, user="admin").body["quota_set"]["volumes_lvm"] == 5
    api.put(f"/types/{type_id}", {"volume_type": {"name": "rbd"}}, user="admin")
    assert (quotas(api)["volumes_rbd"], "volumes_lvm" in quotas(api)) == (5, False)
    api.delete(f"/types/{type_id}", user="admin")
    add_type(api, "rbd")
    assert quotas(api)["volumes_rbd"] == -1


def test_usage_is_counted_from_the_rows(api: VolumeApi) -> None:
    fill(api, type_id=add_type(api, "lvm"))
    used = {name: value["in_use"] for name, value in quotas(api, f"{MINE}?usage=true").items() if name != "id"}
    assert {name: count for name, count in used.items() if count} == {
        "volumes": 2, "snapshots": 1, "gigabytes": 11, "volumes_lvm": 1, "snapshots_lvm": 1, "gigabytes_lvm": 8}
    assert quotas(api, f"{MINE}?usage=True")["volumes"] == {"limit": 10, "in_use": 2, "reserved": 0}


def test_snapshots_may_be_left_out_of_gigabytes(api: VolumeApi) -> None:
    fill(api)
    api.conf.set_override("no_snapshot_gb_quota", True)
    assert quotas(api, f"{MINE}?usage=true")["gigabytes"]["in_use"] == 7


@pytest.mark.parametrize("quota_set", [
    {}, {"volumes": -2}, {"volumes": "x"}, {"volumes": 2**31}, {"volumes": "9999999999"}, {"instances": 1}, {"volumes_none": 1}, {"volumes": None}])
def test_wrong_limits_are_refused(api: VolumeApi, quota_set: dict[str, Any]) -> None:
    assert api.put(MINE, {"quota_set": quota_set}, user="admin").status == 400
    assert api.put("/os-quota-class-sets/default", {"quota_class_set": quota_set}, user="admin").status == 400


def test_a_limit_below_the_usage_is_refused_on_request(api: VolumeApi) -> None:
    fill(api)
    below = {"quota_set": {"volumes": 1}}
    refused = api.put(f"{MINE}?skip_validation=false", below, user="admin")
    assert (refused.status, "in-use resources: 2" in message(refused)) == (400, True)
    assert api.put(MINE, below, user="admin").status == 200
    assert api.put(f"{MINE}?skip_validation=x", below, user="admin").status == 400


def test_other_projects_quotas_are_for_admins(api: VolumeApi) -> None:
    assert api.get(MINE, user="bob").status == 403
    assert api.get(f"{MINE}/defaults", user="bob").status == 403
    assert api.get(MINE, user="admin").status == 200
    assert api.put(MINE, {"quota_set": {"volumes": 1}}).status == 403
    assert api.delete(MINE).status == 403


def test_the_default_class_holds_for_all_projects(api: VolumeApi) -> None:
    path = "/os-quota-class-sets/default"
    assert api.get(path, user="admin").body == {"quota_class_set": {"id": "default", **DEFAULTS}}
    changed = api.put(path, {"quota_class_set": {"volumes": 2}}, user="admin")
    assert changed.body == {"quota_class_set": {**DEFAULTS, "volumes": 2}}
    assert quotas(api)["volumes"] == 2
    other = api.put("/os-quota-class-sets/other", {"quota_class_set": {"volumes": 7}}, user="admin")
    assert (other.body["quota_class_set"]["volumes"], quotas(api)["volumes"]) == (7, 2)
    assert api.get(path).status == 403


def test_limits_are_shown_with_what_is_used(api: VolumeApi) -> None:
    fill(api)
    assert api.get("/limits").body == {"limits": {"rate": [], "absolute": {
        "maxTotalVolumes": 10, "maxTotalSnapshots": 10, "maxTotalVolumeGigabytes": 1000, "maxTotalBackups": 10, "maxTotalBackupGigabytes": 1000,
        "totalVolumesUsed": 2, "totalSnapshotsUsed": 1, "totalGigabytesUsed": 11, "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0}}}


def test_an_admin_sees_the_limits_of_another_project_from_3_39_on(api: VolumeApi) -> None:
    fill(api)
    path = f"/limits?project_id={PROJECTS['alice']}"
    used = {version: api.get(path, user="admin", version=version).body["limits"]["absolute"]["totalVolumesUsed"] for version in ("3.38", "3.39")}
    assert used == {"3.38": 0, "3.39": 2}
    assert api.get(path, user="bob").status == 403


@pytest.mark.parametrize(("wanted", "name"), [
    ({"volumes": 9}, "volumes"), ({"gigabytes": 990}, "gigabytes"), ({"snapshots": 10, "volumes": 1}, "snapshots"),
    ({"volumes_lvm": 1}, "volumes_lvm"), ({"per_volume_gigabytes": 101}, "per_volume_gigabytes")])
def test_what_is_beyond_a_limit_is_refused_by_its_name(api: VolumeApi, wanted: dict[str, int], name: str) -> None:
    fill(api, type_id=add_type(api, "lvm"))
    api.put(MINE, {"quota_set": {"volumes_lvm": 1, "per_volume_gigabytes": 100}}, user="admin")
    with pytest.raises(errors.OverVolumeQuota, match=f"^{name} quota exceeded"):
        api.change(lambda session: quota.check(session, api.conf, PROJECTS["alice"], wanted))


@pytest.mark.parametrize("wanted", [
    {}, {"volumes": 8}, {"gigabytes": 989}, {"gigabytes": -5}, {"volumes_none": 99}, {"per_volume_gigabytes": 100}, {"gigabytes_lvm": 5000}])
def test_what_is_within_the_limits_is_let_through(api: VolumeApi, wanted: dict[str, int]) -> None:
    fill(api, type_id=add_type(api, "lvm"))
    api.put(MINE, {"quota_set": {"per_volume_gigabytes": 100}}, user="admin")
    api.change(lambda session: quota.check(session, api.conf, PROJECTS["alice"], wanted))


def test_what_resources_need_is_named_by_quota(api: VolumeApi) -> None:
    assert quota.for_volume("lvm", 5) == {"volumes": 1, "gigabytes": 5, "per_volume_gigabytes": 5, "volumes_lvm": 1, "gigabytes_lvm": 5}
    assert quota.for_growth(None, from_gb=2, to_gb=5) == {"gigabytes": 3, "per_volume_gigabytes": 5}
    assert quota.for_snapshot(api.conf, "lvm", 5) == {"snapshots": 1, "gigabytes": 5, "snapshots_lvm": 1, "gigabytes_lvm": 5}
    api.conf.set_override("no_snapshot_gb_quota", True)
    assert quota.for_snapshot(api.conf, "lvm", 5) == {"snapshots": 1, "snapshots_lvm": 1}
    assert quota.for_retype("rbd", 5) == {"volumes_rbd": 1, "gigabytes_rbd": 5}


def test_the_project_comes_before_the_class_and_that_before_the_configuration(api: VolumeApi) -> None:
    api.conf.set_override("quota_volumes", 1)
    check = functools.partial(quota.check, conf=api.conf, project_id=PROJECTS["alice"], wanted={"volumes": 2})
    with pytest.raises(errors.OverVolumeQuota, match="of 1 used"):
        api.change(check)
    quota_class = {"quota_class_set": {"volumes": 2}}
    assert api.put("/os-quota-class-sets/default", quota_class, user="admin").status == 200
    api.change(check)
    assert api.put(MINE, {"quota_set": {"volumes": 0}}, user="admin").status == 200
    with pytest.raises(errors.OverVolumeQuota, match="of 0 used"):
        api.change(check)


def test_a_check_counts_what_is_wanted_alone(api: VolumeApi) -> None:
    fill(api)
    with api.counted() as sent:
        api.change(lambda session: quota.check(session, api.conf, PROJECTS["alice"], quota.for_volume("lvm", 1)))
    assert len([one for one in sent if one.startswith("SELECT")]) == 3
    with api.counted() as sent:
        api.change(lambda session: quota.check(session, api.conf, PROJECTS["alice"], {"groups": 1}))
    assert len([one for one in sent if one.startswith("SELECT")]) == 2


def test_requests_at_once_do_not_pass_a_limit_together(api: VolumeApi) -> None:
    api.put(MINE, {"quota_set": {"volumes": 2}}, user="admin")
    with concurrent.futures.ThreadPoolExecutor(max_workers=6) as threads:
        answers = list(threads.map(lambda _: api.post("/volumes", {"volume": {"size": 1}}), range(6)))
    assert sorted(answer.status for answer in answers) == [202, 202, 413, 413, 413, 413]
    refused = next(answer for answer in answers if answer.status == 413)
    assert (refused.body["overLimit"]["retryAfter"], refused.headers["Retry-After"]) == ("0", "0")
