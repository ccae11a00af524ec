# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of shelve, offload and unshelve, on real libvirt: each ends as requested."""

from __future__ import annotations

import os

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.system.sweep.test_crash_sweep import cloud, image, leftovers, network  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

SHELVE_POINTS = [
    *points("shelve"), "shelve.stop.before", "snapshot.take.before", "snapshot.take.after", "snapshot.upload.before", "snapshot.upload.after",
]
UNSHELVE_POINTS = points("unshelve")


def act(cloud: AllInOne, server_id: str, word: str) -> None:  # noqa: F811
    cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: None})


def paused(cloud: AllInOne, image: str, network: str) -> str:  # noqa: F811
    """Its CPUs stand still, so that nobody waits for a guest without a system to hear the power button."""
    server_id = cloud.boot("swept", image=image, network=network)
    cloud.wait_for_status(server_id, "ACTIVE")
    act(cloud, server_id, "pause")
    cloud.wait_for_status(server_id, "PAUSED")
    return server_id


def gone(cloud: AllInOne, server_id: str) -> None:  # noqa: F811
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)
    snapshots = [one["name"] for one in cloud.request("GET", "/image/v2/images")["images"] if one["name"].endswith("-shelved")]
    assert snapshots == []


@pytest.mark.parametrize("point", SHELVE_POINTS)
def test_a_shelve_that_is_killed_ends_offloaded(cloud: AllInOne, image: str, network: str, point: str) -> None:  # noqa: F811
    server_id = paused(cloud, image, network)
    cloud.crash_at(point, "POST", f"/v2.1/servers/{server_id}/action", {"shelve": None})
    cloud.wait_for_status(server_id, "SHELVED_OFFLOADED")
    assert not (cloud.state / "instances" / server_id).exists()
    gone(cloud, server_id)


@pytest.mark.parametrize("point", UNSHELVE_POINTS)
def test_an_unshelve_that_is_killed_ends_active(cloud: AllInOne, image: str, network: str, point: str) -> None:  # noqa: F811
    server_id = paused(cloud, image, network)
    act(cloud, server_id, "shelve")
    cloud.wait_for_status(server_id, "SHELVED_OFFLOADED")
    cloud.crash_at(point, "POST", f"/v2.1/servers/{server_id}/action", {"unshelve": None})
    cloud.wait_for_status(server_id, "ACTIVE")
    gone(cloud, server_id)
