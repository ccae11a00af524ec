# SPDX-License-Identifier: Apache-2.0
"""Usage of projects, the audit log, and events of other services, as requests."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute.flavors import Flavor
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, host, settle
from tests.support.api.users import PROJECTS

NOON = datetime.datetime(2026, 3, 10, 12)
DAY = "start=2026-03-10T00:00:00&end=2026-03-11T00:00:00"
USAGE = "/os-simple-tenant-usage"


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*host("h1"), Flavor(id="2", name="large", vcpus=2, ram_mb=128, root_gb=2, ephemeral_gb=1))
    return made


def ran(api: ComputeApi, *, since: datetime.datetime = NOON, hours: float | None = None, **fields: Any) -> str:
    """A server that was launched then, and was deleted after some hours (None: still runs)."""
    made = boot(api, **fields)
    until = since + datetime.timedelta(hours=hours) if hours is not None else None
    more = {"vm_state": "deleted", "terminated_at": until, "deleted_at": until} if until else {}
    settle(api, made, launched_at=since, **more)
    return made


def test_usage_is_size_times_hours_within_the_span(api: ComputeApi) -> None:
    ran(api, hours=6, flavorRef="2")
    ran(api)
    ran(api, since=NOON - datetime.timedelta(days=9), hours=24)
    ran(api, since=NOON + datetime.timedelta(days=9))
    boot(api)
    usage = api.get(f"{USAGE}?{DAY}", user="admin").body["tenant_usages"]
    assert usage == [{
        "tenant_id": PROJECTS["alice"], "total_hours": 18.0, "total_vcpus_usage": 24.0, "total_memory_mb_usage": 1536.0,
        "total_local_gb_usage": 30.0, "start": "2026-03-10T00:00:00.000000", "stop": "2026-03-11T00:00:00.000000"}]


def test_a_projects_usage_names_its_servers(api: ComputeApi) -> None:
    gone = ran(api, hours=6, flavorRef="2", name="gone")
    usage = api.get(f"{USAGE}/{PROJECTS['alice']}?{DAY}").body["tenant_usage"]
    assert usage["server_usages"] == [{
        "instance_id": gone, "name": "gone", "tenant_id": PROJECTS["alice"], "hours": 6.0, "vcpus": 2, "memory_mb": 128,
        "local_gb": 3, "flavor": "large", "started_at": "2026-03-10T12:00:00.000000",
        "ended_at": "2026-03-10T18:00:00.000000", "state": "terminated", "uptime": 21600}]
    detailed = api.get(f"{USAGE}?{DAY}&detailed=1", user="admin").body["tenant_usages"]
    assert detailed == [usage]


def test_usage_of_nothing_is_empty(api: ComputeApi) -> None:
    assert api.get(f"{USAGE}?{DAY}", user="admin").body == {"tenant_usages": []}
    assert api.get(f"{USAGE}/{PROJECTS['alice']}?{DAY}").body == {"tenant_usage": {}}
    assert api.get(f"{USAGE}/{PROJECTS['alice']}").body == {"tenant_usage": {}}


@pytest.mark.parametrize(("query", "status"), [
    ("start=yesterday", 400), ("start=2026-03-11T00:00:00&end=2026-03-10T00:00:00", 400), ("end=2026-13-01T00:00:00", 400),
    ("start=2026-03-10T00:00:00", 200), ("start=2026-03-10 00:00:00.5&end=2026-03-11T00:00:00.25", 200),
])
def test_times_are_checked(api: ComputeApi, query: str, status: int) -> None:
    assert api.get(f"{USAGE}/{PROJECTS['alice']}?{query}").status == status
    assert api.get(f"{USAGE}?{query}", user="admin").status == status


def test_usage_of_others_is_for_admins(api: ComputeApi) -> None:
    assert api.get(USAGE).status == 403
    assert api.get(f"{USAGE}/{PROJECTS['bob']}").status == 403
    assert api.get(f"{USAGE}/{PROJECTS['bob']}", user="admin").status == 200


@pytest.mark.parametrize(("path", "user", "key"), [
    (USAGE, "admin", "tenant_usages"), (f"{USAGE}/{PROJECTS['alice']}", "alice", "tenant_usage")])
def test_usage_comes_in_pages_of_servers(api: ComputeApi, path: str, user: str, key: str) -> None:
    wanted = sorted(ran(api) for _ in range(3))
    seen, following = [], f"{path}?{DAY}&limit=2&detailed=1"
    if key == "tenant_usage":
        following = following.removesuffix("&detailed=1")
    while following:
        body = api.get(following, user=user, version="2.75").body
        usages = body[key] if key == "tenant_usages" else [body[key]]
        seen += [server["instance_id"] for one in usages for server in one["server_usages"]]
        following = body[f"{key}_links"][0]["href"].split("/v2.1")[-1] if f"{key}_links" in body else ""
    assert seen == wanted
    assert api.get(f"{path}?marker=nope", user=user, version="2.40").status == 400
    assert api.get(f"{path}?what=1", user=user, version="2.75").status == 400


def test_no_host_has_sent_an_audit(api: ComputeApi) -> None:
    log = api.get("/os-instance_usage_audit_log/2026-03-10%2012:00:00", user="admin").body["instance_usage_audit_log"]
    assert log == {
        "period_beginning": "2026-02-01 00:00:00", "period_ending": "2026-03-01 00:00:00", "num_hosts": 1,
        "num_hosts_done": 0, "num_hosts_running": 0, "num_hosts_not_run": 1, "hosts_not_run": ["h1"], "total_instances": 0,
        "total_errors": 0, "overall_status": "0 hosts done. 0 errors.", "log": {}}
    assert set(api.get("/os-instance_usage_audit_log", user="admin").body) == {"instance_usage_audit_logs"}
    assert api.get("/os-instance_usage_audit_log/soon", user="admin").status == 400
    assert api.get("/os-instance_usage_audit_log").status == 403


def event(server_id: str, **more: str) -> dict[str, str]:
    return {"name": "network-changed", "server_uuid": server_id, **more}


def test_events_are_answered_one_by_one(api: ComputeApi) -> None:
    placed, homeless = boot(api), boot(api)
    settle(api, placed)
    settle(api, homeless, host=None)
    api.rpc.sent.clear()
    unknown = "11111111-1111-4111-8111-111111111112"
    answer = api.post("/os-server-external-events", {"events": [
        event(placed, tag="t"), event(homeless, status="completed"), event(unknown)]}, user="admin")
    assert answer.status == 207
    assert answer.body["events"] == [
        event(placed, tag="t", status="completed") | {"code": 200}, event(homeless, status="failed") | {"code": 422},
        event(unknown, status="failed") | {"code": 404}]
    assert [(sent[2], sent[3]) for sent in api.rpc.sent] == [("refresh_documents", {"server_id": placed})]
    assert api.post("/os-server-external-events", {"events": [event(placed)]}, user="admin").status == 200
    assert api.post("/os-server-external-events", {"events": [event(unknown)]}, user="admin").status == 404
    assert api.post("/os-server-external-events", {"events": [event(placed)]}).status == 403


@pytest.mark.parametrize(("name", "since", "before"), [
    ("volume-extended", "2.51", "2.50"), ("power-update", "2.76", "2.75"), ("accelerator-request-bound", "2.82", "2.81"),
    ("volume-reimaged", "2.93", "2.92")])
def test_events_come_with_their_versions(api: ComputeApi, name: str, since: str, before: str) -> None:
    placed = boot(api)
    settle(api, placed)
    statuses = [api.post("/os-server-external-events", {"events": [{"name": name, "server_uuid": placed}]},
                         user="admin", version=version).status for version in (since, before)]
    assert statuses == [200, 400]
