# SPDX-License-Identifier: Apache-2.0
"""Services, hosts, pools, capabilities and zones of block storage, as operators see and change them."""

from __future__ import annotations

import datetime
import logging
from typing import Any

import pytest

from nova_lite.db.base import utcnow
from nova_lite.scheduler.volumes import view
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi, add_type, message, pool, snapshot, volume, worker

LVM = "h1@lvm"
CAPABILITIES = {"volume_backend_name": "lvm", "vendor_name": "Open Source", "driver_version": "1.0", "storage_protocol": "iSCSI", "multiattach": True,
                "QoS_support": True}
VOLUMES = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]


@pytest.fixture
def cloud(api: VolumeApi) -> VolumeApi:
    """Worker h1 with the backends lvm and nfs, h2, which was heard of long ago, and a scheduler."""
    away = worker("h2", zone="west")
    away.seen_at = utcnow() - datetime.timedelta(hours=1)
    api.add(pool("h1@lvm#a", claimed_gb=7, capabilities=CAPABILITIES), pool("h1@lvm#b"), pool("h1@nfs#c", is_thin=False), pool("h2@lvm#d"),
            worker("h1"), away, worker("c1", binary="nova-scheduler", zone="internal"), worker("h1", binary="nova-compute"))
    return api


def listed(api: VolumeApi, query: str = "", **more: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/os-services{query}", user="admin", **more)
    assert answer.status == 200, answer.body
    return list(answer.body["services"])


def put(api: VolumeApi, command: str, user: str = "admin", **body: Any) -> Any:
    return api.put(f"/os-services/{command}", body, user=user)


def status(api: VolumeApi, host: str = LVM) -> tuple[str, str | None]:
    (one,) = [service for service in listed(api) if service["host"] == host and service["binary"] != "cinder-backup"]
    return one["status"], one["disabled_reason"]


def test_a_worker_is_a_service_for_each_of_its_backends(cloud: VolumeApi) -> None:
    assert [(one["host"], one["binary"], one["zone"], one["state"]) for one in listed(cloud)] == [
        ("c1", "cinder-scheduler", "internal", "up"), ("h1", "cinder-backup", "nova", "up"), ("h1@lvm", "cinder-volume", "nova", "up"),
        ("h1@nfs", "cinder-volume", "nova", "up"), ("h2", "cinder-backup", "west", "down"), ("h2@lvm", "cinder-volume", "west", "down")]


def test_a_backend_says_more_than_another_service(cloud: VolumeApi) -> None:
    scheduler, backend = listed(cloud)[0], listed(cloud)[2]
    assert backend["backend_state"] == "up"
    assert (backend["frozen"], backend["replication_status"], backend["active_backend_id"], backend["cluster"]) == (False, "disabled", None, None)
    assert "frozen" not in scheduler
    assert {"cluster", "backend_state"}.isdisjoint(listed(cloud, version="3.6")[2])


@pytest.mark.parametrize(("query", "hosts"), [
    ("?binary=cinder-volume", ["h1@lvm", "h1@nfs", "h2@lvm"]), ("?host=h1", ["h1", "h1@lvm", "h1@nfs"]), ("?host=h1@nfs", ["h1@nfs"]),
    ("?host=c1&binary=cinder-scheduler", ["c1"]), ("?host=none", []), ("?binary=nova-volume", [])])
def test_services_are_found_by_host_and_binary(cloud: VolumeApi, query: str, hosts: list[str]) -> None:
    assert [one["host"] for one in listed(cloud, query)] == hosts


def test_a_worker_that_has_reported_no_pool_is_listed_by_its_name(api: VolumeApi) -> None:
    api.add(worker("h9"))
    assert [one["host"] for one in listed(api, "?binary=cinder-volume")] == ["h9"]
    assert put(api, "disable", host="h9", binary="cinder-volume").status == 200
    assert status(api, "h9") == ("disabled", None)


def test_a_backend_is_disabled_and_enabled_apart_from_others(cloud: VolumeApi) -> None:
    changed = put(cloud, "disable", host=LVM, binary="cinder-volume")
    assert (changed.status, changed.body) == (200, {
        "host": LVM, "service": "cinder-volume", "binary": "cinder-volume", "disabled": True, "status": "disabled"})
    assert (status(cloud), status(cloud, "h1@nfs")) == (("disabled", None), ("enabled", None))
    changed = put(cloud, "disable-log-reason", host=LVM, binary="cinder-volume", disabled_reason="new disks")
    assert changed.body["disabled_reason"] == "new disks"
    assert status(cloud) == ("disabled", "new disks")
    changed = put(cloud, "enable", host=LVM, service="cinder-volume")
    assert (changed.body["status"], changed.body["disabled"], changed.body["disabled_reason"]) == ("enabled", False, None)
    assert status(cloud) == ("enabled", None)


def test_a_scheduler_is_disabled(cloud: VolumeApi) -> None:
    assert put(cloud, "disable", host="c1", binary="cinder-scheduler").status == 200
    assert status(cloud, "c1") == ("disabled", None)


@pytest.mark.parametrize(("command", "body", "expected"), [
    ("enable", {"host": "h1@none", "binary": "cinder-volume"}, 404), ("enable", {"host": "h1", "binary": "cinder-volume"}, 404),
    ("disable", {"host": LVM}, 400), ("disable", {"host": "h1", "binary": "cinder-backup"}, 400), ("disable", {"binary": "cinder-volume"}, 400), ("disable", {"host": LVM, "binary": "cinder-scheduler"}, 404),
    ("disable-log-reason", {"host": LVM, "binary": "cinder-volume"}, 400),
    ("disable-log-reason", {"host": LVM, "binary": "cinder-volume", "disabled_reason": " "}, 400), ("force-down", {"host": LVM}, 404),
    ("freeze", {"host": "none"}, 400), ("thaw", {"host": "none"}, 400), ("freeze", {}, 400), ("freeze", {"cluster": "c"}, 400),
    ("failover_host", {"host": LVM}, 400), ("failover", {"cluster": "c"}, 400)])
def test_a_wrong_change_is_refused(cloud: VolumeApi, command: str, body: dict[str, str], expected: int) -> None:
    assert put(cloud, command, **body).status == expected


def test_a_backend_is_frozen_and_thawed(cloud: VolumeApi) -> None:
    def is_frozen() -> bool:
        return bool(listed(cloud, "?host=h1@lvm")[0]["frozen"])

    assert (put(cloud, "freeze", host=LVM).status, is_frozen()) == (200, True)
    assert status(cloud) == ("enabled", None)
    assert (put(cloud, "thaw", host=LVM).status, is_frozen()) == (200, False)


@pytest.mark.parametrize("command", ["disable", "freeze"])
def test_a_closed_backend_gets_no_new_volumes(cloud: VolumeApi, command: str) -> None:
    put(cloud, command, host=LVM, **({"binary": "cinder-volume"} if command == "disable" else {}))
    with cloud.database.reader() as session:
        assert {found.name: found.is_enabled for found in view.read(session, cloud.conf)} == {
            "h1@lvm#a": False, "h1@lvm#b": False, "h1@nfs#c": True, "h2@lvm#d": True}


def test_hosts_are_the_services(cloud: VolumeApi) -> None:
    hosts = cloud.get("/os-hosts", user="admin").body["hosts"]
    assert [(one["host_name"], one["service"], one["service-status"], one["service-state"]) for one in hosts] == [
        ("c1", "cinder-scheduler", "available", "enabled"), ("h1", "cinder-backup", "available", "enabled"),
        ("h1@lvm", "cinder-volume", "available", "enabled"), ("h1@nfs", "cinder-volume", "available", "enabled"),
        ("h2", "cinder-backup", "unavailable", "enabled"), ("h2@lvm", "cinder-volume", "unavailable", "enabled")]
    assert [one["host_name"] for one in cloud.get("/os-hosts?zone=west", user="admin").body["hosts"]] == ["h2", "h2@lvm"]


def test_a_host_says_what_projects_have_on_it(cloud: VolumeApi) -> None:
    cloud.add(volume(VOLUMES[0], host="h1@lvm#a", size_gb=3), volume(VOLUMES[1], user="bob", host="h1@lvm#b", size_gb=4),
              snapshot("s", VOLUMES[0], size_gb=3), volume("other", host="h1@lvm2#a", size_gb=9))
    shown = cloud.get("/os-hosts/h1@lvm", user="admin").body["host"]
    keys = ("project", "volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    assert [tuple(one["resource"][key] for key in keys) for one in shown] == [
        ("(total)", "2", "7", "1", "3"), (PROJECTS["alice"], "1", "3", "1", "3"), (PROJECTS["bob"], "1", "4", "0", "0")]
    assert cloud.get("/os-hosts/h1@nfs", user="admin").body["host"][0]["resource"]["volume_count"] == "0"
    assert cloud.get("/os-hosts/none", user="admin").status == 404


def pool_names(api: VolumeApi, query: str = "", **more: Any) -> list[str]:
    return [one["name"] for one in api.get(f"/scheduler-stats/get_pools{query}", user="admin", **more).body["pools"]]


def test_pools_are_listed_with_what_they_report(cloud: VolumeApi) -> None:
    assert pool_names(cloud) == ["h1@lvm#a", "h1@lvm#b", "h1@nfs#c", "h2@lvm#d"]
    (found,) = cloud.get("/scheduler-stats/get_pools?detail=True&name=h1@lvm%23a", user="admin").body["pools"]
    expected = {**CAPABILITIES, "total_capacity_gb": 100.0, "free_capacity_gb": 80.0, "allocated_capacity_gb": 7, "provisioned_capacity_gb": 7,
                "reserved_percentage": 0, "max_over_subscription_ratio": "20.0", "thin_provisioning_support": True, "thick_provisioning_support": False,
                "pool_name": "a"}
    assert expected.items() <= found["capabilities"].items()


def test_pools_are_found_by_name_and_by_type(cloud: VolumeApi) -> None:
    add_type(cloud, "shared", extra_specs={"multiattach": "<is> True", "capabilities:volume_backend_name": "lvm", "RESKEY:availability_zones": "x"})
    assert pool_names(cloud, "?volume_type=shared") == ["h1@lvm#a"]
    assert pool_names(cloud, "?name=h2@lvm%23d") == ["h2@lvm#d"]
    assert len(pool_names(cloud, "?name=h2@lvm%23d", version="3.27")) == 4
    assert cloud.get("/scheduler-stats/get_pools?volume_type=none", user="admin").status == 404
    assert cloud.get("/scheduler-stats/get_pools?colour=red", user="admin").status == 400
    assert cloud.get("/scheduler-stats/get_pools?detail=x", user="admin").status == 400


@pytest.mark.parametrize("host", ["h1@lvm", "h1@lvm%23a"])
def test_capabilities_are_those_of_the_pools(cloud: VolumeApi, host: str) -> None:
    shown = cloud.get(f"/capabilities/{host}", user="admin").body
    assert {name: shown[name] for name in ("vendor_name", "volume_backend_name", "driver_version", "storage_protocol")} == {
        name: CAPABILITIES[name] for name in ("vendor_name", "volume_backend_name", "driver_version", "storage_protocol")}
    assert set(shown["properties"]) == {"multiattach", "QoS_support"}
    assert cloud.get("/capabilities/h1@none", user="admin").status == 404


def test_zones_are_those_of_the_workers(cloud: VolumeApi) -> None:
    assert cloud.get("/os-availability-zone").body == {"availabilityZoneInfo": [
        {"zoneName": "nova", "zoneState": {"available": True}}, {"zoneName": "west", "zoneState": {"available": True}}]}


@pytest.mark.parametrize("path", [
    "/os-services", "/os-hosts", "/os-hosts/h1@lvm", "/scheduler-stats/get_pools", "/capabilities/h1@lvm", "/clusters", "/clusters/detail"])
def test_users_see_nothing_of_the_machines(cloud: VolumeApi, path: str) -> None:
    assert cloud.get(path).status == 403


@pytest.mark.parametrize("command", ["enable", "disable", "disable-log-reason", "freeze", "thaw", "failover_host", "set-log", "get-log"])
def test_users_change_no_service(cloud: VolumeApi, command: str) -> None:
    assert put(cloud, command, user="alice", host=LVM).status == 403


def test_there_are_no_clusters_and_nothing_to_clean_up(cloud: VolumeApi) -> None:
    assert cloud.get("/clusters", user="admin").body == {"clusters": []}
    assert cloud.get("/clusters/detail", user="admin").body == {"clusters": []}
    assert cloud.get("/clusters/one", user="admin").status == 404
    assert cloud.put("/clusters/enable", {"name": "one"}, user="admin").status == 404
    assert cloud.put("/clusters/disable", {"name": "one"}, user="admin").status == 404
    cleanup = cloud.post("/workers/cleanup", {"binary": "cinder-volume"}, user="admin")
    assert (cleanup.status, cleanup.body) == (202, {"cleaning": [], "unavailable": []})
    assert cloud.post("/workers/cleanup", {}).status == 403


def test_log_levels_of_the_api_are_shown_and_set(cloud: VolumeApi, request: pytest.FixtureRequest) -> None:
    logger, other = logging.getLogger("nova_lite.tests.levels"), logging.getLogger("nova_lite.testing")
    request.addfinalizer(lambda: logger.setLevel(logging.NOTSET))
    request.addfinalizer(lambda: other.setLevel(logging.NOTSET))
    assert put(cloud, "set-log", prefix="nova_lite.tests.", level="ERROR").status == 202
    assert (logger.level, other.level) == (logging.ERROR, logging.NOTSET)
    shown = put(cloud, "get-log", binary="*", prefix="nova_lite.tests.levels").body["log_levels"]
    assert shown == [{"binary": "cinder-api", "host": cloud.conf.host, "levels": {"nova_lite.tests.levels": "ERROR"}}]
    assert put(cloud, "set-log", prefix=logger.name, level="debug").status == 202
    assert logger.level == logging.DEBUG


@pytest.mark.parametrize("body", [{}, {"level": "loud"}, {"level": "INFO", "prefix": "no.such.logger"}, {"level": "INFO", "binary": "cinder-volume"},
                                  {"level": "INFO", "server": "elsewhere"}])
def test_a_wrong_log_level_is_refused(cloud: VolumeApi, body: dict[str, str]) -> None:
    refused = put(cloud, "set-log", **body)
    assert refused.status == 400
    assert message(refused)
