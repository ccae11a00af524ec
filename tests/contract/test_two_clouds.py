# SPDX-License-Identifier: Apache-2.0
"""Two clouds whose workers use one libvirt, and guests that release 0.1 left on it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from tests.contract.test_compute_driver import DISK, _conf
from tests.support.guests import ImageServer, guest_of, image_server
from tests.support.private_libvirt import PrivateLibvirt, missing, private_libvirt

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")
# The first server of every cloud.
NAME = "instance-00000001"


@dataclasses.dataclass
class Cloud:
    """One cloud's driver."""

    driver: LibvirtDriver
    images: ImageServer

    def guest(self, server_id: str | None = None) -> Guest:
        guest = guest_of(self.images.image(disk_format="raw"), server_id=server_id or str(uuid.uuid4()), host="node1")
        return dataclasses.replace(guest, instance_name=NAME, config_drive=False)

    def start(self, guest: Guest) -> None:
        self.prepare(guest)
        self.driver.power.start(guest)

    def prepare(self, guest: Guest) -> None:
        self.driver.images.fetch(guest, check=lambda: None)
        self.driver.disks.make(guest)


@pytest.fixture(scope="module")
def libvirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateLibvirt]:
    with private_libvirt(tmp_path_factory.mktemp("libvirt")) as daemons:
        yield daemons


@pytest.fixture
def clouds(libvirt: PrivateLibvirt, tmp_path: Path) -> Iterator[list[Cloud]]:
    made = []
    with image_server(DISK) as images:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            driver = LibvirtDriver(_conf(tmp_path / name, f"[libvirt]\nconnection_uri = {libvirt.uri}\n"))
            driver.host.open(lambda server_id, power: None)
            made.append(Cloud(driver, images))
        yield made
        for cloud in made:
            for server_id in cloud.driver.guests.list_ours():
                cloud.driver.guests.destroy(server_id)
            cloud.driver.host.close()


def test_servers_of_two_clouds_with_one_instance_name_run_side_by_side(clouds: list[Cloud]) -> None:
    guests = [cloud.guest() for cloud in clouds]
    for cloud, guest in zip(clouds, guests, strict=True):
        cloud.start(guest)
    for cloud, guest in zip(clouds, guests, strict=True):
        assert cloud.driver.guests.list_ours() == {guest.server_id: Power.RUNNING}
    clouds[0].driver.guests.destroy(guests[0].server_id)
    assert clouds[1].driver.power.state(guests[1].server_id) is Power.RUNNING


def test_a_domain_of_another_cloud_is_left_alone_though_its_uuid_is_the_servers(clouds: list[Cloud]) -> None:
    """As when the second cloud's database is a copy of the first's."""
    owner, copy = clouds
    guest = owner.guest()
    owner.start(guest)
    copy.prepare(guest)
    for refused in (
        lambda: copy.driver.power.start(guest), lambda: copy.driver.power.stop(guest.server_id, timeout_s=0),
        lambda: copy.driver.power.reboot_hard(guest), lambda: copy.driver.guests.define(guest),
        lambda: copy.driver.power.state(guest.server_id),
    ):
        with pytest.raises(errors.HypervisorFailed, match="belongs to node1:"):
            refused()
    copy.driver.guests.destroy(guest.server_id)
    copy.driver.disks.remove(guest.server_id)
    assert owner.driver.power.state(guest.server_id) is Power.RUNNING
    owner.driver.power.reboot_hard(guest)


def test_a_worker_with_another_name_removes_neither_guest_nor_disks(clouds: list[Cloud], libvirt: PrivateLibvirt, tmp_path: Path) -> None:
    guest = clouds[0].guest()
    clouds[0].start(guest)
    renamed = LibvirtDriver(_conf(tmp_path / "first", f"host = node2\n[libvirt]\nconnection_uri = {libvirt.uri}\n"))
    renamed.host.open(lambda server_id, power: None)
    try:
        with pytest.raises(errors.HypervisorFailed, match="belongs to node1:"):
            renamed.guests.destroy(guest.server_id)
    finally:
        renamed.host.close()
    clouds[0].driver.power.reboot_hard(guest)


def test_a_domain_that_is_no_clouds_is_left_alone(clouds: list[Cloud], libvirt: PrivateLibvirt, tmp_path: Path) -> None:
    """An operator's own guest has the name and even the UUID."""
    guest = clouds[0].guest()
    description = tmp_path / "domain.xml"
    description.write_text(
        f"<domain type='qemu'><name>{NAME}</name><uuid>{guest.server_id}</uuid><memory unit='MiB'>32</memory>"
        "<os><type>hvm</type></os></domain>")
    libvirt.virsh("define", str(description))
    try:
        assert clouds[0].driver.guests.list_ours() == {}
        clouds[0].driver.guests.destroy(guest.server_id)
        with pytest.raises(errors.HypervisorFailed, match="belongs to something else"):
            clouds[0].driver.guests.define(guest)
        clouds[0].start(clouds[0].guest())  # of the same name
        assert NAME in (libvirt.virsh("list", "--all", "--name") or "").split()
    finally:
        libvirt.virsh("undefine", guest.server_id)


@pytest.mark.parametrize("is_on", [True, False])
def test_a_guest_of_release_0_1_keeps_its_name_and_is_found(
    clouds: list[Cloud], libvirt: PrivateLibvirt, tmp_path: Path, *, is_on: bool
) -> None:
    cloud = clouds[0]
    guest = cloud.guest()
    cloud.prepare(guest)
    description = tmp_path / "domain.xml"
    description.write_text(cloud.driver.builder.xml(guest, name=NAME))  # as that release named domains
    libvirt.virsh("define", str(description))
    if is_on:
        libvirt.virsh("start", guest.server_id)
    assert cloud.driver.guests.list_ours() == {guest.server_id: Power.RUNNING if is_on else Power.SHUTDOWN}
    cloud.driver.power.start(guest)
    cloud.driver.power.reboot_hard(guest)
    assert cloud.driver.power.state(guest.server_id) is Power.RUNNING
    assert (libvirt.virsh("list", "--name") or "").split() == [NAME]
    clouds[1].start(clouds[1].guest())
