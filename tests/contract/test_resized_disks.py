# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of the disks of a guest that is resized."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.worker import commands
from tests.contract.test_compute_driver import Subject, _nothing_left, subject  # noqa: F401 - fixtures


def contents(subject: Subject, guest: Guest) -> dict[str, str]:  # noqa: F811
    """Each file of the guest's disks, by name, as the hash of its bytes; nothing for guests without files."""
    found = sorted((subject.instances / guest.server_id).glob("disk*"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}


def virtual_gb(subject: Subject, guest: Guest, name: str) -> float:  # noqa: F811
    path = subject.instances / guest.server_id / name
    return float(json.loads(commands.run(["qemu-img", "info", "--output=json", str(path)], timeout_s=10))["virtual-size"]) / 2**30


def larger(guest: Guest) -> Guest:
    return dataclasses.replace(guest, vcpus=2, ram_mb=192, disks=guest_disk.of_flavor(root_gb=2, ephemeral_gb=1, swap_mb=64))


def off_with_something_written(subject: Subject) -> Guest:  # noqa: F811
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    disk = subject.instances / guest.server_id / "disk"
    if disk.exists():
        commands.run(["qemu-io", "-c", "write -P 0x5a 64k 128k", str(disk)], timeout_s=10)
    return guest


def resize(subject: Subject, guest: Guest, wanted: Guest) -> None:  # noqa: F811
    for _ in range(2):
        subject.driver.disks.set_aside(guest.server_id)
    for _ in range(2):
        subject.driver.disks.resize(wanted)
    subject.driver.guests.define(wanted)


def test_a_resized_guest_starts_with_its_data_and_more_room(subject: Subject) -> None:  # noqa: F811
    guest = off_with_something_written(subject)
    resize(subject, guest, larger(guest))
    if subject.driver.capabilities.keeps_disks:
        disk = subject.instances / guest.server_id / "disk"
        assert "verification" not in commands.run(["qemu-io", "-r", "-c", "read -P 0x5a 64k 128k", str(disk)], timeout_s=10)
        assert [virtual_gb(subject, guest, name) for name in ("disk", "disk.eph0", "disk.swap")] == [2, 1, 1 / 16]
    subject.driver.power.start(larger(guest))
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize("after", ["set_aside", "resize"])
def test_a_revert_gives_the_old_disks_back_byte_for_byte(subject: Subject, after: str) -> None:  # noqa: F811
    guest = off_with_something_written(subject)
    before = contents(subject, guest)
    subject.driver.disks.set_aside(guest.server_id)
    if after == "resize":
        subject.driver.disks.resize(larger(guest))
        subject.driver.guests.define(larger(guest))
        subject.driver.power.start(larger(guest))
        subject.driver.power.stop(guest.server_id, timeout_s=0)
    for _ in range(2):
        subject.driver.disks.restore(guest)
    assert contents(subject, guest) == before
    assert not list((subject.instances / guest.server_id).glob("before-resize*"))
    subject.driver.guests.define(guest)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_confirmed_resize_leaves_nothing_of_the_old_disks(subject: Subject) -> None:  # noqa: F811
    guest = off_with_something_written(subject)
    resize(subject, guest, larger(guest))
    after = contents(subject, guest)
    for _ in range(2):
        subject.driver.disks.discard(guest.server_id)
    subject.driver.disks.restore(larger(guest))
    assert contents(subject, guest) == after
    assert not list((subject.instances / guest.server_id).glob("before-resize*"))


def test_a_move_of_disks_that_was_cut_off_is_finished_or_taken_back(subject: Subject) -> None:  # noqa: F811
    guest = dataclasses.replace(subject.guest(), disks=guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=64))
    subject.prepare(guest)
    subject.driver.guests.define(guest)
    before = contents(subject, guest)
    where: Path = subject.instances / guest.server_id
    for undo in (False, True):
        if where.exists():
            (where / "before-resize.new").mkdir()
            (where / "disk").rename(where / "before-resize.new" / "disk")
        if not undo:
            subject.driver.disks.set_aside(guest.server_id)
        subject.driver.disks.restore(guest)
        assert contents(subject, guest) == before


def test_a_disk_that_would_shrink_is_refused(subject: Subject) -> None:  # noqa: F811
    guest = off_with_something_written(subject)
    if not subject.driver.capabilities.keeps_disks:
        return
    resize(subject, guest, larger(guest))
    subject.driver.disks.discard(guest.server_id)
    subject.driver.disks.set_aside(guest.server_id)
    with pytest.raises(errors.HypervisorFailed, match="Unable to resize disk down"):
        subject.driver.disks.resize(guest)
