# SPDX-License-Identifier: Apache-2.0
"""Build and destroy: once, whole, undone when cut, and refused when late."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.records import Phase, Record, Records
from nova_lite.compute.recovery import Recovery
from nova_lite.lifecycle.servers import Power
from nova_lite.runtime import failpoints
from tests.support.wait import wait_until
from tests.unit.compute.conftest import SERVER, Worker, at, make_guest, make_worker

STEPS = ("record", "fetch_image", "make_disks", "make_config_drive", "start_guest", "finish")
DESTROY_STEPS = ("guest", "disks", "record")


@pytest.fixture(autouse=True)
def _disarm():
    yield
    failpoints.arm("")


def test_build_leaves_a_running_guest_and_its_record(worker: Worker) -> None:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    record = worker.records.get(SERVER)
    assert record is not None
    assert (record.phase, worker.driver.power.state(SERVER)) == (Phase.BUILT, Power.RUNNING)


def test_a_record_holds_no_token(worker: Worker) -> None:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    record = worker.records.get(SERVER)
    assert record is not None
    assert record.guest.image.token == ""


def test_neither_password_nor_user_data_of_the_config_drive_is_kept_in_the_record(tmp_path: Path) -> None:
    documents = {"openstack/latest/meta_data.json": '{"admin_pass": "s3cret"}', "openstack/latest/user_data": "s3cret too"}
    records = Records(tmp_path, is_durable=False)
    records.load()
    records.put(Record(guest=dataclasses.replace(make_guest(), config_drive=True, documents=documents), phase=Phase.BUILT))
    [file] = (tmp_path / "guests").iterdir()
    assert "s3cret" not in file.read_text()

    fields = json.loads(file.read_text())
    fields["guest"]["documents"] = documents  # as earlier releases did
    file.write_text(json.dumps(fields))
    Records(tmp_path, is_durable=False).load()
    assert "s3cret" not in file.read_text()


def test_a_second_build_does_not_start_a_guest_that_was_stopped(worker: Worker) -> None:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    worker.power.stop(worker.ctxt, server_id=SERVER, order=at(2))
    with pytest.raises(errors.StaleRequest):
        worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    assert worker.driver.power.state(SERVER) is Power.SHUTDOWN


@pytest.mark.parametrize("step", STEPS)
def test_a_build_that_fails_at_a_step_leaves_nothing(worker: Worker, step: str) -> None:
    failpoints.arm(f"build.{step}.before=error")
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    assert worker.listener.failed == [(SERVER, 1, f"failpoint build.{step}.before")]
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


@pytest.mark.parametrize("step", DESTROY_STEPS)
def test_a_destroy_that_is_cut_at_a_step_is_finished_by_recovery(worker: Worker, step: str) -> None:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    failpoints.arm(f"destroy.{step}.before=error")
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(2))
    assert worker.listener.failed == [(SERVER, 2, f"failpoint destroy.{step}.before")]
    failpoints.arm("")
    Recovery(worker.host, worker.build, starts_guests=False).run()
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


def test_a_build_older_than_a_destroy_is_refused(worker: Worker) -> None:
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(5))
    with pytest.raises(errors.StaleRequest):
        worker.build.build(worker.ctxt, order=at(5), guest=make_guest())


def test_a_build_newer_than_a_destroy_is_done(worker: Worker) -> None:
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(5))
    worker.build.build(worker.ctxt, order=at(6), guest=make_guest())
    assert worker.driver.power.state(SERVER) is Power.RUNNING


def test_a_tombstone_survives_a_restart(worker: Worker, tmp_path) -> None:
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(5))
    after = make_worker(tmp_path / "state")
    with pytest.raises(errors.StaleRequest):
        after.build.build(after.ctxt, order=at(4), guest=make_guest())


def test_a_destroy_older_than_the_guest_is_refused(worker: Worker) -> None:
    worker.build.build(worker.ctxt, order=at(6), guest=make_guest())
    with pytest.raises(errors.StaleRequest):
        worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(5))
    assert worker.driver.power.state(SERVER) is Power.RUNNING


def test_destroying_a_server_that_is_not_here_is_fine(worker: Worker) -> None:
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(1))
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


def test_a_destroy_makes_a_build_at_work_give_up(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = threading.Event()

    def fetch(guest, *, check):
        fetching.set()
        while True:
            check()

    monkeypatch.setattr(worker.driver.images, "fetch", fetch)

    def build() -> None:
        with pytest.raises(errors.StaleRequest):
            worker.build.build(worker.ctxt, order=at(1), guest=make_guest())

    thread = threading.Thread(target=build)
    thread.start()
    assert fetching.wait(5)
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(2))
    thread.join(5)
    assert [report.known for report in worker.listener.stale] == [at(2)]
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


def test_a_build_for_another_image_replaces_what_an_abandoned_one_left(worker: Worker) -> None:
    worker.driver.guests.define(make_guest())
    worker.records.put(Record(guest=make_guest(), phase=Phase.BUILDING, order=at(1), is_done=False))
    newer = make_guest()
    newer = dataclasses.replace(newer, image=dataclasses.replace(newer.image, id="other"))
    worker.build.build(worker.ctxt, order=at(2), guest=newer)
    record = worker.records.get(SERVER)
    assert record is not None
    assert record.guest.image.id == "other"


def test_a_cut_build_can_be_sent_again_after_a_restart(worker: Worker, tmp_path) -> None:
    worker.records.put(Record(guest=make_guest(), phase=Phase.BUILDING, order=at(1), is_done=False))
    after = make_worker(tmp_path / "state")
    Recovery(after.host, after.build, starts_guests=True).run()
    after.build.build(after.ctxt, order=at(1), guest=make_guest())
    assert after.driver.power.state(SERVER) is Power.RUNNING


def test_ten_builds_at_once_all_run(worker: Worker) -> None:
    guests = [make_guest(server_id=f"6c9b1a52-0000-4000-8000-00000000001{n}") for n in range(10)]
    threads = [
        threading.Thread(target=worker.build.build, args=(worker.ctxt,), kwargs={"order": at(1), "guest": guest}) for guest in guests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(worker.driver.guests.list_ours()) == 10


def test_a_destroy_ends_a_stop_that_waits_for_the_guest(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    stopping, off = threading.Event(), threading.Event()
    destroy = worker.driver.guests.destroy

    def stop(server_id: str, *, timeout_s: float) -> None:
        stopping.set()
        assert off.wait(5)

    def destroy_and_say(server_id: str) -> None:
        destroy(server_id)
        off.set()

    monkeypatch.setattr(worker.driver.power, "stop", stop)
    monkeypatch.setattr(worker.driver.guests, "destroy", destroy_and_say)
    thread = threading.Thread(
        target=worker.power.stop, args=(worker.ctxt,), kwargs={"server_id": SERVER, "order": at(2)}
    )
    thread.start()
    assert stopping.wait(5)
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(3))
    thread.join(5)
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


def test_a_build_that_waits_for_its_turn_is_known_as_under_way_and_gives_up_when_destroyed(worker: Worker) -> None:
    for _ in range(worker.conf.compute.max_concurrent_builds):
        worker.host.builds.acquire()
    waiting = threading.Thread(target=_build, args=(worker,), daemon=True)
    waiting.start()
    wait_until(lambda: worker.build.known_orders(worker.ctxt, orders=(at(1),)) == (at(1),), seconds=3)
    worker.build.destroy(worker.ctxt, server_id=SERVER, order=at(2))
    waiting.join(3)
    assert [(report.order, report.known) for report in worker.listener.stale] == [(at(1), at(2))]
    assert worker.build.owned_unless(worker.ctxt, digest="").server_ids == ()


def _build(worker: Worker) -> None:
    with contextlib.suppress(errors.StaleRequest):
        worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
