# SPDX-License-Identifier: Apache-2.0
"""A guest is shelved off its host and comes back with all that it had written, and its address; and what needs Linux in one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import boot_sector
from tests.support.guests import guest_image
from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("shelve")) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(cloud: AllInOne) -> dict[str, str]:
    cloud.request("POST", "/v2.1/flavors", {"flavor": {"id": "77", "name": "small", "ram": 128, "vcpus": 1, "disk": 1}})
    return {"network": cloud.make_network("shelves", "10.78.0.0/24"), "flavorRef": "77"}


@pytest.fixture
def small(cloud: AllInOne, wanted: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A server without a system, that counts its boots on its disk."""
    made = cloud.boot("shelf", image=cloud.make_image(boot_sector.disk_file(tmp_path), "raw"), **wanted)
    cloud.wait_for_status(made, "ACTIVE")
    yield made
    cloud.request("DELETE", f"/v2.1/servers/{made}")
    cloud.wait_for_status(made, "GONE")


@pytest.fixture(scope="module")
def server_id(cloud: AllInOne, wanted: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """One with Linux, whose agent has not answered yet."""
    image = cloud.make_image(guest_image(tmp_path_factory), "qcow2", hw_qemu_guest_agent="yes")
    made = cloud.boot("linux", image=image, **wanted)
    cloud.wait_for_status(made, "ACTIVE")
    return made


def act(cloud: AllInOne, server_id: str, word: str, value: object = None, **more: str) -> None:
    cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: value}, **more)


def says(cloud: AllInOne, server_id: str, text: str) -> None:
    def output() -> str:
        body = {"os-getConsoleOutput": {}}
        return str(cloud.request("POST", f"/v2.1/servers/{server_id}/action", body)["output"])

    try:
        cloud.wait(lambda: text in output(), f"the guest to say {text}", seconds=90)
    except AssertionError:
        raise AssertionError(f"the guest never said {text}, but {output()[-2000:]}") from None


def show(cloud: AllInOne, server_id: str) -> dict[str, object]:
    shown: dict[str, object] = cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]
    return shown


def snapshots(cloud: AllInOne, server_id: str) -> list[str]:
    images = cloud.request("GET", "/image/v2/images")["images"]
    return [image["name"] for image in images if image.get("instance_uuid") == server_id]


def test_a_guest_comes_back_from_its_snapshot(cloud: AllInOne, small: str) -> None:
    says(cloud, small, boot_sector.says(boots=1))
    before = show(cloud, small)
    act(cloud, small, "shelve")
    cloud.wait_for_status(small, "SHELVED_OFFLOADED")
    assert snapshots(cloud, small) == ["shelf-shelved"]
    assert cloud.host is not None
    assert small not in cloud.host.run(["virsh", "-q", "list", "--all", "--uuid"]).stdout.split()
    assert not (cloud.state / "instances" / small).exists()
    act(cloud, small, "unshelve")
    cloud.wait_for_status(small, "ACTIVE")
    says(cloud, small, boot_sector.says(boots=2))
    assert show(cloud, small)["addresses"] == before["addresses"]
    assert show(cloud, small)["image"] == before["image"]
    assert snapshots(cloud, small) == []


def test_a_guest_that_was_stopped_starts_again(cloud: AllInOne, small: str) -> None:
    says(cloud, small, boot_sector.says(boots=1))
    act(cloud, small, "os-stop")
    cloud.wait_for_status(small, "SHUTOFF")
    act(cloud, small, "os-start")
    cloud.wait_for_status(small, "ACTIVE")
    says(cloud, small, boot_sector.says(boots=2))


def test_the_agent_in_the_guest_takes_a_password_as_soon_as_it_is_up(cloud: AllInOne, server_id: str) -> None:
    act(cloud, server_id, "changePassword", {"adminPass": "n3w-secret"})
    cloud.wait_for_status(server_id, "ACTIVE")
    journal = cloud.request("GET", f"/v2.1/servers/{server_id}/os-instance-actions")["instanceActions"]
    assert (journal[0]["action"], journal[0]["message"]) == ("changePassword", None)


def test_diagnostics_of_a_real_guest_are_numbers(cloud: AllInOne, server_id: str) -> None:
    says(cloud, server_id, "READY linux")
    seen = cloud.request("GET", f"/v2.1/servers/{server_id}/diagnostics")
    assert (seen["state"], seen["driver"], seen["num_cpus"], seen["num_nics"]) == ("running", "libvirt", 1, 1)
    assert seen["cpu_details"][0]["time"] > 0
    assert seen["memory_details"]["maximum"] == 128
    assert seen["nic_details"][0]["tx_packets"] > 0
    assert seen["disk_details"][0]["read_bytes"] > 0
    old = cloud.request("GET", f"/v2.1/servers/{server_id}/diagnostics", version="2.47")
    assert old["vda_read"] >= seen["disk_details"][0]["read_bytes"]


def test_a_snapshot_finds_the_file_systems_at_rest(cloud: AllInOne, server_id: str) -> None:
    act(cloud, server_id, "createImage", {"name": "at-rest"})
    cloud.wait(lambda: "active" in [image["status"] for image in cloud.request("GET", "/image/v2/images?name=at-rest")["images"]],
               "the image to be active")
    cloud.wait(lambda: show(cloud, server_id)["OS-EXT-STS:task_state"] is None, "the snapshot to be over")
    assert cloud.status(server_id) == "ACTIVE"
    # The guest mounts one file system of its disk; libvirt counts those that its agent froze.
    assert f"server {server_id}: 1 of its file systems are frozen" in cloud.log.read_text(errors="replace")
    for image in cloud.request("GET", "/image/v2/images?name=at-rest")["images"]:
        cloud.request("DELETE", f"/image/v2/images/{image['id']}")


def test_an_nmi_reaches_the_guest(cloud: AllInOne, server_id: str) -> None:
    act(cloud, server_id, "trigger_crash_dump")
    says(cloud, server_id, "NMI")


def test_deleting_a_shelved_server_takes_its_snapshot(cloud: AllInOne, server_id: str) -> None:
    act(cloud, server_id, "os-stop")
    cloud.wait_for_status(server_id, "SHUTOFF")
    act(cloud, server_id, "shelve")
    cloud.wait_for_status(server_id, "SHELVED_OFFLOADED")
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")
    assert snapshots(cloud, server_id) == []
