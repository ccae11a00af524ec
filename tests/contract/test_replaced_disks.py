# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of disks that a guest boots from instead of its own."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from nova_lite import errors
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from tests.contract.test_compute_driver import Subject, _nothing_left, subject  # noqa: F401 - fixtures


def rescued(subject: Subject, guest: Guest, **properties: str) -> Guest:  # noqa: F811
    """The guest, restarted from a rescue disk of another image."""
    image = subject.images.image(disk_format="raw", image_id=str(uuid.uuid4()))
    made = dataclasses.replace(guest, rescue=dataclasses.replace(image, properties=properties))
    subject.driver.images.cache(image)
    for _ in range(2):
        subject.driver.disks.make_rescue(made)
    subject.driver.power.reboot_hard(made)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING
    return made


def test_a_guest_starts_over_from_new_disks(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.guests.destroy(guest.server_id)
    for _ in range(2):
        subject.driver.disks.clear(guest.server_id, keeps_ephemeral=False)
    subject.prepare(guest)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize("keeps_ephemeral", [True, False])
def test_the_ephemeral_disk_is_kept_on_request(subject: Subject, *, keeps_ephemeral: bool) -> None:  # noqa: F811
    guest = dataclasses.replace(
        subject.guest(), disks=guest_disk.of_flavor(root_gb=1, ephemeral_gb=1, swap_mb=0))
    subject.prepare(guest)
    subject.driver.disks.clear(guest.server_id, keeps_ephemeral=keeps_ephemeral)
    if not subject.driver.capabilities.keeps_disks:
        return
    left = sorted(path.name for path in (subject.instances / guest.server_id).glob("disk*"))
    assert left == (["disk.eph0"] if keeps_ephemeral else [])


def test_a_rescued_guest_comes_back(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    rescued(subject, guest)
    subject.driver.power.reboot_hard(guest)
    for _ in range(2):
        subject.driver.disks.remove_rescue(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize("properties", [
    {"hw_rescue_bus": "virtio"}, {"hw_rescue_device": "cdrom"}, {"hw_rescue_device": "disk", "hw_rescue_bus": "scsi"},
    {"hw_rescue_device": "disk", "hw_rescue_bus": "usb"}, {"hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"},
])
def test_a_stable_rescue_starts(subject: Subject, properties: dict[str, str]) -> None:  # noqa: F811
    guest = subject.started()
    rescued(subject, guest, **properties)
    subject.driver.power.reboot_hard(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_rescue_on_a_bus_that_is_not_there_is_refused(subject: Subject) -> None:  # noqa: F811
    with pytest.raises(errors.ImageFailed, match="floppy"):
        rescued(subject, subject.started(), hw_rescue_device="floppy")


def test_a_rescue_may_have_a_config_drive_of_its_own(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    made = rescued(subject, guest)
    changed = dataclasses.replace(made, documents={"openstack/latest/meta_data.json": "{}"})
    for _ in range(2):
        subject.driver.disks.make_config_drive(changed)
    subject.driver.power.reboot_hard(made)
    subject.driver.power.reboot_hard(guest)
    subject.driver.disks.remove_rescue(guest.server_id)
    assert not list((subject.instances / guest.server_id).glob("*.rescue"))
