# SPDX-License-Identifier: Apache-2.0
"""A real guest that hears no power button: its soft reboot hangs, and its user's next request does not wait for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")
HANGS_S = 300  # as its image says; every wait below is much shorter


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("overtaking")) as made:
        yield made


@pytest.fixture
def server_id(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its disk is empty: the firmware finds nothing to boot, and nobody answers."""
    disk = tmp_path_factory.mktemp("disk") / "empty.raw"
    disk.write_bytes(bytes(1 << 20))
    image = cloud.make_image(disk, "raw", os_shutdown_timeout=str(HANGS_S), hw_qemu_guest_agent="yes")
    flavor = {"name": f"deaf-{image}", "id": image, "ram": 64, "vcpus": 1, "disk": 1}
    cloud.request("POST", "/v2.1/flavors", {"flavor": flavor})
    params = {"name": "deaf", "imageRef": image, "flavorRef": image, "networks": "none"}
    made = str(cloud.request("POST", "/v2.1/servers", {"server": params}, version="2.37")["server"]["id"])
    cloud.wait_for_status(made, "ACTIVE")
    return made


def actions(cloud: AllInOne, server_id: str) -> list[tuple[str, str | None]]:
    found = cloud.request("GET", f"/v2.1/servers/{server_id}/os-instance-actions")["instanceActions"]
    return [(action["action"], action["message"]) for action in found]


@pytest.mark.timed
def test_a_hard_reboot_takes_the_place_of_a_soft_one(cloud: AllInOne, server_id: str) -> None:
    path = f"/v2.1/servers/{server_id}/action"
    cloud.request("POST", path, {"reboot": {"type": "SOFT"}})
    cloud.wait_for_status(server_id, "REBOOT")
    assert cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]["status"] == "REBOOT"
    began = time.monotonic()
    cloud.request("POST", path, {"reboot": {"type": "HARD"}})
    cloud.wait_for_status(server_id, "ACTIVE")
    assert time.monotonic() - began < HANGS_S / 2
    assert actions(cloud, server_id)[:2] == [("reboot", None), ("reboot", "A hard reboot replaced it.")]
