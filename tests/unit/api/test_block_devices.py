# SPDX-License-Identifier: Apache-2.0
"""Block device mappings of `POST /servers`: what each combination means, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from nova_lite import errors
from nova_lite.api.compute.servers.disks import block_devices
from nova_lite.api.compute.servers.disks.block_devices import BlockDevices
from nova_lite.values.flavor import Flavor

IMAGE, VOLUME, SNAPSHOT = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000", "33333333-0000-0000-0000-000000000000"
LOCAL_ROOT = {"source_type": "image", "destination_type": "local", "uuid": IMAGE, "boot_index": 0}
FROM_VOLUME = {"source_type": "volume", "destination_type": "volume", "uuid": VOLUME, "boot_index": 0}
FROM_IMAGE = {"source_type": "image", "destination_type": "volume", "uuid": IMAGE, "boot_index": 0, "volume_size": 2}
BLANK = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}
FLAVOR = Flavor(id="1", name="f", vcpus=1, ram_mb=64, root_gb=1, ephemeral_gb=2, swap_mb=512)


def read(*devices: dict[str, Any], image: str = "", **params: Any) -> BlockDevices:
    return block_devices.read({"imageRef": image, "block_device_mapping_v2": list(devices), **params})


def old(*devices: dict[str, Any], image: str = "") -> BlockDevices:
    return block_devices.read({"imageRef": image, "block_device_mapping": list(devices)})


def test_an_image_alone_is_the_local_root_disk() -> None:
    assert block_devices.read({"imageRef": IMAGE}) == BlockDevices(IMAGE, has_local_root=True)


def test_an_image_mapped_to_the_local_root_disk_is_the_same() -> None:
    found = read(LOCAL_ROOT, image=IMAGE)
    assert (found.has_local_root, found.volumes, found.local) == (True, (), ())


def test_a_volume_at_boot_index_0_is_the_root_disk() -> None:
    found = read(FROM_VOLUME)
    assert (found.has_local_root, [(device.is_root, device.source_id) for device in found.volumes]) == (False, [(True, VOLUME)])


def test_an_image_of_the_request_does_not_become_a_root_disk_beside_a_volume() -> None:
    found = read(FROM_VOLUME, image=IMAGE)
    assert (found.has_local_root, found.image_id) == (False, IMAGE)


def test_volumes_beside_the_local_root_disk_are_not_booted_from() -> None:
    found = read(LOCAL_ROOT, {**BLANK, "boot_index": None}, {**FROM_VOLUME, "boot_index": -1}, image=IMAGE)
    assert [device.boot_index for device in found.volumes] == [None, None]


def test_the_root_volume_comes_first() -> None:
    found = read(BLANK, FROM_IMAGE)
    assert [device.source for device in found.volumes] == ["image", "blank"]


def test_a_snapshot_needs_no_size() -> None:
    found = read({"source_type": "snapshot", "destination_type": "volume", "uuid": SNAPSHOT, "boot_index": "0"})
    assert found.volumes[0].size_gb is None


@pytest.mark.parametrize(("devices", "image", "part"), [
    ((), "", "Invalid imageRef provided"),
    (({**LOCAL_ROOT, "boot_index": 1},), IMAGE, "image to local"),
    ((LOCAL_ROOT,), "", "image to local"),
    (({**BLANK, "uuid": VOLUME},), IMAGE, "invalid device UUID"),
    (({**FROM_VOLUME, "uuid": None},), "", "missing device UUID"),
    (({**FROM_VOLUME, "volume_type": "fast"},), "", "volume_type"),
    (({**FROM_IMAGE, "volume_size": None},), "", "non-zero size"),
    (({**FROM_IMAGE, "volume_size": 0},), "", "non-zero size"),
    ((LOCAL_ROOT, {**BLANK, "volume_size": ""}), IMAGE, "non-zero size"),
    (({**FROM_VOLUME, "destination_type": "local"},), "", "volume to local"),
    ((LOCAL_ROOT, {"source_type": "snapshot", "destination_type": "local", "uuid": SNAPSHOT}), IMAGE, "snapshot to local"),
    (({**FROM_VOLUME, "boot_index": 1},), "", "Boot sequence"),
    (({**FROM_VOLUME, "boot_index": -1},), "", "Boot sequence"),
    (({**FROM_VOLUME, "boot_index": None},), IMAGE, "Boot sequence"),
    ((FROM_VOLUME, {**FROM_IMAGE, "boot_index": 2}), "", "Boot sequence"),
    ((LOCAL_ROOT, FROM_VOLUME), IMAGE, "Boot sequence"),
    ((LOCAL_ROOT, LOCAL_ROOT), IMAGE, "Boot sequence"),
    (({**FROM_VOLUME, "disk_bus": "nvme"},), "", "disk_bus nvme"),
    ((FROM_VOLUME, {**BLANK, "device_name": "/dev/vdb"}, {**BLANK, "device_name": "/dev/vdb"}), "", "same device_name"),
    (({"destination_type": "volume", "uuid": VOLUME, "boot_index": 0},), "", "source_type is missing"),
])
def test_what_cannot_be_is_refused_with_the_reason(devices: tuple[dict[str, Any], ...], image: str, part: str) -> None:
    with pytest.raises(errors.BadRequest, match=part):
        read(*devices, image=image)


def test_two_syntaxes_in_one_request_are_refused() -> None:
    with pytest.raises(errors.BadRequest, match="different block_device_mapping syntaxes"):
        read(FROM_VOLUME, block_device_mapping=[{"volume_id": VOLUME}])


def test_two_swap_disks_are_refused() -> None:
    swap = {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 1}
    with pytest.raises(errors.BadRequest, match="More than one swap drive"):
        read(LOCAL_ROOT, swap, swap, image=IMAGE)


@pytest.mark.parametrize(("disks", "part"), [
    ([{"guest_format": "swap", "volume_size": 513}], "swap drive requested is larger"),
    ([{"volume_size": 3}], "ephemeral drives requested are larger"),
    ([{"volume_size": 1}, {"volume_size": 2}], "ephemeral drives requested are larger"),
    ([{"volume_size": 1}, {"volume_size": 1}, {"volume_size": 0}], "more local devices than the limit of 3"),
])
def test_local_disks_are_within_the_flavor_and_the_limit(disks: list[dict[str, Any]], part: str) -> None:
    found = read(LOCAL_ROOT, *({"source_type": "blank", "destination_type": "local", **disk} for disk in disks), image=IMAGE)
    with pytest.raises(errors.BadRequest, match=part):
        block_devices.check_local(found, FLAVOR, limit=3)


def test_local_disks_that_fit_are_allowed() -> None:
    found = read(LOCAL_ROOT, {"source_type": "blank", "destination_type": "local"}, image=IMAGE)
    block_devices.check_local(found, FLAVOR, limit=2)
    assert found.local[0].size_gb is None


def test_an_old_entry_alone_is_the_root_disk() -> None:
    found = old({"volume_id": VOLUME})
    assert found.volumes[0].is_root


def test_an_old_entry_of_the_root_device_is_the_root_disk() -> None:
    found = old({"volume_id": VOLUME, "device_name": "/dev/vdb"}, {"snapshot_id": SNAPSHOT, "device_name": "vda"})
    assert [(device.source, device.is_root) for device in found.volumes] == [("snapshot", True), ("volume", False)]


def test_an_image_is_the_root_disk_beside_old_entries_of_other_devices() -> None:
    found = old({"volume_id": VOLUME, "device_name": "/dev/vdb"}, image=IMAGE)
    assert (found.has_local_root, found.volumes[0].boot_index) == (True, None)


def test_an_image_of_a_server_on_volumes_brings_its_disks() -> None:
    properties = {"bdm_v2": "True", "block_device_mapping": (
        f'[{{"source_type": "snapshot", "destination_type": "volume", "snapshot_id": "{SNAPSHOT}", "boot_index": 0, "device_name": "/dev/vda", '
        '"volume_size": 1, "delete_on_termination": true, "no_device": null}]')}
    found = block_devices.read({"imageRef": IMAGE, "block_device_mapping_v2": [LOCAL_ROOT]}, image_mapping=block_devices.mapping_of(properties))
    assert (found.has_local_root, found.volumes[0].source_id, found.volumes[0].delete_on_termination) == (False, SNAPSHOT, True)


@pytest.mark.parametrize("properties", [{}, {"block_device_mapping": "not read"}, {"bdm_v2": "true", "block_device_mapping": "[]"}])
def test_other_images_bring_none(properties: dict[str, str]) -> None:
    assert block_devices.mapping_of(properties) == []


@pytest.mark.parametrize("text", ["not json", "{}", '["no object"]', '[{"source_type": "moon"}]'])
def test_a_mapping_of_an_image_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="block_device_mapping"):
        block_devices.mapping_of({"bdm_v2": "True", "block_device_mapping": text})
