# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of disks that a guest boots from instead of its own."""

from __future__ import annotations

import dataclasses
import uuid
import xml.etree.ElementTree as ET

import pytest

from nova_lite import errors
from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from tests.contract.test_compute_driver import Subject, _nothing_left, subject  # noqa: F401 - fixtures


def rescued(subject: Subject, guest: Guest, **properties: str) -> Guest:  # noqa: F811
    """The guest, restarted from a rescue disk of another image."""
    image = subject.images.image(disk_format="raw", image_id=str(uuid.uuid4()))
    made = dataclasses.replace(guest, rescue=dataclasses.replace(image, properties=properties))
    subject.driver.cache_image(image)
    for _ in range(2):
        subject.driver.make_rescue_disk(made)
    subject.driver.reboot_hard(made)
    assert subject.driver.power_state(guest.server_id) is Power.RUNNING
    return made


def disks(subject: Subject, guest: Guest) -> list[tuple[str, str, str, str]]:  # noqa: F811
    """(device, name, serial, order of boot) of each disk."""
    assert isinstance(subject.driver, LibvirtDriver)
    tree = ET.fromstring(subject.driver.describe(guest))
    found = []
    for disk in tree.iterfind("devices/disk"):
        target, boot = disk.find("target"), disk.find("boot")
        assert target is not None
        order = boot.get("order", "") if boot is not None else ""
        found.append((disk.get("device", ""), target.get("dev", ""), disk.findtext("serial", ""), order))
    return found


def test_a_guest_starts_over_from_new_disks(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.destroy(guest.server_id)
    for _ in range(2):
        subject.driver.clear_disks(guest.server_id, keeps_ephemeral=False)
    subject.prepare(guest)
    subject.driver.start(guest)
    assert subject.driver.power_state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize("keeps_ephemeral", [True, False])
def test_the_ephemeral_disk_is_kept_on_request(subject: Subject, *, keeps_ephemeral: bool) -> None:  # noqa: F811
    guest = dataclasses.replace(subject.guest(), ephemeral_gb=1)
    subject.prepare(guest)
    subject.driver.clear_disks(guest.server_id, keeps_ephemeral=keeps_ephemeral)
    if isinstance(subject.driver, FakeDriver):
        return
    left = sorted(path.name for path in (subject.instances / guest.server_id).glob("disk*"))
    assert left == (["disk.eph0"] if keeps_ephemeral else [])


def test_a_rescued_guest_has_its_own_disk_second_and_comes_back(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    made = rescued(subject, guest)
    if isinstance(subject.driver, LibvirtDriver):
        assert [disk[1:3] for disk in disks(subject, made)] == [("vda", "rescue"), ("vdb", "root"), ("vdc", "config-2")]
    subject.driver.reboot_hard(guest)
    for _ in range(2):
        subject.driver.remove_rescue_disk(guest.server_id)
    assert subject.driver.power_state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize(("properties", "last"), [
    ({"hw_rescue_bus": "virtio"}, ("disk", "vdc", "rescue", "1")),
    ({"hw_rescue_device": "cdrom"}, ("cdrom", "sda", "rescue", "1")),
    ({"hw_rescue_device": "disk", "hw_rescue_bus": "scsi"}, ("disk", "sda", "rescue", "1")),
    ({"hw_rescue_device": "disk", "hw_rescue_bus": "usb"}, ("disk", "sda", "rescue", "1")),
    ({"hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"}, ("cdrom", "sda", "rescue", "1")),
])
def test_a_stable_rescue_leaves_the_guests_own_disks_in_their_place(
    subject: Subject, properties: dict[str, str], last: tuple[str, ...]  # noqa: F811
) -> None:
    guest = subject.started()
    made = rescued(subject, guest, **properties)
    if isinstance(subject.driver, LibvirtDriver):
        found = disks(subject, made)
        assert [disk[1:3] for disk in found[:2]] == [("vda", "root"), ("vdb", "config-2")]
        assert found[2] == last


def test_a_rescue_on_a_bus_that_is_not_there_is_refused(subject: Subject) -> None:  # noqa: F811
    if isinstance(subject.driver, FakeDriver):  # whose guests have any bus
        assert rescued(subject, subject.started(), hw_rescue_device="floppy")
        return
    with pytest.raises(errors.ImageFailed, match="floppy"):
        rescued(subject, subject.started(), hw_rescue_device="floppy")


def test_a_rescue_may_have_a_config_drive_of_its_own(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    made = rescued(subject, guest)
    changed = dataclasses.replace(made, documents={"openstack/latest/meta_data.json": "{}"})
    for _ in range(2):
        subject.driver.make_config_drive(changed)
    subject.driver.reboot_hard(made)
    if isinstance(subject.driver, LibvirtDriver):
        assert "disk.config.rescue" in subject.driver.describe(made)
        assert "disk.config.rescue" not in subject.driver.describe(guest)
    subject.driver.reboot_hard(guest)
    subject.driver.remove_rescue_disk(guest.server_id)
    if isinstance(subject.driver, LibvirtDriver):
        assert not list((subject.instances / guest.server_id).glob("*.rescue"))
