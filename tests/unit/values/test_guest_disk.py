# SPDX-License-Identifier: Apache-2.0
"""Disks of guests: which a flavor gives, and what they take."""

from __future__ import annotations

import json

from nova_lite.rpc import payload
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk


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
