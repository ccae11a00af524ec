# SPDX-License-Identifier: Apache-2.0
"""Who is up is shown by the database's clock, whatever the API's own clock says; a heartbeat in the future is void."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from nova_lite.db import clock
from nova_lite.db.base import utcnow
from nova_lite.db.hosts.hosts import Service
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, settle

HOUR = datetime.timedelta(hours=1)
MOVED = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["process behind", "process ahead"])


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"))
    return made


def shown(api: ComputeApi) -> dict[str, object]:
    """What each list says of the one compute host."""
    server_id = boot(api)
    settle(api, server_id, vm_state="active", host="h1")
    zone = api.get("/os-availability-zone/detail", user="admin").body["availabilityZoneInfo"]
    return {
        "services": [row["state"] for row in api.get("/os-services?binary=nova-compute", user="admin").body["services"]],
        "hypervisors": [row["state"] for row in api.get("/os-hypervisors", user="admin").body["hypervisors"]],
        "zones": [daemon["nova-compute"]["available"] for info in zone for daemon in (info["hosts"] or {}).values()
                  if "nova-compute" in daemon],
        "server": api.get(f"/servers/{server_id}", user="admin", version="2.16").body["server"]["host_status"],
        "servers": [row["host_status"] for row in api.get("/servers/detail?all_tenants=1", user="admin", version="2.16").body["servers"]],
    }


def heard(api: ComputeApi, *, ago: datetime.timedelta) -> None:
    """The host's worker was last heard of so long ago by the database's clock."""
    def change(session: Session) -> None:
        for service in session.query(Service):
            service.seen_at = clock.read(session) - ago

    api.change(change)


UP = {"services": ["up"], "hypervisors": ["up"], "zones": [True], "server": "UP", "servers": ["UP"]}
DOWN = {"services": ["down"], "hypervisors": ["down"], "zones": [False], "server": "UNKNOWN", "servers": ["UNKNOWN"]}


def move(api: ComputeApi, step: datetime.timedelta) -> None:
    api.database.clock = lambda: utcnow() + step


@MOVED
def test_a_worker_that_reports_is_up_though_the_process_has_another_clock(api: ComputeApi, step: datetime.timedelta) -> None:
    move(api, step)
    heard(api, ago=datetime.timedelta(seconds=1))
    assert shown(api) == UP


@MOVED
def test_a_worker_that_is_silent_is_down_though_the_process_has_another_clock(api: ComputeApi, step: datetime.timedelta) -> None:
    move(api, step)
    heard(api, ago=datetime.timedelta(seconds=30))
    assert shown(api) == DOWN


def test_a_heartbeat_in_the_future_keeps_nobody_up(api: ComputeApi) -> None:
    heard(api, ago=-HOUR)
    assert shown(api) == DOWN


@pytest.mark.parametrize(("ago", "is_up"), [(HOUR, False), (-HOUR, False), (datetime.timedelta(), True)])
def test_an_evacuation_says_whether_the_host_is_up_by_the_database(api: ComputeApi, ago: datetime.timedelta, is_up: bool) -> None:
    move(api, HOUR)
    server_id = boot(api)
    settle(api, server_id, vm_state="active", host="h1")
    heard(api, ago=ago)
    answer = api.post(f"/servers/{server_id}/action", {"evacuate": {"onSharedStorage": True}}, user="admin")
    assert (answer.status, "still in use" in compute_api.message(answer)) == (400, is_up)
