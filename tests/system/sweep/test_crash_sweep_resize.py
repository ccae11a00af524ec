# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of resize, confirm and revert, on real libvirt: each ends as requested, nothing left over."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.system.sweep.test_crash_sweep import cloud, image, leftovers, network  # noqa: F401 - fixtures

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

RESIZE = points("resize", *(f"resize.{step}.before" for step in ("record", "stop", "keep_disks", "make_disks", "power", "finish")))
CONFIRM = points("confirm_resize", "confirm_resize.discard_disks.before", "confirm_resize.finish.before")
REVERT = points("revert_resize", *(f"revert_resize.{step}.before" for step in ("stop", "restore_disks", "finish")))
SWEEP = [("resize", point) for point in RESIZE] + [("confirm", point) for point in CONFIRM] + [
    ("revert", point) for point in REVERT]


@pytest.fixture(scope="module")
def larger(cloud: AllInOne) -> str:  # noqa: F811
    """A flavor with more of everything than the small one."""
    body = {"flavor": {"name": "larger", "vcpus": 2, "ram": 192, "disk": 2, "swap": 64}}
    return str(cloud.request("POST", "/v2.1/flavors", body)["flavor"]["id"])


@pytest.mark.parametrize(("killed", "point"), SWEEP)
def test_a_resize_that_is_killed_ends_as_requested(
    cloud: AllInOne, image: str, network: str, larger: str, killed: str, point: str  # noqa: F811
) -> None:
    """On a server that is off: a guest that does not hear the power button would make each of these wait."""
    server_id = off(cloud, image=image, network=network)
    for word, value, status in (
        ("resize", {"flavorRef": larger}, "VERIFY_RESIZE"),
        ("revertResize" if killed == "revert" else "confirmResize", None, "SHUTOFF"),
    ):
        act = partial(cloud.crash_at, point) if word.startswith(killed) else cloud.request
        act("POST", f"/v2.1/servers/{server_id}/action", {word: value})
        cloud.wait_for_status(server_id, status)
    shown = cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]
    size = {"vcpus": 1, "ram": 128, "disk": 1} if killed == "revert" else {"vcpus": 2, "ram": 192, "disk": 2}
    assert {name: shown["flavor"][name] for name in size} == size
    assert disk_gb(cloud, server_id) == size["disk"]
    assert not list((cloud.state / "instances" / server_id).glob("before-resize*"))
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)


def off(cloud: AllInOne, *, image: str, network: str) -> str:  # noqa: F811
    """A server whose guest has gone off."""
    server_id = cloud.boot("swept", image=image, network=network)
    cloud.wait_for_status(server_id, "ACTIVE")
    assert cloud.host is not None
    cloud.host.run(["virsh", "destroy", server_id])
    cloud.wait_for_status(server_id, "SHUTOFF")
    return server_id


def disk_gb(cloud: AllInOne, server_id: str) -> float:  # noqa: F811
    assert cloud.host is not None
    reported = cloud.host.run(["qemu-img", "info", "-U", "--output=json", str(cloud.state / "instances" / server_id / "disk")])
    return float(json.loads(reported.stdout)["virtual-size"]) / 2**30
