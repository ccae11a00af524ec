# SPDX-License-Identifier: Apache-2.0
"""The disks of a guest's domain: in which order, under which names, with and without a rescue."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from nova_lite import conf as options
from nova_lite.compute.virt.libvirt.domain_builder import DomainBuilder
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk
from tests.support.guests import ImageServer, guest_of, image_server

SERVER = "6c9b1a52-0000-4000-8000-000000000001"


@dataclasses.dataclass
class Builder:
    """A domain builder for a host without libvirt."""

    env: Environment
    images: ImageServer

    def guest(self, **properties: str) -> Guest:
        """A guest with a config drive, rescued from an image with these properties."""
        guest = guest_of(self.images.image(), server_id=SERVER, host="node1")
        return dataclasses.replace(guest, rescue=dataclasses.replace(self.images.image(), properties=properties))

    def xml(self, guest: Guest) -> str:
        return DomainBuilder(self.env).xml(guest)

    def disks(self, guest: Guest) -> list[tuple[str, str, str, str]]:
        """(device, name, serial, order of boot) of each disk."""
        found = []
        for disk in ET.fromstring(self.xml(guest)).iterfind("devices/disk"):
            target, boot = disk.find("target"), disk.find("boot")
            assert target is not None
            order = boot.get("order", "") if boot is not None else ""
            found.append((disk.get("device", ""), target.get("dev", ""), disk.findtext("serial", ""), order))
        return found


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    file = tmp_path / "nova.conf"
    file.write_text(f"[DEFAULT]\nhost = node1\nstate_path = {tmp_path}/state\n")
    with image_server(b"") as images:
        return Builder(Environment(options.load([], files=[str(file)])), images)


def test_a_rescued_guest_has_its_own_disk_second(builder: Builder) -> None:
    assert [disk[1:3] for disk in builder.disks(builder.guest())] == [
        ("vda", "rescue"), ("vdb", "root"), ("vdc", "config-2")]


@pytest.mark.parametrize(("properties", "last"), [
    ({"hw_rescue_bus": "virtio"}, ("disk", "vdc", "rescue", "1")),
    ({"hw_rescue_device": "cdrom"}, ("cdrom", "sda", "rescue", "1")),
    ({"hw_rescue_device": "disk", "hw_rescue_bus": "scsi"}, ("disk", "sda", "rescue", "1")),
    ({"hw_rescue_device": "disk", "hw_rescue_bus": "usb"}, ("disk", "sda", "rescue", "1")),
    ({"hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"}, ("cdrom", "sda", "rescue", "1")),
])
def test_a_stable_rescue_leaves_the_guests_own_disks_in_their_place(
    builder: Builder, properties: dict[str, str], last: tuple[str, ...]
) -> None:
    found = builder.disks(builder.guest(**properties))
    assert [disk[1:3] for disk in found[:2]] == [("vda", "root"), ("vdb", "config-2")]
    assert found[2] == last


def test_a_rescue_has_a_config_drive_of_its_own_if_there_is_one(builder: Builder) -> None:
    guest = builder.guest()
    assert "disk.config.rescue" not in builder.xml(guest)
    (builder.env.make_directory(SERVER) / "disk.config.rescue").touch()
    assert "disk.config.rescue" in builder.xml(guest)
    assert "disk.config.rescue" not in builder.xml(dataclasses.replace(guest, rescue=None))


def test_disks_have_files_serials_and_buses_of_their_own(builder: Builder) -> None:
    blank = GuestDisk(source=DiskSource.BLANK, size_mb=64)
    disks = (*guest_disk.of_flavor(root_gb=1, ephemeral_gb=1, swap_mb=64), blank, dataclasses.replace(blank, bus="scsi"))
    guest = dataclasses.replace(builder.guest(), rescue=None, config_drive=False, disks=disks)
    assert [disk[1:3] for disk in builder.disks(guest)] == [
        ("vda", "root"), ("vdb", "ephemeral0"), ("vdc", "swap0"), ("vdd", "ephemeral1"), ("sda", "ephemeral2")]
    text = builder.xml(guest)
    assert all(f"{SERVER}/{name}" in text for name in ("disk\"", "disk.eph0", "disk.swap", "disk.eph1", "disk.eph2"))


def test_a_volume_that_is_not_connected_is_refused(builder: Builder) -> None:
    guest = dataclasses.replace(builder.guest(), disks=(GuestDisk(source=DiskSource.VOLUME, size_mb=64, boot_index=0),))
    with pytest.raises(ValueError, match="volume"):
        builder.xml(guest)
