# SPDX-License-Identifier: Apache-2.0
"""A resize on real libvirt as the guest itself sees it, and a worker killed at every step of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from nova_lite import errors
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestSize
from nova_lite.runtime import failpoints
from nova_lite.values import guest_disk
from tests.support import boot_sector
from tests.support.private_libvirt import missing
from tests.system.real.test_compute_worker import Cloud, cloud  # noqa: F401 - the fixture

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")
# Says at each boot what the guest has: processors, MiB of memory in steps of 64, sectors of the disk.
LOOK = """#!/bin/sh
cpus=$(grep -c ^processor /proc/cpuinfo)
ram=$(awk '/MemTotal/ {print int(($2 + 49152) / 65536) * 64}' /proc/meminfo)
echo "SEEN cpus=$cpus ram=$ram sectors=$(cat /sys/block/vda/size)"
"""
SMALL = GuestSize(vcpus=1, ram_mb=128, disks=guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0), extra_specs={})
LARGE = GuestSize(vcpus=2, ram_mb=256, disks=guest_disk.of_flavor(root_gb=2, ephemeral_gb=0, swap_mb=0), extra_specs={})
GIB_SECTORS = 2**21


def looking(cloud: Cloud) -> Guest:  # noqa: F811
    guest = cloud.guest()
    return dataclasses.replace(guest, documents={**guest.documents, "openstack/latest/user_data": LOOK})


def seen(cpus: int, ram: int, disk_gb: int) -> str:
    return f"SEEN cpus={cpus} ram={ram} sectors={disk_gb * GIB_SECTORS}"


def test_the_guest_sees_its_new_size_and_after_a_revert_its_old_one(cloud: Cloud) -> None:  # noqa: F811
    guest = looking(cloud)
    cloud.do("build", guest=guest)
    cloud.service.driver.power.stop(guest.server_id, timeout_s=0)
    cloud.do("prepare_resize", server_id=guest.server_id, resize_id=2)
    power = cloud.do("finish_resize", server_id=guest.server_id, resize_id=2, size=LARGE, is_on=True)
    assert power == Power.RUNNING
    assert cloud.says(guest.server_id, seen(2, 256, 2))
    cloud.do("revert_resize", server_id=guest.server_id, resize_id=2, size=SMALL, is_on=True)
    assert cloud.says(guest.server_id, seen(1, 128, 1))
    cloud.do("destroy", server_id=guest.server_id)
    assert not (cloud.directory / "state" / "instances" / guest.server_id).exists()


def test_a_revert_brings_back_the_disk_as_it_was(cloud: Cloud) -> None:  # noqa: F811
    guest = cloud.small_guest()
    name = guest.server_id
    cloud.do("build", guest=guest)
    assert cloud.says(name, boot_sector.says(boots=1))
    cloud.do("prepare_resize", server_id=name, resize_id=2)
    assert cloud.service.driver.power.state(name) is Power.SHUTDOWN
    cloud.do("finish_resize", server_id=name, resize_id=2, size=LARGE, is_on=True)
    assert cloud.says(name, boot_sector.says(boots=2))
    cloud.do("revert_resize", server_id=name, resize_id=2, size=SMALL, is_on=True)
    # The second boot's mark went with the disk that it was written to.
    assert cloud.says(name, boot_sector.says(boots=2))
    assert cloud.console(name).count("boots=") == 1  # of the log that began with the revert
    cloud.do("destroy", server_id=name)


STEPS = ("resize.record", "resize.stop", "resize.keep_disks", "resize.make_disks", "resize.power", "resize.finish",
         "revert_resize.stop", "revert_resize.restore_disks", "revert_resize.finish",
         "confirm_resize.discard_disks", "confirm_resize.finish")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_cut_off_is_done_when_requested_again(cloud: Cloud, step: str) -> None:  # noqa: F811
    """The guest is off but for the end, so that all steps fit into a test."""
    guest = cloud.small_guest()
    server_id = guest.server_id
    cloud.do("build", guest=guest)
    cloud.service.driver.power.stop(server_id, timeout_s=0)
    failpoints.arm(f"{step}.before=error")
    cut = [stubbornly(call) for call in (
        lambda: cloud.do("prepare_resize", server_id=server_id, resize_id=2),
        lambda: cloud.do("finish_resize", server_id=server_id, resize_id=2, size=LARGE, is_on=False),
        lambda: cloud.do("revert_resize", server_id=server_id, resize_id=2, size=SMALL, is_on=False),
        lambda: cloud.do("prepare_resize", server_id=server_id, resize_id=4),
        lambda: cloud.do("finish_resize", server_id=server_id, resize_id=4, size=LARGE, is_on=True),
        lambda: cloud.do("confirm_resize", server_id=server_id),
    )]
    assert cut.count(True) == 1
    record = cloud.service.host.records.get(server_id)
    assert record is not None
    assert (record.guest.vcpus, guest_disk.root_size_mb(record.guest.disks), record.resized_by, str(record.phase)) == (2, 2048, 0, "built")
    assert cloud.service.driver.power.state(server_id) is Power.RUNNING
    cloud.do("destroy", server_id=server_id)
    assert not (cloud.directory / "state" / "instances" / server_id).exists()


def stubbornly(call: Callable[[], object]) -> bool:
    """Request it until it is done and once more; whether it was cut off at first."""
    is_cut = False
    try:
        call()
    except errors.WorkerError:
        is_cut = True
        failpoints.arm("")
    call()
    call()
    return is_cut
