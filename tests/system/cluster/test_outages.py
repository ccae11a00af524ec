# SPDX-License-Identifier: Apache-2.0
"""The broker or the database goes away in the middle of twenty builds and comes back: no daemon is restarted by hand, none is lost."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.system.daemons import Cloud, running
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real parts run as their own users: needs root")
BUILDS = 20
# Each build takes as long as this at least, ten at a time: they are not through when the part goes.
SLOWLY = {"DEFAULT": {"failpoints": "build.make_disks.before=delay:4"}, "quota": {"instances": 200, "cores": 200}}
BUILT_S = 180
# A client gives up sooner than this.
REFUSED_S = 20

WAYS: dict[str, Callable[[Cloud], None]] = {
    "broker-killed": lambda cloud: cloud.broker.kill9(),
    "broker-stopped": lambda cloud: cloud.broker.stop(),
    "database-killed": lambda cloud: cloud.database.kill9(),
    "database-stopped": lambda cloud: cloud.database.stop(),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("outages"), options=SLOWLY, has_own_broker=True) as started:
        yield started


@pytest.fixture(scope="module")
def wanted(cloud: Cloud) -> dict[str, Any]:
    return cloud.prepare()


def servers(cloud: Cloud) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.call("GET", "/v2.1/servers/detail")["servers"]
    return found


def are_all(cloud: Cloud, status: str, number: int) -> bool:
    seen = servers(cloud)
    assert [(server["id"], server["fault"]) for server in seen if server["status"] == "ERROR"] == []
    return [server["status"] for server in seen] == [status] * number


def used(cloud: Cloud) -> list[tuple[int, int, int]]:
    """Of each host: servers, CPUs and memory that are claimed."""
    return [(host["running_vms"], host["vcpus_used"], host["memory_mb_used"])
            for host in cloud.call("GET", "/v2.1/os-hypervisors/detail")["hypervisors"]]


def answer_while_away(cloud: Cloud, token: str) -> int:
    """The status of a list of servers; it comes, whatever is away."""
    began = time.monotonic()
    status, _ = cloud.request("GET", "/v2.1/servers/detail", token=token)
    assert time.monotonic() - began < REFUSED_S
    return status


@pytest.mark.parametrize("way", WAYS)
def test_twenty_builds_end_active_though_a_part_went_in_the_middle(cloud: Cloud, wanted: dict[str, Any], way: str) -> None:
    part = cloud.broker if way.startswith("broker") else cloud.database
    idle, token = used(cloud), cloud.token()
    for number in range(BUILDS):
        cloud.boot(wanted, f"{way}-{number}")
    assert not are_all(cloud, "ACTIVE", BUILDS), "they were through before the part went"
    late = 0
    try:
        WAYS[way](cloud)
        if part is cloud.broker:
            assert answer_while_away(cloud, token) == 200
            cloud.boot(wanted, f"{way}-late")
            late = 1
        else:
            assert answer_while_away(cloud, token) == 503
    finally:
        part.start()
    wait_until(lambda: is_back(cloud))
    wait_until(lambda: are_all(cloud, "ACTIVE", BUILDS + late), seconds=BUILT_S)
    assert len({server["addresses"]["n"][0]["addr"] for server in servers(cloud)}) == BUILDS + late
    assert sum(host[0] for host in used(cloud)) == BUILDS + late
    for server in servers(cloud):
        cloud.call("DELETE", f"/v2.1/servers/{server['id']}", expect=204)
    wait_until(lambda: servers(cloud) == [], seconds=BUILT_S)
    wait_until(lambda: used(cloud) == idle)
    cloud.wait_until_up()


def is_back(cloud: Cloud) -> bool:
    """For every worker of nova-api: each may find one connection of its pool cut, and answer 503 once."""
    try:
        return all(cloud.request("GET", "/v2.1/servers", token=cloud.token())[0] == 200 for _ in range(8))
    except (OSError, http.client.HTTPException, KeyError, TypeError):
        return False
