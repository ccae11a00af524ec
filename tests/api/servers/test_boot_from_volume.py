# SPDX-License-Identifier: Apache-2.0
"""Servers that boot from volumes, as requests: what is written, what is shown, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.servers import Server
from nova_lite.db.image.images import Image
from nova_lite.db.volume import volume_types
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume
from tests.support.api import compute_api, volume_api
from tests.support.api.compute_api import Answer, ComputeApi, act, boot, message, settle
from tests.support.api.users import PROJECTS

VOLUME, SNAPSHOT, UNKNOWN = "66666666-6666-4666-8666-666666666666", "77777777-7777-4777-8777-777777777777", "99999999-9999-4999-8999-999999999999"
PROPERTIES = {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "image_id": compute_api.IMAGE, "min_ram": "0"}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.change(volume_types.bootstrap)
    made.add(volume_api.pool(reach="network"), volume_api.volume(VOLUME, bootable=True, size_gb=3, image_metadata=PROPERTIES),
             volume_api.snapshot(SNAPSHOT, VOLUME, size_gb=3))
    return made


def create(api: ComputeApi, *devices: dict[str, Any], version: str = "2.67", user: str = "alice", **fields: Any) -> Answer:
    body = {"name": "s", "flavorRef": "1", "networks": "none", "block_device_mapping_v2": list(devices), **fields}
    return api.post("/servers", {"server": body}, version=version, user=user)


def on(source: str, source_id: str | None, **more: Any) -> dict[str, Any]:
    return {"source_type": source, "destination_type": "volume", **({"uuid": source_id} if source_id else {}), "boot_index": 0, **more}


def rows(api: ComputeApi, kind: Any) -> list[Any]:
    return list(api.change(lambda session: session.query(kind).all()))


def test_a_server_boots_from_an_existing_volume(api: ComputeApi) -> None:
    answer = create(api, on("volume", VOLUME))
    assert answer.status == 202
    server_id = answer.body["server"]["id"]
    (attachment,) = rows(api, Attachment)
    assert (attachment.server_id, attachment.volume_id, attachment.boot_index, attachment.mountpoint) == (server_id, VOLUME, 0, "/dev/sda")
    shown = api.get(f"/servers/{server_id}", version="2.67").body["server"]
    assert (shown["image"], shown["os-extended-volumes:volumes_attached"]) == ("", [{"id": VOLUME, "delete_on_termination": False}])
    (server,) = rows(api, Server)
    assert (server.total_gb, server.flavor.root_on_volume, server.image_properties) == (0, True, {
        "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"})


@pytest.mark.parametrize(("device", "size_gb", "inputs"), [
    (on("image", compute_api.IMAGE, volume_size=2), 2, {"source": "image", "source_id": compute_api.IMAGE}),
    (on("snapshot", SNAPSHOT), 3, {"source": "snapshot", "source_id": SNAPSHOT}),
    (on("snapshot", SNAPSHOT, volume_size=4, delete_on_termination=True), 4, {"source": "snapshot", "source_id": SNAPSHOT})])
def test_a_volume_is_made_with_the_server(api: ComputeApi, device: dict[str, Any], size_gb: int, inputs: dict[str, Any]) -> None:
    answer = create(api, device)
    assert answer.status == 202
    (made,) = [volume for volume in rows(api, Volume) if volume.id != VOLUME]
    assert (made.size_gb, made.status, made.bootable) == (size_gb, "creating", True)
    by_name = {action.name: action for action in rows(api, Action)}
    assert (by_name["create_volume"].resource_id, by_name["create_volume"].inputs) == (made.id, inputs)
    assert by_name["create"].inputs["has_volumes"] is True
    (attachment,) = rows(api, Attachment)
    assert (attachment.volume_id, attachment.delete_on_termination) == (made.id, bool(device.get("delete_on_termination")))


def test_blank_volumes_come_beside_the_local_root_disk(api: ComputeApi) -> None:
    root = {"source_type": "image", "destination_type": "local", "uuid": compute_api.IMAGE, "boot_index": 0}
    answer = create(api, root, {**on("blank", None, volume_size=1), "boot_index": -1}, imageRef=compute_api.IMAGE, max_count=2, min_count=2)
    assert answer.status == 202
    assert sorted(one.mountpoint for one in rows(api, Attachment)) == ["/dev/vdb", "/dev/vdb"]
    assert len([volume for volume in rows(api, Volume) if volume.id != VOLUME]) == 2
    assert {server.total_gb for server in rows(api, Server)} == {1}


def test_an_image_of_the_request_is_shown_though_a_volume_is_booted(api: ComputeApi) -> None:
    answer = create(api, on("volume", VOLUME), imageRef=compute_api.IMAGE)
    shown = api.get(f"/servers/{answer.body['server']['id']}", version="2.67").body["server"]
    assert shown["image"]["id"] == compute_api.IMAGE


def test_tags_and_buses_are_kept(api: ComputeApi) -> None:
    assert create(api, on("volume", VOLUME, tag="root", disk_bus="virtio", device_type="disk")).status == 202
    (attachment,) = rows(api, Attachment)
    assert (attachment.tag, attachment.disk_bus, attachment.device_type) == ("root", "virtio", "disk")


@pytest.mark.parametrize(("device", "part"), [
    (on("volume", UNKNOWN), "failed to get volume"), (on("snapshot", UNKNOWN), "failed to get snapshot"),
    (on("image", UNKNOWN, volume_size=1), "Can not find requested image"),
    (on("snapshot", SNAPSHOT, volume_size=2), "less than the 3 GiB"),
    (on("image", compute_api.IMAGE, volume_size=1, volume_type="none"), "Volume type none could not be found")])
def test_what_is_not_there_is_refused(api: ComputeApi, device: dict[str, Any], part: str) -> None:
    answer = create(api, device)
    assert (answer.status, part in message(answer)) == (400, True), message(answer)
    assert rows(api, Server) == []


@pytest.mark.parametrize(("columns", "part"), [
    ({"status": "in-use"}, "Currently in 'in-use'"), ({"status": "error"}, "Currently in 'error'"), ({"bootable": False}, "is not bootable")])
def test_a_volume_that_cannot_be_booted_from_is_refused(api: ComputeApi, columns: dict[str, Any], part: str) -> None:
    def change(session: Any) -> None:
        for name, value in columns.items():
            setattr(session.get_one(Volume, VOLUME), name, value)

    api.change(change)
    answer = create(api, on("volume", VOLUME))
    assert (answer.status, part in message(answer)) == (400, True)


def test_another_projects_volume_and_snapshot_are_not_found(api: ComputeApi) -> None:
    for device, part in ((on("volume", VOLUME), "failed to get volume"), (on("snapshot", SNAPSHOT), "failed to get snapshot")):
        answer = create(api, device, user="bob")
        assert (answer.status, part in message(answer)) == (400, True)


@pytest.mark.parametrize("size", ["-5", "0", -5, 0])
@pytest.mark.parametrize("destination", ["volume", "local"])
def test_a_disk_of_less_than_one_gib_is_refused(api: ComputeApi, destination: str, size: object) -> None:
    device = {**on("blank", None, volume_size=size), "destination_type": destination}
    answer = create(api, on("volume", VOLUME), {**device, "boot_index": -1})
    assert answer.status == (202 if destination == "local" and size in (0, "0") else 400), message(answer)
    assert all(volume.size_gb > 0 for volume in rows(api, Volume))


def test_a_boot_index_has_as_many_digits_as_a_number(api: ComputeApi) -> None:
    assert create(api, {**on("volume", VOLUME), "boot_index": "9" * 5000}).status == 400


def mapped(api: ComputeApi, mapping: str, **columns: Any) -> str:
    """An image of bob's without data, whose property has this mapping."""
    values = {"owner": PROJECTS["bob"], "visibility": "private", "status": "active", "disk_format": "raw", "size": 0, **columns}
    api.add(Image(id=UNKNOWN, name="mapped", container_format="bare", properties={"bdm_v2": "True", "block_device_mapping": mapping}, **values))
    return UNKNOWN


def test_disks_of_another_projects_private_image_are_not_read(api: ComputeApi) -> None:
    image = mapped(api, json.dumps([{"source_type": "snapshot", "destination_type": "volume", "snapshot_id": SNAPSHOT, "boot_index": 0}]))
    refused = create(api, imageRef=image)
    assert (refused.status, "Can not find requested image" in message(refused), SNAPSHOT in message(refused)) == (400, True, False)
    assert create(api, on("volume", VOLUME), imageRef=image).status == 400
    assert rows(api, Server) == []


_ROOT = {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": SNAPSHOT, "boot_index": 0}


@pytest.mark.parametrize("mapping", [
    "5", "null", "{}", "[5]", "[" * 5000, json.dumps([_ROOT | {"snapshot_id": "\ud800"}]),
    *(json.dumps([_ROOT | {name: value}]) for name, value in (
        ("volume_size", "x"), ("volume_size", -5), ("boot_index", "x"), ("device_name", {}), ("source_type", "x"), ("tag", {}),
        ("tag", "x" * 61), ("disk_bus", []), ("snapshot_id", ["x"]), ("device_type", "x" * 256)))])
def test_an_image_whose_disks_cannot_be_read_is_refused(api: ComputeApi, mapping: str) -> None:
    answer = create(api, imageRef=mapped(api, mapping, visibility="public"))
    assert (answer.status, rows(api, Server)) == (400, []), message(answer)


@pytest.mark.parametrize("least", ["x", "-1", "９", "9" * 40])
def test_a_volume_of_no_readable_least_memory_is_refused(api: ComputeApi, least: str) -> None:
    api.change(lambda session: setattr(session.get_one(Volume, VOLUME), "image_metadata", {"min_ram": least}))
    answer = create(api, on("volume", VOLUME))
    assert (answer.status, "min_ram" in message(answer)) == (400, True)


def test_several_servers_cannot_share_a_volume(api: ComputeApi) -> None:
    answer = create(api, on("volume", VOLUME), min_count=2)
    assert (answer.status, "share an existing volume" in message(answer)) == (400, True)


def test_the_quota_of_volumes_counts(api: ComputeApi) -> None:
    api.conf.set_override("quota_volumes", 1)
    answer = create(api, on("image", compute_api.IMAGE, volume_size=1))
    assert (answer.status, "quota exceeded" in message(answer)) == (403, True)
    assert rows(api, Server) == []


def test_a_flavor_without_a_disk_is_allowed_on_a_volume(api: ComputeApi) -> None:
    def shrink(session: Any) -> None:
        for flavor in session.query(Flavor):
            flavor.root_gb = 0

    api.change(shrink)
    assert create(api, imageRef=compute_api.IMAGE).status == 403
    assert create(api, on("volume", VOLUME)).status == 202


def on_volume(api: ComputeApi) -> str:
    """A server at rest that boots from VOLUME."""
    server_id = str(create(api, on("volume", VOLUME)).body["server"]["id"])
    settle(api, server_id)

    def attach(session: Any) -> None:
        session.query(Attachment).one().status = "attached"
        session.get_one(Volume, VOLUME).status = "in-use"

    api.change(attach)
    return server_id


def test_an_image_of_it_names_snapshots_of_its_volumes(api: ComputeApi) -> None:
    server_id = on_volume(api)
    answer = act(api, server_id, "createImage", {"name": "im"}, version="2.45")
    assert answer.status == 202
    image = api.change(lambda session: session.get_one(Image, answer.body["image_id"]))
    (snapshot,) = [one for one in rows(api, VolumeSnapshot) if one.id != SNAPSHOT]
    assert (image.status, image.size, image.properties["bdm_v2"], image.properties["root_device_name"]) == ("active", 0, "True", "/dev/sda")
    assert snapshot.id in image.properties["block_device_mapping"]
    assert "create_snapshot" in {action.name for action in rows(api, Action)}
    api.change(lambda session: setattr(session.get_one(VolumeSnapshot, snapshot.id), "status", "available"))
    again = create(api, imageRef=image.id)
    assert again.status == 202
    made = [one for one in rows(api, Attachment) if one.server_id == again.body["server"]["id"]]
    assert [(one.source, one.source_id, one.boot_index) for one in made] == [("snapshot", snapshot.id, 0)]


def test_it_has_no_backup_of_servers(api: ComputeApi) -> None:
    answer = act(api, on_volume(api), "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1})
    assert (answer.status, "not supported for volume-backed" in message(answer)) == (400, True)


def test_it_is_shelved_without_a_snapshot(api: ComputeApi) -> None:
    server_id = on_volume(api)
    assert act(api, server_id, "shelve").status == 202
    (action,) = [action for action in rows(api, Action) if action.name == "shelve"]
    assert action.inputs["image_id"] == ""


def test_it_is_rebuilt_from_its_own_image_only(api: ComputeApi) -> None:
    server_id = on_volume(api)
    other = act(api, server_id, "rebuild", {"imageRef": UNKNOWN})
    assert other.status == 400
    assert act(api, server_id, "rebuild", {"imageRef": compute_api.IMAGE}).status == 400
    api.change(lambda session: setattr(session.get_one(Volume, VOLUME), "image_id", compute_api.IMAGE))
    assert act(api, server_id, "rebuild", {"imageRef": compute_api.IMAGE}).status == 202


def test_it_is_rescued_from_2_87_on_by_an_image_that_says_where_its_disk_goes(api: ComputeApi) -> None:
    server_id = on_volume(api)
    rescue = {"rescue_image_ref": compute_api.IMAGE}
    assert "2.87" in message(act(api, server_id, "rescue", rescue, version="2.86"))
    assert act(api, server_id, "rescue", rescue, version="2.87").status == 400
    api.change(lambda session: setattr(session.get_one(Image, compute_api.IMAGE), "properties", {"hw_rescue_bus": "virtio"}))
    assert act(api, server_id, "rescue", rescue, version="2.87").status == 200


def test_a_server_on_its_own_disk_is_unchanged(api: ComputeApi) -> None:
    server_id = boot(api)
    (server,) = rows(api, Server)
    assert (server.id, server.has_volumes, server.blank_disks, server.flavor.root_on_volume) == (server_id, False, None, False)
