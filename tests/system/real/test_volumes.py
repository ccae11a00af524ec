# SPDX-License-Identifier: Apache-2.0
"""Volumes of real guests, over iSCSI and as files: seen, written, grown and released by the guest, and their storage going away."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.storage import volume_check
from nova_lite.context import Context
from nova_lite.rpc.compute import Guest, Image
from nova_lite.rpc.conductor import Outcome
from nova_lite.rpc.order import Order
from nova_lite.values.guest_disk import GuestDisk
from tests.contract.test_volumes import ids, volume
from tests.support import boot_sector
from tests.support.iscsi_target import IscsiTarget, is_missing, iscsi_target
from tests.support.private_libvirt import missing
from tests.system.real.test_compute_worker import Cloud, built, cloud, server, small, soon, typed  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}"),
    pytest.mark.skipif(is_missing(), reason="not here: tgtd"),
]
GIB = 1 << 30


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IscsiTarget]:
    with iscsi_target(tmp_path_factory.mktemp("target") / "pool") as made:
        yield made


def replaced(disk: GuestDisk, **data: object) -> GuestDisk:
    """The volume with another connection."""
    assert disk.volume is not None
    connection = {**disk.volume.connection, "data": {**disk.volume.data, **data}}
    return dataclasses.replace(disk, volume=dataclasses.replace(disk.volume, connection=connection))


def shell(cloud: Cloud, server_id: str, command: str) -> str:  # noqa: F811
    """What the command prints in the Linux guest, on one line."""
    mark = uuid.uuid4().hex[:6]
    pattern = re.compile(rf"{mark}-begin(.*?){mark}-end", re.DOTALL)

    def printed() -> str | None:
        found = [match for match in pattern.findall(cloud.console(server_id)) if "echo" not in match]
        return found[-1] if found else None

    with typed(cloud, server_id, f"\nB=begin E=end; echo {mark}-$B $({command} 2>&1) {mark}-$E\n"):
        assert soon(printed, limit_s=100)
    return " ".join((printed() or "").split())


def is_seen(cloud: Cloud, server_id: str, disk: GuestDisk) -> bool:  # noqa: F811
    """Whether the guest lists the volume by the serial number that virtio shows."""
    return ids(disk)[0][:20] in shell(cloud, server_id, "cat /sys/block/*/serial")


def from_volume(cloud: Cloud, disk: GuestDisk) -> Guest:  # noqa: F811
    return cloud.guest(image=Image.of_volume({}), disks=(disk,))


@contextlib.contextmanager
def booted(cloud: Cloud, target: IscsiTarget) -> Iterator[tuple[Guest, GuestDisk]]:  # noqa: F811
    """A guest whose one disk is a volume over iSCSI, with a boot sector."""
    disk = target.volume(content=boot_sector.disk(), name="/dev/vda", boot_index=0)
    with built(cloud, from_volume(cloud, disk)) as guest:
        assert cloud.says(guest.server_id, boot_sector.says(boots=1))
        yield guest, disk


def test_a_guest_sees_writes_outgrows_and_releases_a_volume(cloud: Cloud, server: Guest, target: IscsiTarget, tmp_path: Path) -> None:  # noqa: F811
    name, far, near = server.server_id, target.volume(name="/dev/vdc"), volume(tmp_path, name="/dev/vdd")
    assert cloud.says(name, "READY web")
    assert cloud.says(name, "built-in shell")
    for disk in (far, near):
        cloud.do("attach_volume", server_id=name, disk=disk)
        assert soon(functools.partial(is_seen, cloud, name, disk), limit_s=60)
    device = f"$(dirname $(grep -l {ids(far)[0][:20]} /sys/block/*/serial) | sed s,/sys/block,/dev,)"
    assert "ok" in shell(cloud, name, f"echo written-by-guest | dd of={device} bs=512 count=1 conv=sync; sync; echo ok")
    with target.file(ids(far)[0]).open("rb") as stream:
        assert stream.read(16) == b"written-by-guest"[:16]
    os.truncate(tmp_path / f"volume-{ids(near)[0]}", 2 * GIB)
    cloud.do("resize_volume", server_id=name, volume_id=ids(near)[0], size_gb=2)
    grown = f"cat $(dirname $(grep -l {ids(near)[0][:20]} /sys/block/*/serial))/size"
    assert soon(lambda: str(2 * GIB // 512) in shell(cloud, name, grown), limit_s=60)
    for disk in (far, near):
        cloud.do("detach_volume", server_id=name, attachment_id=ids(disk)[1])
        assert not is_seen(cloud, name, disk)
    assert ids(far)[1] not in (cloud.libvirt.virsh("secret-list") or "")


def test_a_guest_boots_from_a_volume_and_keeps_what_it_wrote(cloud: Cloud, target: IscsiTarget) -> None:  # noqa: F811
    with booted(cloud, target) as (guest, disk):
        cloud.act("stop", guest.server_id)
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))
    with target.file(ids(disk)[0]).open("rb") as stream:
        assert boot_sector.says(boots=2).encode() in stream.read(4096)


def test_volumes_are_there_again_after_libvirtd_lost_their_secrets(cloud: Cloud, target: IscsiTarget) -> None:  # noqa: F811
    with booted(cloud, target) as (guest, _):
        second = target.volume()
        cloud.libvirt.kill9()
        cloud.libvirt.start()
        cloud.do("attach_volume", server_id=guest.server_id, disk=second)
        cloud.act("stop", guest.server_id)
        cloud.libvirt.kill9()
        cloud.libvirt.start()
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))
        assert ids(second)[0] in (cloud.libvirt.virsh("dumpxml", guest.server_id) or "")
        cloud.do("detach_volume", server_id=guest.server_id, attachment_id=ids(second)[1])


def test_a_guest_without_a_system_keeps_a_volume_and_its_user_reads_why(cloud: Cloud, target: IscsiTarget, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(cloud.service.host, "detach_timeout_s", 3.0)
    with built(cloud, from_volume(cloud, target.volume(boot_index=0))) as guest:
        second = target.volume()
        cloud.do("attach_volume", server_id=guest.server_id, disk=second)
        with pytest.raises(errors.WorkerError, match="did not release it within 3 s, as one does that is still in its firmware"):
            cloud.do("detach_volume", server_id=guest.server_id, attachment_id=ids(second)[1])
        assert ids(second)[0] in (cloud.libvirt.virsh("dumpxml", guest.server_id) or "")
        cloud.act("stop", guest.server_id)
        cloud.do("detach_volume", server_id=guest.server_id, attachment_id=ids(second)[1])
        assert ids(second)[0] not in (cloud.libvirt.virsh("dumpxml", guest.server_id) or "")


def test_a_wrong_password_is_refused_and_leaves_the_guest_alone(cloud: Cloud, small: Guest, target: IscsiTarget) -> None:  # noqa: F811
    wrong = replaced(target.volume(), auth_password="something else")  # no secret
    with pytest.raises(errors.WorkerError, match="(?i)authentication failure"):
        cloud.do("attach_volume", server_id=small.server_id, disk=wrong)
    assert ids(wrong)[0] not in (cloud.libvirt.virsh("dumpxml", small.server_id) or "")
    record = cloud.service.host.records.get(small.server_id)
    assert record is not None
    assert record.guest.disks == small.disks


@pytest.mark.timed
def test_storage_that_does_not_answer_does_not_stop_the_guest(
    cloud: Cloud, small: Guest, target: IscsiTarget, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setattr(volume_check, "_ANSWER_S", 2.0)
    with socket.socket() as silent:  # connections are made, and nothing comes
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        disk = replaced(target.volume(), target_portal=f"127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(errors.WorkerError, match=f"reach volume {ids(disk)[0]}"):
            cloud.do("attach_volume", server_id=small.server_id, disk=disk)
        assert time.monotonic() - began < 20
    began = time.monotonic()
    assert cloud.libvirt.virsh("qemu-monitor-command", small.server_id, "--hmp", "info status")
    assert time.monotonic() - began < 5


def test_a_guest_does_not_start_while_its_storage_is_away(cloud: Cloud, target: IscsiTarget) -> None:  # noqa: F811
    with booted(cloud, target) as (guest, disk):
        cloud.act("stop", guest.server_id)
        target.stop()
        with pytest.raises(errors.WorkerError, match=f"reach volume {ids(disk)[0]}"):
            cloud.act("start", guest.server_id)
        target.start()
        target.export(disk)
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))


def test_a_guest_that_its_storage_stopped_goes_on_by_itself(cloud: Cloud, target: IscsiTarget) -> None:  # noqa: F811
    with booted(cloud, target) as (guest, disk):
        target.remove_lun(disk)
        cloud.libvirt.virsh("reset", guest.server_id)  # its firmware reads the disk
        assert soon(lambda: "I/O error" in (cloud.libvirt.virsh("domstate", "--reason", guest.server_id) or ""), limit_s=60)
        target.add_lun(disk)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))


def test_a_volume_moves_to_another_target_under_its_guest(cloud: Cloud, target: IscsiTarget) -> None:  # noqa: F811
    with booted(cloud, target) as (guest, disk):
        empty = target.volume()
        assert empty.volume is not None
        moved = dataclasses.replace(disk, volume=dataclasses.replace(empty.volume, volume_id=ids(disk)[0]))
        cloud.do("swap_volume", server_id=guest.server_id, attachment_id=ids(disk)[1], disk=moved)
        cloud.act("stop", guest.server_id)
        cloud.act("start", guest.server_id)
        assert cloud.says(guest.server_id, boot_sector.says(boots=2))
    with target.file(ids(empty)[0]).open("rb") as stream:
        assert boot_sector.says(boots=2).encode() in stream.read(4096)
    with target.file(ids(disk)[0]).open("rb") as stream:
        assert boot_sector.says(boots=1).encode() in stream.read(4096)


def test_a_server_gets_several_volumes_at_once_while_it_is_stopped(cloud: Cloud, small: Guest, target: IscsiTarget) -> None:  # noqa: F811
    disks = [target.volume(name="/dev/vdb") for _ in range(4)]
    orders = [Order(epoch=1, action=next(cloud.actions)) for _ in disks]
    stop = Order(epoch=1, action=next(cloud.actions))
    cloud.compute.stop(Context(), server_id=small.server_id, order=stop)
    for order, disk in reversed(list(zip(orders, disks, strict=True))):
        cloud.compute.attach_volume(Context(), server_id=small.server_id, order=order, disk=disk)
    wanted = {*orders, stop}
    assert soon(lambda: cloud.conductor.steps.keys() >= wanted, limit_s=100)
    assert {cloud.conductor.steps[order].outcome for order in wanted} == {Outcome.DONE}
    cloud.act("start", small.server_id)
    described = cloud.libvirt.virsh("dumpxml", small.server_id) or ""
    assert [ids(disk)[0] in described for disk in disks] == [True] * 4
