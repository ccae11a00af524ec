# SPDX-License-Identifier: Apache-2.0
"""Disks of guests: which a flavor gives, and what they take."""

from __future__ import annotations

import json

from nova_lite.rpc import payload
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection


def test_a_flavor_gives_the_disks_that_it_has_sizes_for() -> None:
    disks = guest_disk.of_flavor(root_gb=2, ephemeral_gb=1, swap_mb=64)
    assert [(disk.is_root, disk.is_ephemeral, disk.is_swap, disk.size_mb) for disk in disks] == [
        (True, False, False, 2048), (False, True, False, 1024), (False, False, True, 64)]
    assert [disk.is_root for disk in guest_disk.of_flavor(root_gb=0, ephemeral_gb=0, swap_mb=0)] == [True]


def test_disks_take_their_sizes_rounded_up() -> None:
    disks = guest_disk.of_flavor(root_gb=2, ephemeral_gb=1, swap_mb=64)
    assert (guest_disk.root_size_mb(disks), guest_disk.total_gb(disks)) == (2048, 4)


def test_a_guest_without_a_root_disk_of_its_host_has_none() -> None:
    assert guest_disk.root_size_mb([GuestDisk(source=DiskSource.BLANK, size_mb=1024)]) == 0


def test_a_disk_survives_the_wire() -> None:
    disk = GuestDisk(source=DiskSource.VOLUME, size_mb=1024, bus="scsi", boot_index=0, tag="data")
    assert payload.from_wire(GuestDisk, json.loads(json.dumps(payload.to_wire(disk)))) == disk


def test_fields_that_are_new_already_are_left() -> None:
    assert guest_disk.upgrade({"disks": [], "disk_gb": 5}) == {"disks": [], "disk_gb": 5}


def volume(number: int, *, boot_index: int | None = None, password: str = "s3cret") -> GuestDisk:
    connection = {"driver_volume_type": "iscsi", "data": {"auth_password": password}}
    return GuestDisk(source=DiskSource.VOLUME, size_mb=1024, boot_index=boot_index, volume=VolumeConnection(
        attachment_id=f"a{number}", volume_id=f"v{number}", connection=connection))


def test_volumes_come_in_place_of_their_attachments_and_go() -> None:
    disks = guest_disk.with_volume(guest_disk.with_volume(guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0), volume(1)), volume(2))
    assert list(guest_disk.volumes(disks)) == ["a1", "a2"]
    again = guest_disk.with_volume(disks, volume(1, password="new"))
    assert again[1:] == (volume(1, password="new"), volume(2))
    assert guest_disk.without_volume(disks, "a1") == (disks[0], volume(2))
    assert guest_disk.total_gb(disks) == 1


def test_a_new_size_changes_the_disks_of_the_host_only() -> None:
    larger = guest_disk.of_flavor(root_gb=9, ephemeral_gb=0, swap_mb=0)
    assert guest_disk.with_local((*guest_disk.of_flavor(root_gb=1, ephemeral_gb=1, swap_mb=0), volume(1)), larger) == (*larger, volume(1))
    booted = volume(1, boot_index=0)
    blank = GuestDisk(source=DiskSource.BLANK, size_mb=1024)
    assert guest_disk.with_local((booted, volume(2)), (blank, volume(3))) == (booted, blank, volume(2))


def test_disks_have_serial_numbers_by_which_guests_find_them() -> None:
    blank = GuestDisk(source=DiskSource.BLANK, size_mb=64)
    disks = (*guest_disk.of_flavor(root_gb=1, ephemeral_gb=1, swap_mb=64), blank, volume(1))
    assert guest_disk.serials(disks) == ("root", "ephemeral0", "swap0", "ephemeral1", "v1")


def test_a_connection_survives_the_wire_and_is_in_no_text() -> None:
    disk = volume(1)
    assert payload.from_wire(GuestDisk, json.loads(json.dumps(payload.to_wire(disk)))) == disk
    assert "s3cret" not in repr(disk)
    assert disk.volume is not None
    assert (disk.volume.type, disk.volume.data) == ("iscsi", {"auth_password": "s3cret"})


def test_an_image_is_used_unless_the_root_disk_is_a_volume() -> None:
    assert guest_disk.image_is_used(guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0))
    assert not guest_disk.image_is_used((volume(1, boot_index=0), GuestDisk(source=DiskSource.BLANK, size_mb=64)))


def test_a_hosts_iscsi_name_is_one() -> None:
    assert guest_disk.initiator_name("Node_1.example") == "iqn.2010-10.org.openstack:node-1.example"
