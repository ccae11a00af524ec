# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a volume in a directory of the host, while a real guest writes to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nova_lite.rpc.compute import Guest, Image
from nova_lite.rpc.volume import Content, ContentSource, Snapshot, Volume
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection
from nova_lite.volume.driver import LiveSnapshot
from tests.contract.test_volume_driver import export_of, from_snapshot
from tests.support import boot_sector
from tests.support.private_libvirt import missing
from tests.support.volume_pools import Subject, missing_for, pool_of
from tests.system.real.test_compute_worker import Cloud, built, cloud  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}"),
    pytest.mark.skipif(bool(missing_for("directory-qcow2")), reason=f"not here: {missing_for('directory-qcow2')}"),
]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with pool_of("directory-qcow2", tmp_path_factory.mktemp("pool")) as subject:
        yield subject


@pytest.fixture
def root_volume(cloud: Cloud, pool: Subject) -> Volume:  # noqa: F811
    """It boots the boot sector."""
    image = cloud.small_guest().image
    return pool.created(Content(source=ContentSource.IMAGE, id=image.id, image=image))


def booted_from(cloud: Cloud, pool: Subject, volume: Volume) -> Guest:  # noqa: F811
    export = export_of(volume)
    connected = VolumeConnection(
        attachment_id=export.attachment_id, volume_id=volume.volume_id, connection=pool.backend.exports.export(export))
    disk = GuestDisk(source=DiskSource.VOLUME, size_mb=1024, boot_index=0, volume=connected)
    return cloud.guest(image=Image.of_volume({}), disks=(disk,))


def says(pool: Subject, snapshot: Snapshot) -> bytes:
    """What the boot sector has written to the disk, in a volume made from the snapshot."""
    made = pool.created(from_snapshot(snapshot))
    with pool.pool.image_of(made, "raw", is_in_use=False, check=lambda: None) as image:
        image.seek(512)
        return image.read(16)


def test_snapshots_hold_what_a_running_guest_had_written_by_then(cloud: Cloud, pool: Subject, root_volume: Volume) -> None:  # noqa: F811
    snapshots = []
    with built(cloud, booted_from(cloud, pool, root_volume)) as guest:
        for boots in (1, 2, 3):
            assert cloud.says(guest.server_id, boot_sector.says(boots=boots))
            snapshot = pool.snapshot(root_volume)
            assert pool.pool.create_snapshot(snapshot, is_in_use=True) is LiveSnapshot.HYPERVISOR
            cloud.do("snapshot_volume", server_id=guest.server_id, volume_id=root_volume.volume_id)
            snapshots.append(snapshot)
            if boots < 3:
                cloud.libvirt.virsh("reset", guest.server_id)
        assert [says(pool, snapshot)[:7] for snapshot in snapshots] == [b"boots=1", b"boots=2", b"boots=3"]
        cloud.act("stop", guest.server_id)
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=4))
    assert [says(pool, snapshot)[:7] for snapshot in snapshots] == [b"boots=1", b"boots=2", b"boots=3"]


def test_a_snapshot_that_the_hypervisor_did_not_finish_harms_no_volume(cloud: Cloud, pool: Subject, root_volume: Volume) -> None:  # noqa: F811
    """As when the compute worker is down: the guest goes on writing to the file below, and has all of it when it starts again."""
    with built(cloud, booted_from(cloud, pool, root_volume)) as guest:
        assert cloud.says(guest.server_id, boot_sector.says(boots=1))
        abandoned, later = pool.snapshot(root_volume), pool.snapshot(root_volume)
        pool.pool.create_snapshot(abandoned, is_in_use=True)
        pool.pool.delete_snapshot(abandoned)
        cloud.libvirt.virsh("reset", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))
        pool.pool.create_snapshot(later, is_in_use=True)
        cloud.do("snapshot_volume", server_id=guest.server_id, volume_id=root_volume.volume_id)
        cloud.libvirt.virsh("reset", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=3))
        assert says(pool, later)[:7] == b"boots=2"
        cloud.act("stop", guest.server_id)
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=4))
