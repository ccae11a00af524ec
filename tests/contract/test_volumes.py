# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of volumes that come to a guest, grow there and leave it, and of those that it boots from."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, Image
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection
from nova_lite.values.instance_metadata import META_DATA
from nova_lite.worker import commands, image_lock
from tests.contract.test_compute_driver import Subject, _nothing_left, subject  # noqa: F401 - fixtures

GIB = 1 << 30


def volume(directory: Path, *, name: str | None = None, content: bytes = b"", **changes: object) -> GuestDisk:
    """A raw file of one GiB, sparse, as a pool on this host connects it."""
    volume_id = str(uuid.uuid4())
    path = directory / f"volume-{volume_id}"
    path.write_bytes(content)
    os.truncate(path, GIB)
    path.chmod(0o666)
    connection = {"driver_volume_type": "local", "data": {"device_path": str(path), "format": "raw"}}
    connected = VolumeConnection(attachment_id=str(uuid.uuid4()), volume_id=volume_id, connection=connection)
    return dataclasses.replace(
        GuestDisk(source=DiskSource.VOLUME, size_mb=1024, name=name, volume=connected), **changes)  # type: ignore[arg-type]


def ids(disk: GuestDisk) -> tuple[str, str]:
    assert disk.volume is not None
    return disk.volume.volume_id, disk.volume.attachment_id


def with_disk(guest: Guest, disk: GuestDisk) -> Guest:
    return dataclasses.replace(guest, disks=guest_disk.with_volume(guest.disks, disk))


def attached(subject: Subject, guest: Guest) -> set[str]:  # noqa: F811
    return set(subject.driver.volumes.attached().get(guest.server_id, ()))


def test_a_running_guest_gets_a_volume_at_once_and_it_may_be_requested_twice(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    subject.driver.volumes.attach(guest, disk)
    assert attached(subject, guest) == {ids(disk)[0]}
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert attached(subject, guest) == {ids(disk)[0]}
    subject.driver.power.start(with_disk(guest, disk))
    assert attached(subject, guest) == {ids(disk)[0]}


def test_a_guest_that_is_off_gets_and_loses_a_volume(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.volumes.attach(guest, disk)
    assert attached(subject, guest) == {ids(disk)[0]}
    for _ in range(2):
        subject.driver.volumes.detach(guest.server_id, disk, timeout_s=5)
    assert attached(subject, guest) == set()


def test_of_two_volumes_the_one_that_is_meant_leaves(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, one, other = subject.started(), volume(tmp_path, name="/dev/vdc"), volume(tmp_path, name="/dev/vdc")
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.volumes.attach(guest, one)
    subject.driver.volumes.attach(with_disk(guest, one), other)
    subject.driver.volumes.detach(guest.server_id, one, timeout_s=5)
    assert attached(subject, guest) == {ids(other)[0]}


def test_what_a_guest_does_not_have_is_detached_and_resized_already(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    for server_id in (guest.server_id, str(uuid.uuid4())):
        subject.driver.volumes.detach(server_id, disk, timeout_s=5)
        subject.driver.volumes.resize(server_id, disk, size_gb=2)
        subject.driver.volumes.forget(disk)
    assert attached(subject, guest) == set()


def test_a_guest_starts_with_its_volumes_and_its_disks_are_not_theirs(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk = volume(tmp_path)
    guest = with_disk(subject.guest(), disk)
    subject.prepare(guest)
    subject.driver.power.start(guest)
    assert attached(subject, guest) == {ids(disk)[0]}
    subject.driver.guests.destroy(guest.server_id)
    subject.driver.disks.remove(guest.server_id)
    assert (tmp_path / f"volume-{ids(disk)[0]}").stat().st_size == GIB


def copy_of(disk: GuestDisk, directory: Path) -> GuestDisk:
    """The same volume by another connection."""
    target = volume(directory)
    assert target.volume is not None
    return dataclasses.replace(target, volume=dataclasses.replace(target.volume, volume_id=ids(disk)[0]))


def test_a_volume_moves_under_a_running_guest(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path, content=b"precious", name="/dev/vdf")
    subject.driver.volumes.attach(guest, disk)
    guest, moved = with_disk(guest, disk), copy_of(disk, tmp_path)
    for _ in range(2):
        subject.driver.volumes.copy(guest, disk, moved, check=lambda: None)
    for _ in range(2):
        subject.driver.volumes.pivot(guest, disk, moved)
    subject.driver.volumes.copy(guest, disk, moved, check=lambda: None)
    assert attached(subject, guest) == {ids(disk)[0]}
    if isinstance(subject.driver, LibvirtDriver):
        assert moved.volume is not None
        path = Path(moved.volume.data["device_path"])
        assert (image_lock.is_held(path), image_lock.is_held(tmp_path / f"volume-{ids(disk)[0]}")) == (True, False)
        with path.open("rb") as stream:
            assert stream.read(8) == b"precious"
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert attached(subject, guest) == {ids(disk)[0]}


def test_a_copy_that_is_given_up_leaves_the_guest_its_volume(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    guest, moved = with_disk(guest, disk), copy_of(disk, tmp_path)

    def give_up() -> None:
        raise errors.StaleRequest(id=guest.server_id, fence=1, known=2)

    if isinstance(subject.driver, LibvirtDriver):
        subject.driver.volumes.copy(guest, disk, moved, check=lambda: None)
        subject.driver.volumes.copy(guest, disk, disk, check=lambda: None)
        with pytest.raises(errors.HypervisorFailed, match="no complete copy"):
            subject.driver.volumes.pivot(guest, disk, moved)
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    with pytest.raises(errors.NovaLiteError):
        subject.driver.volumes.copy(guest, disk, moved, check=give_up)
    assert attached(subject, guest) == {ids(disk)[0]}


@pytest.mark.parametrize("bus", ["virtio", "scsi", "usb", "sata", "ide"])
def test_a_guest_starts_with_volumes_on_each_bus(subject: Subject, tmp_path: Path, bus: str) -> None:  # noqa: F811
    disks = [volume(tmp_path, bus=bus, name=f"/dev/sd{letter}") for letter in "cb"]
    guest = with_disk(with_disk(subject.guest(), disks[0]), disks[1])
    subject.prepare(guest)
    subject.driver.power.start(guest)
    assert attached(subject, guest) == {ids(disk)[0] for disk in disks}


@pytest.mark.parametrize("bus", ["virtio", "scsi"])
def test_a_running_guest_that_has_the_bus_gets_many_volumes_on_it(subject: Subject, tmp_path: Path, bus: str) -> None:  # noqa: F811
    plain = subject.guest()
    guest = dataclasses.replace(plain, image=dataclasses.replace(plain.image, properties={"hw_disk_bus": bus}))
    subject.prepare(guest)
    subject.driver.power.start(guest)
    disks = [volume(tmp_path) for _ in range(9)]
    for disk in disks:
        subject.driver.volumes.attach(guest, disk)
        guest = with_disk(guest, disk)
    assert attached(subject, guest) == {ids(disk)[0] for disk in disks}
    subject.driver.power.reboot_hard(guest)
    assert attached(subject, guest) == {ids(disk)[0] for disk in disks}


def test_a_guest_without_a_scsi_controller_gets_the_one_of_its_next_start(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path, bus="scsi")
    subject.driver.volumes.attach(guest, disk)
    assert attached(subject, guest) == {ids(disk)[0]}
    if isinstance(subject.driver, LibvirtDriver):
        place = subject.driver.guests.placement(guest).disks[ids(disk)[0]]
        described = subject.driver.domains.run("read", lambda conn: conn.lookupByUUIDString(guest.server_id).XMLDesc())
        assert (place.bus, place.address, "lsilogic" in described) == ("scsi", "0:0:0:0", False)


def test_two_guests_share_a_volume_that_allows_it(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk = volume(tmp_path)
    assert disk.volume is not None
    guests = [subject.started(), subject.started()]
    for guest in guests:
        mine = dataclasses.replace(disk.volume, attachment_id=str(uuid.uuid4()), is_shared=True)
        subject.driver.volumes.attach(guest, dataclasses.replace(disk, volume=mine))
    assert [attached(subject, guest) for guest in guests] == [{ids(disk)[0]}] * 2


def test_a_paused_guest_keeps_its_volume_and_its_user_reads_why(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    subject.driver.power.pause(guest.server_id)
    with pytest.raises(errors.HypervisorFailed, match="is paused"):
        subject.driver.volumes.detach(guest.server_id, disk, timeout_s=60)
    assert attached(subject, guest) == {ids(disk)[0]}


def test_a_guest_that_is_resumed_has_its_volumes(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    subject.driver.power.suspend(guest.server_id)
    subject.driver.power.resume(with_disk(guest, disk))
    assert attached(subject, guest) == {ids(disk)[0]}


def test_a_suspended_guest_loses_a_volume_only_with_its_memory(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    """The API allows neither attach nor detach then."""
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    subject.driver.power.suspend(guest.server_id)
    subject.driver.volumes.detach(guest.server_id, disk, timeout_s=5)
    subject.driver.power.reboot_hard(guest)
    assert attached(subject, guest) == set()


def from_volume(subject: Subject, disk: GuestDisk) -> Guest:  # noqa: F811
    """A guest that boots it, and has no image that could be fetched."""
    return dataclasses.replace(
        subject.guest(), image=Image.of_volume({"hw_disk_bus": "virtio"}), disks=(dataclasses.replace(disk, boot_index=0),))


def test_a_guest_boots_from_a_volume_without_an_image(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest = from_volume(subject, volume(tmp_path, name="/dev/vda"))
    subject.prepare(guest)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING
    assert attached(subject, guest) == {ids(guest.disks[0])[0]}


def test_a_guest_that_boots_from_a_volume_is_resized_and_reverted(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest = from_volume(subject, volume(tmp_path))
    subject.prepare(guest)
    subject.driver.guests.define(guest)
    subject.driver.disks.set_aside(guest.server_id)
    larger = dataclasses.replace(guest, ram_mb=192)
    subject.driver.disks.resize(larger)
    subject.driver.power.start(larger)
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.disks.restore(guest)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_guest_that_boots_from_a_volume_is_rescued_from_an_image(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest = from_volume(subject, volume(tmp_path, name="/dev/vda"))
    subject.prepare(guest)
    image = subject.images.image(disk_format="raw")
    rescued = dataclasses.replace(guest, rescue=dataclasses.replace(image, properties={"hw_rescue_bus": "virtio"}))
    subject.driver.images.cache(image)
    subject.driver.disks.make_rescue(rescued)
    subject.driver.power.reboot_hard(rescued)
    assert attached(subject, guest) == {ids(guest.disks[0])[0]}
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_the_root_disk_of_a_guest_that_boots_from_a_volume_is_not_copied(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest = from_volume(subject, volume(tmp_path))
    subject.prepare(guest)
    subject.driver.guests.define(guest)
    with pytest.raises(errors.HypervisorFailed, match="boots from a volume"):
        subject.driver.snapshots.take(guest, "snapshot", check=lambda: None)


def test_the_place_of_a_volume_in_the_guest_is_known(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk = volume(tmp_path)
    guest = with_disk(subject.guest(), disk)
    subject.prepare(guest)
    subject.driver.guests.define(guest)
    place = subject.driver.guests.placement(guest).disks[ids(disk)[0]]
    assert (place.bus, place.address.count(":")) == ("pci", 2)


def test_a_config_drive_says_where_a_tagged_volume_is(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk = volume(tmp_path, name="/dev/vdb", tag="data")
    devices = [{"type": "disk", "bus": "none", "address": "none", "serial": ids(disk)[0], "tags": ["data"]}]
    guest = dataclasses.replace(with_disk(subject.guest(), disk), documents={META_DATA: json.dumps({"devices": devices})})
    subject.prepare(guest)
    if isinstance(subject.driver, LibvirtDriver):
        drive = subject.instances / guest.server_id / "disk.config"
        printed = commands.run(["isoinfo", "-R", "-i", str(drive), "-x", f"/{META_DATA}"], timeout_s=10)
        place = subject.driver.guests.placement(guest).disks[ids(disk)[0]]
        assert json.loads(printed)["devices"] == [{**devices[0], "bus": "pci", "address": place.address, "path": "/dev/vdb"}]


def test_a_running_guest_sees_that_its_volume_has_grown(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    guest, disk = subject.started(), volume(tmp_path)
    subject.driver.volumes.attach(guest, disk)
    os.truncate(tmp_path / f"volume-{ids(disk)[0]}", 2 * GIB)
    for _ in range(2):
        subject.driver.volumes.resize(guest.server_id, disk, size_gb=2)
    subject.driver.volumes.resize(guest.server_id, disk, size_gb=1)  # of an older request: nothing is cut
    if isinstance(subject.driver, LibvirtDriver):
        assert (tmp_path / f"volume-{ids(disk)[0]}").stat().st_size == 2 * GIB
    assert attached(subject, guest) == {ids(disk)[0]}


def qcow2(directory: Path) -> tuple[GuestDisk, Path]:
    """A volume in a file that none but the QEMU that has it open may change."""
    disk = volume(directory)
    assert disk.volume is not None
    path = directory / "volume.qcow2"
    make_qcow2(path)
    connection = {"driver_volume_type": "local", "data": {"device_path": str(path), "format": "qcow2"}}
    return dataclasses.replace(disk, volume=dataclasses.replace(disk.volume, connection=connection)), path


def make_qcow2(path: Path, *below: str) -> None:
    commands.run(["qemu-img", "create", "-q", "-f", "qcow2", *below, str(path), "1G"], timeout_s=10)
    path.chmod(0o666)


def test_a_volume_in_use_grows_by_the_guests_hypervisor_where_only_it_can(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk, path = qcow2(tmp_path)
    guest = subject.started()
    subject.driver.volumes.attach(guest, disk)
    subject.driver.volumes.resize(guest.server_id, disk, size_gb=2)
    if isinstance(subject.driver, LibvirtDriver):
        assert "virtual size: 2 GiB" in commands.run(["qemu-img", "info", "-U", str(path)], timeout_s=10)


def freeze(path: Path, base: Path) -> None:
    """As a pool does: the file is the base from now on, and an overlay on it is the volume."""
    os.link(path, base)
    fresh = path.with_suffix(".fresh")
    make_qcow2(fresh, "-u", "-F", "qcow2", "-b", base.name)
    fresh.rename(path)


def test_a_guest_writes_to_what_its_volume_has_become(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    disk, path = qcow2(tmp_path)
    guest = subject.started()
    subject.driver.volumes.attach(guest, disk)
    changed = with_disk(guest, disk)
    for number in range(2):
        freeze(path, tmp_path / f"base{number}")
        for _ in range(2):
            subject.driver.volumes.snapshot(changed, disk)
        if isinstance(subject.driver, LibvirtDriver):
            assert image_lock.is_held(path)
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.volumes.snapshot(changed, disk)
    subject.driver.power.start(changed)
    if isinstance(subject.driver, LibvirtDriver):
        assert image_lock.is_held(path)
        with pytest.raises(errors.HypervisorFailed, match="is no qcow2 file of this host"):
            subject.driver.volumes.snapshot(changed, far())
    subject.driver.volumes.detach(str(uuid.uuid4()), disk, timeout_s=5)
    assert attached(subject, guest) == {ids(disk)[0]}


def far() -> GuestDisk:
    """A volume of another host."""
    connected = VolumeConnection(attachment_id="a", volume_id="v", connection={"driver_volume_type": "iscsi", "data": {}})
    return GuestDisk(source=DiskSource.VOLUME, size_mb=1024, volume=connected)


def test_a_connection_that_no_host_here_has_is_refused_with_the_reason(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    if not isinstance(subject.driver, LibvirtDriver):
        pytest.skip("simulated guests reach everything")
    guest, disk = subject.started(), volume(tmp_path)
    assert disk.volume is not None
    strange = dataclasses.replace(disk, volume=dataclasses.replace(disk.volume, connection={"driver_volume_type": "fibre_channel", "data": {}}))
    with pytest.raises(errors.HypervisorFailed, match="fibre_channel; possible here: iscsi, local, nfs, rbd"):
        subject.driver.volumes.attach(guest, strange)
