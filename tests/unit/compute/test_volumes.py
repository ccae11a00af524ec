# SPDX-License-Identifier: Apache-2.0
"""Volumes of a guest as a worker attaches and detaches them: each attachment in an order of its own, and with its record."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.compute.audit import VOLUME_NOT_ATTACHED, Audit
from nova_lite.compute.operations.rebuild import Rebuild
from nova_lite.compute.operations.resize import Resize
from nova_lite.compute.operations.soft_delete import SoftDelete
from nova_lite.compute.operations.volumes import Volumes
from nova_lite.compute.records import _PAST_SUBJECTS, Records
from nova_lite.compute.recovery import Recovery
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import GuestSize, RebootType
from nova_lite.runtime import failpoints
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection
from tests.support.wait import wait_until
from tests.unit.compute.conftest import SERVER, Worker, at, make_guest, make_worker


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    failpoints.arm("")


def volume(number: int, *, attachment: str | None = None, password: str = "s3cret") -> GuestDisk:
    connection = {"driver_volume_type": "fake", "data": {"auth_password": password}}
    return GuestDisk(source=DiskSource.VOLUME, size_mb=1024, name=f"/dev/vd{'abcdefgh'[number % 8]}", volume=VolumeConnection(
        attachment_id=attachment or f"attachment-{number}", volume_id=f"volume-{number}", connection=connection))


@pytest.fixture
def built(worker: Worker) -> Worker:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    worker.listener.done.clear()
    return worker


def attach(worker: Worker, action: int, number: int, **changes: str) -> None:
    Volumes(worker.host).attach_volume(worker.ctxt, server_id=SERVER, order=at(action), disk=volume(number, **changes))


def detach(worker: Worker, action: int, number: int) -> None:
    Volumes(worker.host).detach_volume(worker.ctxt, server_id=SERVER, order=at(action), attachment_id=f"attachment-{number}")


def recorded(worker: Worker) -> list[str]:
    record = worker.records.get(SERVER)
    assert record is not None
    return sorted(guest_disk.volumes(record.guest.disks))


def has(worker: Worker) -> set[str]:
    return set(worker.driver.volumes.attached()[SERVER])


def test_a_volume_comes_and_goes_with_its_record(built: Worker) -> None:
    attach(built, 2, 1)
    assert (recorded(built), has(built)) == (["attachment-1"], {"volume-1"})
    detach(built, 3, 1)
    assert (recorded(built), has(built)) == ([], set())
    assert [done[:2] for done in built.listener.done] == [(SERVER, 2), (SERVER, 3)]


def test_attachments_are_done_in_whatever_order_they_come(built: Worker) -> None:
    for action, number in ((5, 1), (3, 2), (4, 3)):
        attach(built, action, number)
    assert recorded(built) == ["attachment-1", "attachment-2", "attachment-3"]


def test_a_later_action_of_the_server_leaves_an_attachment_to_come(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(9))
    attach(built, 3, 1)
    assert recorded(built) == ["attachment-1"]
    with pytest.raises(errors.StaleRequest):
        built.power.start(built.ctxt, server_id=SERVER, order=at(4))
    built.power.start(built.ctxt, server_id=SERVER, order=at(10))
    assert has(built) == {"volume-1"}


def test_an_attachment_makes_no_action_of_the_server_late(built: Worker) -> None:
    attach(built, 9, 1)
    built.power.stop(built.ctxt, server_id=SERVER, order=at(3))
    assert built.driver.power.state(SERVER) is Power.SHUTDOWN


def test_a_late_attach_does_not_bring_back_a_detached_volume(built: Worker, tmp_path: Path) -> None:
    attach(built, 2, 1)
    detach(built, 3, 1)
    with pytest.raises(errors.StaleRequest):
        attach(built, 2, 1)
    assert built.listener.stale[0].known == at(3)
    after = make_worker(tmp_path / "state")
    with pytest.raises(errors.StaleRequest):
        attach(after, 2, 1)
    assert recorded(after) == []


def test_a_cast_that_comes_twice_is_done_once_and_reported_twice(built: Worker) -> None:
    attach(built, 2, 1)
    with pytest.raises(errors.StaleRequest):
        attach(built, 2, 1)
    assert [done[1] for done in built.listener.done] == [2, 2]


def test_a_destroy_ends_attachments_that_come_late(built: Worker) -> None:
    built.build.destroy(built.ctxt, server_id=SERVER, order=at(9))
    with pytest.raises(errors.StaleRequest):
        attach(built, 3, 1)
    assert built.listener.stale[0].known == at(9)


def test_a_destroy_wins_over_attachments_that_wait_for_the_guest(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, end = threading.Event(), built.driver.guests.destroy

    def destroy(server_id: str) -> None:
        ended.set()
        end(server_id)

    monkeypatch.setattr(built.driver.guests, "destroy", destroy)
    monkeypatch.setattr(built.driver.volumes, "attach", lambda guest, disk: ended.wait(30))
    with futures.ThreadPoolExecutor(2) as threads:
        first = threads.submit(attach, built, 3, 1)
        wait_until(lambda: recorded(built) == ["attachment-1"], "the first attachment to be at work")
        second = threads.submit(attach, built, 4, 2)
        wait_until(lambda: len(built.host.underway.among((at(3), at(4)))) == 2, "the second one to wait")
        built.build.destroy(built.ctxt, server_id=SERVER, order=at(9))
        first.exception(timeout=30)
        assert isinstance(second.exception(timeout=30), errors.StaleRequest)
    assert built.records.get(SERVER) is None


def test_an_attachment_of_the_time_before_the_guest_was_built_here_is_late(worker: Worker) -> None:
    worker.build.build(worker.ctxt, order=at(7), guest=make_guest())
    with pytest.raises(errors.StaleRequest):
        attach(worker, 3, 1)


def test_of_attachments_that_are_gone_the_newest_are_remembered(built: Worker) -> None:
    last = _PAST_SUBJECTS + 9
    for number in range(10, last + 1):
        attach(built, 2 * number, number)
        detach(built, 2 * number + 1, number)
    attach(built, 1000, 1)
    record = built.records.get(SERVER)
    assert record is not None
    assert len(record.subjects) <= _PAST_SUBJECTS + 1
    with pytest.raises(errors.StaleRequest):
        attach(built, 20, 10)
    attach(built, 999, 2)
    assert recorded(built) == ["attachment-1", "attachment-2"]


@pytest.mark.parametrize("step", ["attach_volume.record", "attach_volume.guest", "attach_volume.finish"])
def test_an_attach_that_is_cut_is_done_when_it_comes_again(built: Worker, tmp_path: Path, step: str) -> None:
    failpoints.arm(f"{step}.before=error")
    attach(built, 2, 1)
    failpoints.arm("")
    attach(built, 2, 1)
    assert (recorded(built), has(built)) == (["attachment-1"], {"volume-1"})


@pytest.mark.parametrize("step", ["detach_volume.guest", "detach_volume.record", "detach_volume.finish"])
def test_a_detach_that_is_cut_is_done_when_it_comes_again(built: Worker, step: str) -> None:
    attach(built, 2, 1)
    failpoints.arm(f"{step}.before=error")
    detach(built, 3, 1)
    failpoints.arm("")
    detach(built, 3, 1)
    assert (recorded(built), has(built)) == ([], set())


def failing(*_: object, **__: object) -> None:
    raise errors.HypervisorFailed(host="node1", action="reach volume volume-1", reason="no answer")


def test_a_volume_that_cannot_be_attached_leaves_the_guest_as_it_was(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built.driver.volumes, "attach", failing)
    attach(built, 2, 1)
    assert recorded(built) == []
    assert "no answer" in built.listener.failed[0][2]


def test_a_guest_that_keeps_a_part_of_a_volume_can_still_lose_it(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(built.driver.volumes, "attach", failing)
        patched.setattr(built.driver.volumes, "detach", failing)
        attach(built, 2, 1)
    assert recorded(built) == ["attachment-1"]
    detach(built, 3, 1)
    assert recorded(built) == []


def test_a_second_attachment_of_the_same_volume_is_refused(built: Worker) -> None:
    attach(built, 2, 1)
    attach(built, 3, 1, attachment="another")
    assert "already, by attachment attachment-1" in built.listener.failed[0][2]
    assert recorded(built) == ["attachment-1"]


def test_a_volume_of_a_server_that_is_elsewhere_is_detached_already(worker: Worker) -> None:
    detach(worker, 2, 1)
    assert [done[:2] for done in worker.listener.done] == [(SERVER, 2)]
    attach(worker, 3, 1)
    assert "not on this host" in worker.listener.failed[0][2]


def test_a_volume_grows_once(built: Worker) -> None:
    attach(built, 2, 1)
    grown = Volumes(built.host)
    grown.resize_volume(built.ctxt, server_id=SERVER, order=at(3), volume_id="volume-1", size_gb=2)
    grown.resize_volume(built.ctxt, server_id=SERVER, order=at(4), volume_id="elsewhere", size_gb=2)
    record = built.records.get(SERVER)
    assert record is not None
    assert guest_disk.volumes(record.guest.disks)["attachment-1"].size_mb == 2048
    assert [done[1] for done in built.listener.done] == [2, 3, 4]


def test_a_snapshot_of_a_volume_is_made_of_the_guest_that_has_it(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    attach(built, 2, 1)
    switched: list[str] = []
    monkeypatch.setattr(built.driver.volumes, "snapshot", lambda guest, disk: switched.append(disk.volume.volume_id))
    for action, volume_id in ((3, "volume-1"), (4, "elsewhere")):
        Volumes(built.host).snapshot_volume(built.ctxt, server_id=SERVER, order=at(action), volume_id=volume_id)
    assert switched == ["volume-1"]
    assert [done[1] for done in built.listener.done] == [2, 3, 4]


def swap(worker: Worker, action: int, *, number: int = 1) -> None:
    """The volume of the first attachment, by another one."""
    Volumes(worker.host).swap_volume(
        worker.ctxt, server_id=SERVER, order=at(action), attachment_id="attachment-1", disk=volume(number, attachment="attachment-9", password="new"))


def test_a_volume_is_swapped_for_its_copy(built: Worker) -> None:
    attach(built, 2, 1)
    attach(built, 3, 2)
    swap(built, 4)
    record = built.records.get(SERVER)
    assert record is not None
    assert record.guest.disks[1:] == (volume(1, attachment="attachment-9", password="new"), volume(2))
    assert has(built) == {"volume-1", "volume-2"}
    assert [done[1] for done in built.listener.done] == [2, 3, 4]


@pytest.mark.parametrize("step", ["copy", "record", "pivot", "finish"])
def test_a_swap_that_is_cut_is_done_when_it_comes_again(built: Worker, step: str) -> None:
    attach(built, 2, 1)
    failpoints.arm(f"swap_volume.{step}.before=error")
    swap(built, 3)
    assert recorded(built) == ["attachment-9" if step == "finish" else "attachment-1"]
    failpoints.arm("")
    for _ in range(2):
        with contextlib.suppress(errors.StaleRequest):
            swap(built, 3)
    assert recorded(built) == ["attachment-9"]


def test_a_volume_is_not_swapped_for_another_one(built: Worker) -> None:
    attach(built, 2, 1)
    swap(built, 3, number=2)
    assert "does not have volume volume-2 by attachment attachment-1" in built.listener.failed[0][2]


def test_other_actions_do_not_wait_for_a_copy(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    attach(built, 2, 1)
    copying, copy = threading.Event(), built.driver.volumes.copy

    def wait(*given: Any, check: Callable[[], None]) -> None:
        copying.set()
        wait_until(lambda: built.driver.power.state(SERVER) is not Power.RUNNING, "the guest to be off")
        copy(*given, check=check)

    monkeypatch.setattr(built.driver.volumes, "copy", wait)
    with futures.ThreadPoolExecutor(1) as thread:
        thread.submit(swap, built, 3)
        assert copying.wait(30)
        built.power.stop(built.ctxt, server_id=SERVER, order=at(4))
    assert "does not run" in built.listener.failed[0][2]
    assert recorded(built) == ["attachment-1"]


@pytest.mark.parametrize("end", ["reboot", "soft_delete"])
def test_a_guest_that_does_not_release_a_volume_is_cut_off(built: Worker, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    attach(built, 2, 1)
    let_go = built.driver.volumes.detach

    def wait(server_id: str, disk: GuestDisk, *, timeout_s: float) -> None:
        wait_until(lambda: built.driver.power.state(server_id) is not Power.RUNNING, "the guest to be off")
        let_go(server_id, disk, timeout_s=timeout_s)

    monkeypatch.setattr(built.driver.volumes, "detach", wait)
    with futures.ThreadPoolExecutor(1) as thread:
        thread.submit(detach, built, 3, 1)
        wait_until(lambda: built.host.locks.is_held(SERVER), "the detach to begin")
        if end == "reboot":
            built.power.reboot(built.ctxt, server_id=SERVER, order=at(4), reboot_type=RebootType.HARD)
        else:
            SoftDelete(built.host).soft_delete(built.ctxt, server_id=SERVER, order=at(4))
    assert recorded(built) == []
    assert [done[1] for done in built.listener.done] == [2, 3, 4]


def test_a_resize_keeps_the_volumes_that_the_guest_has_now(built: Worker) -> None:
    attach(built, 2, 1)
    steps = Resize(built.host)
    size = GuestSize(vcpus=2, ram_mb=256, disks=guest_disk.of_flavor(root_gb=2, ephemeral_gb=1, swap_mb=0), extra_specs={})
    steps.prepare_resize(built.ctxt, server_id=SERVER, order=at(4), resize_id=1)
    attach(built, 3, 2)
    steps.finish_resize(built.ctxt, server_id=SERVER, order=at(5), resize_id=1, size=size, is_on=True)
    record = built.records.get(SERVER)
    assert record is not None
    assert [disk.size_mb for disk in record.guest.disks] == [2048, 1024, 1024, 1024]
    assert recorded(built) == ["attachment-1", "attachment-2"]


def test_a_rebuild_has_the_volumes_that_it_is_sent_and_attachments_go_on(built: Worker) -> None:
    attach(built, 2, 1)
    guest = dataclasses.replace(make_guest(), disks=(*make_guest().disks, volume(1)))
    Rebuild(built.host).rebuild(built.ctxt, order=at(9), guest=guest, keeps_ephemeral=False, is_on=True)
    attach(built, 3, 2)
    assert recorded(built) == ["attachment-1", "attachment-2"]
    with pytest.raises(errors.StaleRequest):
        attach(built, 2, 1)


def test_a_guest_that_is_built_again_is_connected_anew(worker: Worker) -> None:
    first = dataclasses.replace(make_guest(), disks=(*make_guest().disks, volume(1)))
    worker.build.build(worker.ctxt, order=at(1), guest=first)
    assert has(worker) == {"volume-1"}


def test_a_restart_of_the_host_starts_guests_with_their_volumes(built: Worker, tmp_path: Path) -> None:
    attach(built, 2, 1)
    after = make_worker(tmp_path / "state")
    Recovery(after.host, after.build, starts_guests=True).run()
    assert has(after) == {"volume-1"}
    record = after.records.get(SERVER)
    assert record is not None
    assert record.guest.disks[-1] == volume(1)


def test_guests_whose_storage_is_back_later_start_then(built: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "6c9b1a52-0000-4000-8000-000000000002"
    built.build.build(built.ctxt, order=at(1), guest=make_guest(server_id=other, disks=(volume(2),)))
    attach(built, 2, 1)
    after = make_worker(tmp_path / "state")
    recovery = Recovery(after.host, after.build, starts_guests=True)
    with monkeypatch.context() as patched:
        patched.setattr(after.driver.power, "start", failing)
        recovery.run()
        recovery.retry()
    assert recovery.is_waiting
    after.driver.guests.define(make_guest(server_id=other))
    after.power.stop(after.ctxt, server_id=other, order=at(5))
    recovery.retry()
    assert (after.driver.power.state(SERVER), after.driver.power.state(other)) == (Power.RUNNING, Power.SHUTDOWN)
    assert not recovery.is_waiting


def test_the_secret_of_a_connection_is_in_no_text(built: Worker) -> None:
    attach(built, 2, 1)
    record = built.records.get(SERVER)
    assert "s3cret" not in repr(record)


def test_records_of_earlier_releases_have_no_subjects(built: Worker, tmp_path: Path) -> None:
    path = tmp_path / "state" / "guests" / SERVER
    text = path.read_text()
    assert '"subjects": {}' in text
    path.write_text(text.replace('"subjects": {}, ', "").partition(', "subjects_since"')[0] + "}")
    records = Records(tmp_path / "state", is_durable=False)
    records.load()
    assert records.get(SERVER) is not None


def test_an_audit_says_which_attachments_the_guests_have(built: Worker) -> None:
    attach(built, 2, 1)
    assert Audit(built.host).audit_host(built.ctxt, after="").attachments == {SERVER: ("attachment-1",)}
    built.driver.volumes.detach(SERVER, volume(1), timeout_s=1)
    found = Audit(built.host).audit_host(built.ctxt, after="").found.findings
    assert [(one.kind, one.resource) for one in found] == [(VOLUME_NOT_ATTACHED, SERVER)]
