# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of volumes and their attachments, on real libvirt and a directory: each ends as requested.

One real guest, which lets go of disks, gets and loses volumes; the last test deletes it with the one that it boots from, and nothing is left.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support import boot_sector
from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.support.system.own_host import cloud_of_real_guests
from tests.support.system.storage import V3, Storage
from tests.system.sweep.test_crash_sweep import leftovers
from tests.system.sweep.test_crash_sweep_actions import at_rest, console

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

def ends(name: str, *more: str) -> list[str]:
    """After each step, and once it is journaled: before the next one is not another moment, to the worker's `more` points."""
    return [point for point in points(name) if not point.endswith(".before")] + list(more)


def of_step(name: str, key: str) -> list[str]:
    return [point for point in points(name, with_volumes=True) if f".{key}." in point]


ATTACH_POINTS = ends("attach_volume", "volume.export.record", "volume.export.made",
                     *(f"attach_volume.{step}.before" for step in ("record", "guest", "finish")))
DETACH_POINTS = ends("detach_volume", *(f"detach_volume.{step}.before" for step in ("guest", "record", "finish")),
                     "volume.unexport.record", "volume.unexport.removed")
CREATE_POINTS = ends("create_volume", "scheduler.pool_claimed", "volume.create.record", "volume.create.make", "volume.create.made")
DELETE_POINTS = ends("delete_volume", "volume.delete.record", "volume.delete.removed")
EXTEND_POINTS = ends("extend_volume", "volume.extend.before", "volume.extend.after", "resize_volume.guest.before", "resize_volume.record.before")
# Only where the hypervisor has a part in snapshots.
SWITCH_POINTS = ["create_snapshot.switch_guest.after", "snapshot_volume.guest.before", "snapshot_volume.finish.before"]
SNAPSHOT_POINTS = [*(point for point in ends("create_snapshot") if point not in SWITCH_POINTS),
                   "volume.create_snapshot.record", "volume.create_snapshot.made", *SWITCH_POINTS]
UNSNAPSHOT_POINTS = ends("delete_snapshot", "volume.delete_snapshot.record", "volume.delete_snapshot.removed")
BUILD_POINTS = [*of_step("create", "connect_volumes"), *ends("export_attachment")]
END_POINTS = [*of_step("delete", "end_attachments"), *ends("delete_attachment")]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    options = "[conductor]\nreconcile_interval = 1\n[compute]\nshutdown_timeout = 2\n"
    with cloud_of_real_guests(tmp_path_factory.mktemp("volumes"), options=options) as made:
        yield made


@pytest.fixture(scope="module")
def storage(cloud: AllInOne) -> Storage:
    return Storage(cloud)


@pytest.fixture(scope="module")
def network(cloud: AllInOne) -> str:
    return cloud.make_network("sweep", "10.77.0.0/24")


@pytest.fixture(scope="module")
def image(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    return cloud.make_image(boot_sector.disk_file(tmp_path_factory.mktemp("image")), "raw")


@pytest.fixture(scope="module")
def guest(cloud: AllInOne, storage: Storage, network: str, image: str) -> str:
    """A server that lets go of disks, without one of its own."""
    server_id = booted(cloud, "swept", network, image)
    cloud.wait(lambda: boot_sector.says(boots=1) in console(cloud, server_id), "the guest to be up", seconds=90)
    return server_id


@pytest.fixture(scope="module")
def volume(storage: Storage) -> str:
    """An available volume that all tests of attachments use."""
    return storage.made("swept")


def booted(cloud: AllInOne, name: str, network: str, image: str, *, crash_at: str = "") -> str:
    """An active server on a volume made from the image, which goes with it."""
    server_id = cloud.boot(name, image="", network=network, crash_at=crash_at, block_device_mapping_v2=[{
        "boot_index": 0, "uuid": image, "source_type": "image", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}])
    at_rest(cloud, server_id, "ACTIVE")
    return server_id


def agree(storage: Storage, server_id: str, volume_id: str, *, is_attached: bool) -> None:
    """All who know of the volume say the same of it."""
    own = next(one for one in storage.of_server(server_id) if one != volume_id)
    wanted = sorted([own, volume_id]) if is_attached else [own]
    assert storage.of_server(server_id) == storage.in_guest(server_id) == wanted
    assert len(storage.exported()) == len(wanted)


@pytest.mark.parametrize(("attach", "detach"), itertools.zip_longest(ATTACH_POINTS, DETACH_POINTS))
def test_an_attach_and_a_detach_that_are_killed_end_as_requested(
    cloud: AllInOne, storage: Storage, guest: str, volume: str, attach: str | None, detach: str | None
) -> None:
    storage.attach(guest, volume, crash_at=attach)
    storage.wait_for(volume, "in-use")
    at_rest(cloud, guest, "ACTIVE")
    agree(storage, guest, volume, is_attached=True)
    storage.detach(guest, volume, crash_at=detach)
    storage.wait_for(volume, "available")
    at_rest(cloud, guest, "ACTIVE")
    agree(storage, guest, volume, is_attached=False)


@pytest.mark.parametrize(("create", "delete"), itertools.zip_longest(CREATE_POINTS, DELETE_POINTS))
def test_a_create_and_a_delete_that_are_killed_end_as_requested(storage: Storage, create: str | None, delete: str | None) -> None:
    made = storage.create("short", crash_at=create)
    storage.wait_for(made, "available")
    storage.send("DELETE", f"{V3}/volumes/{made}", crash_at=delete)
    storage.wait_for(made, "gone")


@pytest.mark.parametrize(("number", "point"), enumerate(EXTEND_POINTS, start=2))
def test_a_volume_in_use_whose_extend_is_killed_is_larger(cloud: AllInOne, storage: Storage, guest: str, number: int, point: str) -> None:
    [own] = storage.of_server(guest)
    storage.act(own, "os-extend", {"new_size": number}, crash_at=point)
    cloud.wait(lambda: (storage.status(own), storage.show(own)["size"]) == ("in-use", number), f"the volume to have {number} GiB", seconds=60)
    assert cloud.host is not None
    assert int(cloud.host.run(["virsh", "domblkinfo", guest, "vda"]).stdout.split()[1]) == number << 30


@pytest.mark.parametrize(("create", "delete"), itertools.zip_longest(SNAPSHOT_POINTS, UNSNAPSHOT_POINTS))
def test_snapshots_of_a_volume_in_use_that_are_killed_end_as_requested(
    storage: Storage, guest: str, create: str | None, delete: str | None
) -> None:
    if create in SWITCH_POINTS and storage.shares_blocks():
        pytest.skip("the file system clones files: the hypervisor has no part in snapshots")
    [own] = storage.of_server(guest)
    snapshot = storage.snapshot(own, f"at-{create}", crash_at=create)
    storage.wait_for_snapshot(snapshot, "available")
    assert storage.status(own) == "in-use"
    storage.send("DELETE", f"{V3}/snapshots/{snapshot}", crash_at=delete)
    storage.wait_for_snapshot(snapshot, "gone")


@pytest.mark.parametrize(("build", "delete"), itertools.zip_longest(BUILD_POINTS, END_POINTS))
def test_a_server_on_a_volume_whose_build_and_delete_are_killed_ends_as_requested(
    cloud: AllInOne, storage: Storage, network: str, image: str, build: str | None, delete: str | None
) -> None:
    server_id = booted(cloud, "short", network, image, crash_at=build or "")
    assert [storage.status(one) for one in storage.of_server(server_id)] == ["in-use"]
    assert storage.of_server(server_id) == storage.in_guest(server_id)
    [own] = storage.of_server(server_id)
    storage.send("DELETE", f"/v2.1/servers/{server_id}", crash_at=delete)
    cloud.wait_for_status(server_id, "GONE")
    storage.wait_for(own, "gone")


def test_nothing_is_left_of_all_this(cloud: AllInOne, storage: Storage, guest: str, volume: str) -> None:
    """The last."""
    cloud.request("DELETE", f"{V3}/volumes/{volume}")
    cloud.request("DELETE", f"/v2.1/servers/{guest}")
    cloud.wait_for_status(guest, "GONE")
    cloud.wait(lambda: storage.leftovers() == {}, f"nothing to be left of volumes, but there is {storage.leftovers()}", seconds=30)
    cloud.wait(lambda: leftovers(cloud) == {}, f"nothing to be left, but there is {leftovers(cloud)}", seconds=30)
