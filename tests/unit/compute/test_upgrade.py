# SPDX-License-Identifier: Apache-2.0
"""What release 0.1 wrote on a compute host, in release_0_1/, is read: an upgrade keeps guests."""

from __future__ import annotations

import shutil
from pathlib import Path

from nova_lite.compute.records import Phase, Records
from nova_lite.rpc import payload
from nova_lite.rpc.compute import GuestSize
from nova_lite.values.guest_disk import DiskFormat, DiskSource, GuestDisk
from nova_lite.worker.orders import order_of_fence

_WRITTEN = Path(__file__).with_name("release_0_1")
SERVER, DESTROYED = (f"6c9b1a52-0000-4000-8000-00000000000{number}" for number in (1, 2))
DISKS = (
    GuestDisk(source=DiskSource.IMAGE, size_mb=2048, boot_index=0),
    GuestDisk(source=DiskSource.BLANK, size_mb=1024, format=DiskFormat.EXT4),
    GuestDisk(source=DiskSource.BLANK, size_mb=64, format=DiskFormat.SWAP),
)


def load(tmp_path: Path) -> Records:
    records = Records(tmp_path / "compute", is_durable=False)
    records.load()
    return records


def test_a_guests_record_is_read_with_its_disks_and_written_again(tmp_path: Path) -> None:
    shutil.copytree(_WRITTEN, tmp_path / "compute")
    record = load(tmp_path).get(SERVER)
    assert record is not None
    assert (record.phase, record.guest.disks) == (Phase.BUILT, DISKS)
    load(tmp_path).put(record)
    assert load(tmp_path).get(SERVER) == record


def test_a_size_from_a_conductor_of_release_0_1_has_the_same_disks() -> None:
    old = {"vcpus": 1, "ram_mb": 64, "disk_gb": 2, "ephemeral_gb": 1, "swap_mb": 64, "extra_specs": {}}
    assert payload.from_wire(GuestSize, old) == GuestSize(vcpus=1, ram_mb=64, disks=DISKS, extra_specs={})


def test_a_tombstone_is_read(tmp_path: Path) -> None:
    shutil.copytree(_WRITTEN, tmp_path / "compute")
    assert load(tmp_path).tombstone(DESTROYED) == order_of_fence(77)
