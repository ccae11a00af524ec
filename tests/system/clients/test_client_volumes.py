# SPDX-License-Identifier: Apache-2.0
"""Volumes by the SDK, which most tools stand on, and by a few commands of the openstack client, which stands on it too."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.wait import wait_until
from tests.system.clients.conftest import Cloud


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[Any]:
    """Alice's."""
    with cloud.alice.sdk() as connection:
        yield connection


def settled(sdk: Any, volume: Any, status: str) -> Any:
    """The volume once it has the status; the SDK believes what its object had."""
    return sdk.block_storage.wait_for_status(sdk.block_storage.get_volume(volume.id), status=status, failures=["error"], interval=0.1, wait=60)


def shows(sdk: Any, volume: Any, *names: str) -> list[object]:
    """What the volume has now."""
    shown = sdk.block_storage.get_volume(volume.id)
    return [shown[name] for name in names]


@contextlib.contextmanager
def made(sdk: Any, **columns: Any) -> Iterator[Any]:
    """An available volume, deleted in the end."""
    volume = sdk.block_storage.create_volume(name=f"v-{uuid.uuid4().hex[:6]}", **{"size": 1, **columns})
    yield settled(sdk, volume, "available")
    sdk.block_storage.delete_volume(volume)
    sdk.block_storage.wait_for_delete(volume, interval=0.1, wait=60)


def test_a_volume_is_created_attached_detached_and_deleted_by_commands(cloud: Cloud, sdk: Any, vm: str) -> None:
    shown = cloud.alice.json("volume", "create", "--size", "1", "data")
    volume = sdk.block_storage.get_volume(shown["id"])
    settled(sdk, volume, "available")
    attached = cloud.alice.json("server", "add", "volume", vm, "data")
    assert (attached["Volume ID"], attached["Device"]) == (shown["id"], "/dev/vdb")
    settled(sdk, volume, "in-use")
    [listed] = [row for row in cloud.alice.json("volume", "list") if row["Name"] == "data"]
    assert (listed["Status"], listed["Size"], listed["Attached to"][0]["device"]) == ("in-use", 1, "/dev/vdb")
    assert "in-use" in cloud.alice.refused("volume", "delete", "data")
    cloud.alice.openstack("server", "remove", "volume", vm, "data")
    settled(sdk, volume, "available")
    cloud.alice.openstack("volume", "delete", "data")
    wait_until(lambda: sdk.block_storage.find_volume("data") is None, "the volume to be deleted")


def test_a_volume_in_use_grows_and_its_snapshot_becomes_a_volume(sdk: Any, vm: str) -> None:
    server = sdk.compute.find_server(vm)
    with made(sdk) as volume:
        sdk.compute.create_volume_attachment(server, volume_id=volume.id)
        settled(sdk, volume, "in-use")
        sdk.block_storage.extend_volume(volume, 4)
        wait_until(lambda: shows(sdk, volume, "size", "status") == [4, "in-use"], "the volume to grow")
        snapshot = sdk.block_storage.create_snapshot(volume_id=volume.id, name="snap", force=True)
        sdk.block_storage.wait_for_status(snapshot, status="available", failures=["error"], interval=0.1, wait=60)
        with made(sdk, snapshot_id=snapshot.id, size=4) as copy:
            assert (copy.size, copy.snapshot_id) == (4, snapshot.id)
        sdk.block_storage.delete_snapshot(snapshot)
        sdk.block_storage.wait_for_delete(snapshot, interval=0.1, wait=60)
        sdk.compute.delete_volume_attachment(server, volume)
        settled(sdk, volume, "available")


def test_a_server_boots_from_a_volume_that_goes_with_it(sdk: Any) -> None:
    server = sdk.create_server("from-volume", image="img", flavor="small", network="net", boot_from_volume=True, volume_size=2,
                               terminate_volume=True, wait=True, timeout=60)
    [attachment] = sdk.compute.volume_attachments(server)
    volume = sdk.block_storage.get_volume(attachment.volume_id)
    assert (volume.status, volume.size, volume.is_bootable) == ("in-use", 2, True)
    image = sdk.compute.create_server_image(server, "of-server", wait=True, timeout=60)
    (mapping,) = json.loads(sdk.image.get_image(image.id)["properties"]["block_device_mapping"])
    snapshot = sdk.block_storage.get_snapshot(mapping["snapshot_id"])
    assert (snapshot.volume_id, mapping["volume_size"]) == (volume.id, 2)
    sdk.image.delete_image(image)
    sdk.block_storage.delete_snapshot(snapshot)
    sdk.block_storage.wait_for_delete(snapshot, interval=0.1, wait=60)
    sdk.delete_server(server.id, wait=True, timeout=60)
    sdk.block_storage.wait_for_delete(volume, interval=0.1, wait=60)


def test_a_volume_becomes_an_image_and_an_image_a_volume(sdk: Any) -> None:
    with made(sdk, image_id=sdk.image.find_image("img").id) as volume:
        uploaded = sdk.block_storage.upload_volume_to_image(volume, "of-volume", disk_format="raw", container_format="bare")
        image_id = uploaded["image_id"]
        wait_until(lambda: sdk.image.get_image(image_id).status == "active", "the image")
        settled(sdk, volume, "available")
        sdk.image.delete_image(image_id)


def test_a_volume_is_restored_from_its_backup(sdk: Any) -> None:
    with made(sdk) as volume:
        backup = sdk.block_storage.create_backup(volume_id=volume.id, name="kept")
        sdk.block_storage.wait_for_status(backup, status="available", failures=["error"], interval=0.1, wait=60)
        sdk.block_storage.restore_backup(backup, volume_id=volume.id)
        wait_until(lambda: sdk.block_storage.get_backup(backup).status == "available", "the restore")
        settled(sdk, volume, "available")
        sdk.block_storage.delete_backup(backup)
        sdk.block_storage.wait_for_delete(backup, interval=0.1, wait=60)


def test_a_volume_goes_to_another_project(cloud: Cloud, sdk: Any) -> None:
    volume = settled(sdk, sdk.block_storage.create_volume(name="given", size=1), "available")
    offer = sdk.block_storage.create_transfer(volume_id=volume.id, name="gift")
    with cloud.bob.sdk() as bob:
        bob.block_storage.accept_transfer(offer.id, offer.auth_key)
        assert settled(bob, volume, "available").name == "given"
        assert sdk.block_storage.find_volume("given") is None
        bob.block_storage.delete_volume(volume)
        bob.block_storage.wait_for_delete(volume, interval=0.1, wait=60)


def test_an_operator_makes_types_with_properties_and_qos(cloud: Cloud, sdk: Any) -> None:
    with cloud.admin.sdk() as admin:
        kind = admin.block_storage.create_type(name="gold")
        admin.block_storage.update_type_extra_specs(kind, volume_backend_name="local")
    cloud.admin.openstack("volume", "qos", "create", "--consumer", "front-end", "--property", "total_iops_sec=100", "slow")
    cloud.admin.openstack("volume", "qos", "associate", "slow", "gold")
    with made(sdk, volume_type="gold") as volume:
        assert volume.volume_type == "gold"
    with made(sdk) as plain:
        cloud.alice.openstack("volume", "set", "--type", "gold", "--retype-policy", "on-demand", plain.name)
        wait_until(lambda: shows(sdk, plain, "volume_type", "status") == ["gold", "available"], "the retype")
    cloud.admin.openstack("volume", "qos", "disassociate", "--all", "slow")
    cloud.admin.openstack("volume", "qos", "delete", "slow")
    cloud.admin.openstack("volume", "type", "delete", "gold")


def test_a_volume_of_another_project_is_not_there(cloud: Cloud, sdk: Any) -> None:
    with made(sdk) as volume, cloud.bob.sdk() as bob:
        assert bob.block_storage.find_volume(volume.id) is None
