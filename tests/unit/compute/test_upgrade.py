# SPDX-License-Identifier: Apache-2.0
"""What release 0.1 wrote on a compute host, in release_0_1/, is read: an upgrade keeps guests."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.compute.records import Phase, Records
from nova_lite.compute.service import ComputeService
from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.rpc import payload, transport
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


def test_a_worker_with_another_name_does_not_start_on_the_guests_of_release_0_1(tmp_path: Path) -> None:
    shutil.copytree(_WRITTEN, tmp_path / "compute")
    (tmp_path / "nova.conf").write_text(f"[DEFAULT]\nhost = others\nstate_path = {tmp_path}\ntransport_url = inprocess://\n")
    conf = options.load([], conf=cfg.ConfigOpts(), files=[str(tmp_path / "nova.conf")])
    driver = FakeDriver(conf)
    driver.capabilities = dataclasses.replace(driver.capabilities, keeps_disks=True)
    with pytest.raises(errors.WrongHost, match="by host node1, and this host is called others"):
        ComputeService(conf, transport.connect(conf), driver=driver).start()
