# SPDX-License-Identifier: Apache-2.0
"""Volumes from the API to a real guest and back, through all that is done to servers and volumes; the guest counts its boots on its root disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import boot_sector
from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests
from tests.support.system.storage import V3, Storage
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")
GIB = 1 << 30


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("volumes"), options="[compute]\nshutdown_timeout = 2\n") as made:
        for number, disk in ((77, 0), (78, 1), (79, 1)):
            made.request("POST", "/v2.1/flavors", {"flavor": {
                "id": str(number), "name": str(number), "ram": 128 if number < 79 else 192, "vcpus": 1, "disk": disk}})
        yield made


@pytest.fixture(scope="module")
def storage(cloud: AllInOne) -> Storage:
    return Storage(cloud)


@pytest.fixture(scope="module")
def network(cloud: AllInOne) -> str:
    return cloud.make_network("volumes", "10.79.0.0/24")


@pytest.fixture(scope="module")
def image(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    return cloud.make_image(boot_sector.disk_file(tmp_path_factory.mktemp("image")), "raw")


def act(cloud: AllInOne, server_id: str, word: str, value: object = None) -> Any:
    return cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: value})


def says(cloud: AllInOne, server_id: str, text: str) -> None:
    def output() -> str:
        return str(act(cloud, server_id, "os-getConsoleOutput", {})["output"])

    wait_until(lambda: text in output(), f"the guest to say {text}", seconds=60, details=output)


def at_rest(cloud: AllInOne, server_id: str, status: str) -> None:
    def is_at_rest() -> bool:
        shown = cloud.request("GET", f"/v2.1/servers/{server_id}")["server"]
        assert shown["status"] != "ERROR", shown["fault"]
        return (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None)

    cloud.wait(is_at_rest, f"server {server_id} to be {status} at rest", seconds=90)


def boot(cloud: AllInOne, network: str, **body: Any) -> str:
    """An active server."""
    server_id = str(cloud.request("POST", "/v2.1/servers", {"server": {
        "name": "s", "flavorRef": "78", "networks": [{"uuid": network}], **body}})["server"]["id"])
    at_rest(cloud, server_id, "ACTIVE")
    return server_id


def root(image: str, **more: Any) -> dict[str, Any]:
    """Of a server that boots from a volume."""
    return {"flavorRef": "77", "block_device_mapping_v2": [{
        "boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 1,
        "delete_on_termination": True, **more}]}


def gone(cloud: AllInOne, server_id: str) -> None:
    cloud.request("DELETE", f"/v2.1/servers/{server_id}")
    cloud.wait_for_status(server_id, "GONE")


def has(storage: Storage, server_id: str, *volumes: str) -> None:
    """All who know of the server's volumes agree."""
    assert storage.of_server(server_id) == storage.in_guest(server_id) == sorted(volumes)
    assert [storage.status(one) for one in volumes] == ["in-use"] * len(volumes)
    assert len(storage.exported()) == len(volumes)


def nothing_is_left(storage: Storage) -> None:
    storage.cloud.wait(lambda: storage.leftovers() == {}, f"nothing to be left, but there is {storage.leftovers()}", seconds=30)


def test_a_server_on_a_volume_keeps_it_and_another_through_all_that_is_done_to_servers(
    cloud: AllInOne, storage: Storage, network: str, image: str
) -> None:
    server_id = boot(cloud, network, **root(image))
    [own] = storage.of_server(server_id)
    says(cloud, server_id, boot_sector.says(boots=1))
    data = storage.made("data")
    storage.attach(server_id, data)
    storage.wait_for(data, "in-use")
    has(storage, server_id, own, data)
    act(cloud, server_id, "reboot", {"type": "HARD"})
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=2))
    act(cloud, server_id, "os-stop")
    at_rest(cloud, server_id, "SHUTOFF")
    act(cloud, server_id, "os-start")
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=3))
    act(cloud, server_id, "shelve")
    at_rest(cloud, server_id, "SHELVED_OFFLOADED")
    for volume in (own, data):  # each is let go by an action of its own, which the shelve does not wait for
        storage.wait_for(volume, "reserved")
    assert storage.exported() == []
    act(cloud, server_id, "unshelve")
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=4))
    has(storage, server_id, own, data)
    for end, boots in (("revertResize", 6), ("confirmResize", 7)):
        act(cloud, server_id, "resize", {"flavorRef": "79"})
        at_rest(cloud, server_id, "VERIFY_RESIZE")
        act(cloud, server_id, end)
        at_rest(cloud, server_id, "ACTIVE")
        says(cloud, server_id, boot_sector.says(boots=boots))
        has(storage, server_id, own, data)
    storage.detach(server_id, data)
    storage.wait_for(data, "available")
    has(storage, server_id, own)
    gone(cloud, server_id)
    storage.wait_for(own, "gone")
    assert storage.status(data) == "available"
    cloud.request("DELETE", f"{V3}/volumes/{data}")
    nothing_is_left(storage)


def test_a_volume_in_use_grows_is_kept_in_snapshots_and_cloned(cloud: AllInOne, storage: Storage, network: str, image: str) -> None:
    server_id = boot(cloud, network, **root(image))
    [own] = storage.of_server(server_id)
    says(cloud, server_id, boot_sector.says(boots=1))
    storage.act(own, "os-extend", {"new_size": 2})
    storage.cloud.wait(lambda: (storage.show(own)["size"], storage.status(own)) == (2, "in-use"), "the volume to be extended", seconds=30)
    assert cloud.host is not None
    assert cloud.host.run(["virsh", "domblkinfo", server_id, "vda"]).stdout.split()[1] == str(2 * GIB)
    snapshot = storage.snapshot(own, "live")
    storage.wait_for_snapshot(snapshot, "available")
    act(cloud, server_id, "reboot", {"type": "HARD"})
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=2))
    of_snapshot = storage.made("of-snapshot", size=2, snapshot_id=snapshot)
    for clone, boots in ((storage.made("of-volume", size=2, source_volid=of_snapshot), 2), (of_snapshot, 2)):
        copy = boot(cloud, network, flavorRef="77", block_device_mapping_v2=[{
            "boot_index": 0, "uuid": clone, "source_type": "volume", "destination_type": "volume", "delete_on_termination": True}])
        says(cloud, copy, boot_sector.says(boots=boots))
        gone(cloud, copy)
        storage.wait_for(clone, "gone")
    act(cloud, server_id, "reboot", {"type": "HARD"})
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=3))
    cloud.request("DELETE", f"{V3}/snapshots/{snapshot}")
    storage.wait_for_snapshot(snapshot, "gone")
    gone(cloud, server_id)
    nothing_is_left(storage)


def test_a_server_with_a_disk_of_its_own_is_rebuilt_and_rescued_with_its_volume(cloud: AllInOne, storage: Storage, network: str, image: str) -> None:
    server_id = boot(cloud, network, imageRef=image)
    says(cloud, server_id, boot_sector.says(boots=1))
    data = storage.made("data")
    storage.attach(server_id, data)
    storage.wait_for(data, "in-use")
    act(cloud, server_id, "rebuild", {"imageRef": image})
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=1))
    has(storage, server_id, data)
    act(cloud, server_id, "rescue", {"rescue_image_ref": image})
    at_rest(cloud, server_id, "RESCUE")
    says(cloud, server_id, boot_sector.says(boots=1))
    has(storage, server_id, data)
    act(cloud, server_id, "unrescue")
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=2))
    has(storage, server_id, data)
    gone(cloud, server_id)
    storage.wait_for(data, "available")
    cloud.request("DELETE", f"{V3}/volumes/{data}")
    nothing_is_left(storage)


def test_a_server_on_a_volume_is_rebuilt_with_its_image_and_rescued_by_another(
    cloud: AllInOne, storage: Storage, network: str, image: str, tmp_path: Path
) -> None:
    stable = cloud.make_image(boot_sector.disk_file(tmp_path), "raw", hw_rescue_device="disk", hw_rescue_bus="virtio")
    server_id = boot(cloud, network, **root(image))
    [own] = storage.of_server(server_id)
    says(cloud, server_id, boot_sector.says(boots=1))
    act(cloud, server_id, "rebuild", {"imageRef": image})
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=2))
    act(cloud, server_id, "rescue", {"rescue_image_ref": stable})
    at_rest(cloud, server_id, "RESCUE")
    says(cloud, server_id, boot_sector.says(boots=1, disks=2))
    has(storage, server_id, own)
    act(cloud, server_id, "unrescue")
    at_rest(cloud, server_id, "ACTIVE")
    says(cloud, server_id, boot_sector.says(boots=3))
    gone(cloud, server_id)
    nothing_is_left(storage)
