# SPDX-License-Identifier: Apache-2.0
"""Snapshot, rebuild and rescue as a real guest sees them."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator

import pytest

from tests.support import boot_sector
from tests.support.guests import guest_image
from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")
# Says which disks a guest in rescue has, and what is on its own, the second one: how often that was booted.
LOOK = base64.b64encode(b"""#!/bin/sh
echo "OWN $(dd if=/dev/vdb bs=512 skip=1 count=1 2>/dev/null | head -n 1)"
""").decode()
# Says how many sectors each disk has, and what it begins with: the magic of ext4, and that of swap space.
SIZES = base64.b64encode(b"""#!/bin/sh
sizes=$(for disk in /sys/block/vd*; do echo "$(cat $disk/serial)=$(cat $disk/size)"; done | tr '\\n' ' ')
magic=$(dd if=/dev/vdb bs=1 skip=1080 count=2 2>/dev/null | od -An -tx1 | tr -d ' ')
swap=$(dd if=/dev/vdc bs=1 skip=4086 count=10 2>/dev/null)
echo "SEEN ${sizes}magic=$magic swap=$swap file=$(wget -qO- http://169.254.169.254/openstack/content/0000)"
""").decode()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("disks"), options="[compute]\nshutdown_timeout = 2\n") as made:
        yield made


@pytest.fixture(scope="module")
def network(cloud: AllInOne) -> str:
    return cloud.make_network("disks", "10.79.0.0/24")


@pytest.fixture(scope="module")
def small_image(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A guest without a system, that counts its boots on its disk."""
    return cloud.make_image(boot_sector.disk_file(tmp_path_factory.mktemp("image")), "raw")


@pytest.fixture(scope="module")
def image(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small guest with Linux; a snapshot of it is taken with its file systems frozen, or fails."""
    return cloud.make_image(guest_image(tmp_path_factory), "qcow2", hw_qemu_guest_agent="yes", os_require_quiesce="yes")


def act(cloud: AllInOne, server_id: str, word: str, value: object = None) -> dict[str, str]:
    answer: dict[str, str] = cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: value}, version="2.90")
    return answer


def wait_until_it_says(cloud: AllInOne, server_id: str, text: str) -> None:
    def said() -> bool:
        console = cloud.request("POST", f"/v2.1/servers/{server_id}/action", {"os-getConsoleOutput": {}})["output"]
        return re.search(text, console) is not None

    cloud.wait(said, f"the guest to say {text}", seconds=90)


def image_status(cloud: AllInOne, image_id: str) -> str:
    try:
        return str(cloud.request("GET", f"/image/v2/images/{image_id}")["status"])
    except RuntimeError as refused:
        if str(refused).startswith("404"):
            return "gone"
        raise


def wait_for_rest(cloud: AllInOne, server_id: str, status: str) -> None:
    def is_at_rest() -> bool:
        shown = cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]
        return (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None)

    cloud.wait(is_at_rest, f"server {server_id} to be {status} at rest")


def test_a_guest_is_copied_while_it_runs_rebuilt_and_rescued(cloud: AllInOne, network: str, small_image: str, image: str) -> None:
    first = cloud.boot("first", image=small_image, network=network, user_data=LOOK)
    cloud.wait_for_status(first, "ACTIVE")
    wait_until_it_says(cloud, first, boot_sector.says(boots=1))
    agent = {"hw_qemu_guest_agent": "yes", "os_require_quiesce": "yes"}
    made = act(cloud, first, "createImage", {"name": "copy", "metadata": agent})["image_id"]
    cloud.wait(lambda: image_status(cloud, made) == "active", "the image")
    wait_for_rest(cloud, first, "ACTIVE")
    second = cloud.boot("second", image=made, network=network)
    cloud.wait_for_status(second, "ACTIVE")
    wait_until_it_says(cloud, second, boot_sector.says(boots=2))
    cloud.request("DELETE", f"/v2.1/servers/{second}")
    act(cloud, first, "rebuild", {"imageRef": made})
    wait_for_rest(cloud, first, "ACTIVE")
    wait_until_it_says(cloud, first, boot_sector.says(boots=2))
    refused = act(cloud, first, "createImage", {"name": "refused"})["image_id"]
    cloud.wait(lambda: image_status(cloud, refused) == "gone", "the image to be given up: no agent freezes this guest")
    wait_for_rest(cloud, first, "ACTIVE")
    act(cloud, first, "rescue", {"rescue_image_ref": image})
    wait_for_rest(cloud, first, "RESCUE")
    # Linux sees its own disk first, and the guest's as it was left.
    wait_until_it_says(cloud, first, rf"DISKS vd[a-z]:\d+:rescue\s+vd[a-z]:\d+:root\s[\s\S]*OWN {boot_sector.says(boots=2)}\s[\s\S]*READY")
    act(cloud, first, "unrescue")
    wait_for_rest(cloud, first, "ACTIVE")
    wait_until_it_says(cloud, first, boot_sector.says(boots=3))
    cloud.request("DELETE", f"/v2.1/servers/{first}")
    cloud.wait_for_status(first, "GONE")


def test_a_guest_has_all_disks_of_its_flavor_and_the_files_that_came_with_it_and_is_copied_frozen(
    cloud: AllInOne, network: str, image: str
) -> None:
    flavor = cloud.request("POST", "/v2.1/flavors", {"flavor": {
        "name": "disks", "ram": 128, "vcpus": 1, "disk": 2, "OS-FLV-EXT-DATA:ephemeral": 1, "swap": 64}})["flavor"]["id"]
    server_id = cloud.request("POST", "/v2.1/servers", {"server": {
        "name": "disks", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}], "user_data": SIZES,
        "personality": [{"path": "/etc/motd", "contents": base64.b64encode(b"welcome").decode()}]}},
        version="2.56")["server"]["id"]
    cloud.wait_for_status(server_id, "ACTIVE")
    wait_until_it_says(cloud, server_id, r"SEEN root=4194304 ephemeral0=2097152 swap0=131072 magic=53ef swap=SWAPSPACE2 file=welcome")
    quiet = act(cloud, server_id, "createImage", {"name": "frozen"})["image_id"]
    cloud.wait(lambda: image_status(cloud, quiet) == "active", "the image of a guest that its agent has frozen")
    wait_for_rest(cloud, server_id, "ACTIVE")
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
