# SPDX-License-Identifier: Apache-2.0
"""Power operations: what the guest does, and what is reported to the conductor, once."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute.console_server import ConsoleServer
from nova_lite.compute.operations.console import Console
from nova_lite.compute.operations.soft_delete import SoftDelete
from nova_lite.compute.recovery import Recovery
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleType, RebootType
from nova_lite.rpc.conductor import PowerState
from nova_lite.runtime import failpoints
from nova_lite.worker import files
from tests.support.wait import wait_until
from tests.unit.compute.conftest import SERVER, Worker, at, make_guest, make_worker


@pytest.fixture
def built(worker: Worker) -> Worker:
    worker.build.build(worker.ctxt, order=at(1), guest=make_guest())
    worker.listener.done.clear()
    return worker


def test_stop_reports_to_the_conductor_once(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    assert built.listener.done == [(SERVER, 2, Power.SHUTDOWN)]


def test_pause_and_unpause(built: Worker) -> None:
    built.power.pause(built.ctxt, server_id=SERVER, order=at(2))
    built.power.unpause(built.ctxt, server_id=SERVER, order=at(3))
    assert [power for _, _, power in built.listener.done] == [Power.PAUSED, Power.RUNNING]


def test_suspend_and_resume(built: Worker) -> None:
    built.power.suspend(built.ctxt, server_id=SERVER, order=at(2))
    built.power.resume(built.ctxt, server_id=SERVER, order=at(3))
    assert [power for _, _, power in built.listener.done] == [Power.SUSPENDED, Power.RUNNING]


@pytest.mark.parametrize("reboot_type", list(RebootType))
def test_reboot_leaves_the_guest_running(built: Worker, reboot_type: RebootType) -> None:
    built.power.reboot(built.ctxt, server_id=SERVER, order=at(2), reboot_type=reboot_type)
    assert built.listener.done == [(SERVER, 2, Power.RUNNING)]


@pytest.fixture
def deaf(built: Worker, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Its guest ignores the request to restart: the caller waits until it is off, half a minute at most."""

    def wait(server_id: str, *, timeout_s: float) -> bool:
        wait_until(lambda: built.driver.power.state(server_id) is not Power.RUNNING, "the guest to be off")
        return False

    monkeypatch.setattr(built.driver.power, "reboot_soft", wait)
    return built


@contextlib.contextmanager
def waiting_reboot(worker: Worker, action_id: int) -> Iterator[futures.Future[None]]:
    """A soft reboot that has begun and waits for its guest."""
    with futures.ThreadPoolExecutor(1) as thread:
        soft = thread.submit(
            worker.power.reboot, worker.ctxt, server_id=SERVER, order=at(action_id), reboot_type=RebootType.SOFT)
        wait_until(lambda: worker.host.locks.is_held(SERVER), "the soft reboot to begin")
        yield soft


@pytest.mark.timed
def test_a_hard_reboot_overtakes_a_soft_one_that_waits(deaf: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    hard: list[str] = []
    again = deaf.driver.power.reboot_hard
    monkeypatch.setattr(deaf.driver.power, "reboot_hard", lambda guest: (hard.append(guest.server_id), again(guest)))
    began = time.monotonic()
    with waiting_reboot(deaf, 2):
        deaf.power.reboot(deaf.ctxt, server_id=SERVER, order=at(3), reboot_type=RebootType.HARD)
    assert time.monotonic() - began < 20, "it waited for the soft reboot"
    assert deaf.listener.done == [(SERVER, 3, Power.RUNNING)]
    assert hard == [SERVER], "the soft reboot must not cut the power after all"
    assert deaf.driver.power.state(SERVER) is Power.RUNNING


def test_of_two_hard_reboots_that_wait_only_the_newer_is_done(deaf: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaf.driver.power, "stop", lambda server_id, *, timeout_s: None)  # the guest cannot be cut off yet
    with waiting_reboot(deaf, 2), futures.ThreadPoolExecutor(2) as threads:
        futures_of = [threads.submit(deaf.power.reboot, deaf.ctxt, server_id=SERVER, order=at(number), reboot_type=RebootType.HARD)
                 for number in (3, 4)]
        wait_until(lambda: _is_overtaken(deaf, 3), "the second hard reboot to wait")
        deaf.driver.power.power_off_from_inside(SERVER)
    assert [isinstance(one.exception(), errors.StaleRequest) for one in futures_of] == [True, False]
    assert deaf.listener.done == [(SERVER, 4, Power.RUNNING)]


def _is_overtaken(worker: Worker, number: int) -> bool:
    try:
        worker.host.preemption.check(SERVER, at(number))
    except errors.StaleRequest:
        return True
    return False


def test_a_late_duplicate_of_a_hard_reboot_cuts_nothing_off(deaf: Worker) -> None:
    deaf.power.reboot(deaf.ctxt, server_id=SERVER, order=at(2), reboot_type=RebootType.HARD)
    with waiting_reboot(deaf, 3) as soft, futures.ThreadPoolExecutor(1) as thread:
        late = thread.submit(deaf.power.reboot, deaf.ctxt, server_id=SERVER, order=at(2), reboot_type=RebootType.HARD)
        assert not futures.wait([soft], timeout=0.5).done, "the guest in a soft reboot was powered off"
        deaf.driver.power.power_off_from_inside(SERVER)
    assert isinstance(late.exception(), errors.StaleRequest)
    assert [done[1] for done in deaf.listener.done] == [2, 3]


@pytest.mark.timed
def test_a_soft_delete_does_not_wait_for_a_guest_that_restarts(deaf: Worker) -> None:
    began = time.monotonic()
    with waiting_reboot(deaf, 2):
        SoftDelete(deaf.host).soft_delete(deaf.ctxt, server_id=SERVER, order=at(3))
    assert time.monotonic() - began < 20
    assert deaf.listener.done == [(SERVER, 3, Power.SHUTDOWN)]
    assert deaf.driver.power.state(SERVER) is Power.SHUTDOWN


def test_an_action_on_a_server_that_is_not_here_fails_with_the_reason(worker: Worker) -> None:
    worker.power.start(worker.ctxt, server_id=SERVER, order=at(2))
    assert "not on this host" in worker.listener.failed[0][2]


def test_a_failed_action_is_reported_with_its_reason(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    built.power.pause(built.ctxt, server_id=SERVER, order=at(3))
    assert "the guest is shutdown" in built.listener.failed[0][2]


def test_a_defect_is_reported_without_its_details(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built.driver.power, "pause", lambda server_id: 1 / 0)
    built.power.pause(built.ctxt, server_id=SERVER, order=at(2))
    assert "division" not in built.listener.failed[0][2]


def test_a_cast_that_comes_twice_is_done_once_and_reported_twice(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    with pytest.raises(errors.StaleRequest):
        built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    assert built.listener.done == [(SERVER, 2, Power.SHUTDOWN)] * 2


def test_a_late_duplicate_of_an_older_action_changes_nothing(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    built.power.start(built.ctxt, server_id=SERVER, order=at(3))
    with pytest.raises(errors.StaleRequest):
        built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    assert built.driver.power.state(SERVER) is Power.RUNNING
    assert len(built.listener.done) == 2


def test_a_guest_that_powers_itself_off_is_reported(built: Worker) -> None:
    built.driver.power.power_off_from_inside(SERVER)
    built.host.reports.flush()
    assert built.listener.powers == [("node1", (PowerState(server_id=SERVER, state=Power.SHUTDOWN, order=at(1)),))]


def test_what_an_operation_did_is_not_reported_twice(built: Worker) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    built.host.reports.flush()
    assert built.listener.powers == []


def test_a_full_report_repeats_all(built: Worker) -> None:
    built.host.reports.report_all(built.driver.guests.list_ours())
    built.host.reports.flush()
    assert built.listener.powers == [("node1", (PowerState(server_id=SERVER, state=Power.RUNNING, order=at(1)),))]


def test_guests_that_ran_are_started_after_the_host_was_restarted(built: Worker, tmp_path) -> None:
    after = make_worker(tmp_path / "state")
    Recovery(after.host, after.build, starts_guests=True).run()
    assert after.driver.power.state(SERVER) is Power.RUNNING


def test_guests_that_were_stopped_stay_off_after_the_host_was_restarted(built: Worker, tmp_path) -> None:
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    after = make_worker(tmp_path / "state")
    Recovery(after.host, after.build, starts_guests=True).run()
    assert after.driver.power.state(SERVER) is Power.SHUTDOWN


def test_recovery_reports_one_bad_guest_and_goes_on(built: Worker, tmp_path) -> None:
    other = "6c9b1a52-0000-4000-8000-000000000002"
    built.build.build(built.ctxt, order=at(1), guest=make_guest(server_id=other))
    after = make_worker(tmp_path / "state")
    start = after.driver.power.start

    def start_but_one(guest):
        if guest.server_id == SERVER:
            raise errors.HypervisorFailed(host="node1", action="start", reason="test")
        start(guest)

    after.driver.power.start = start_but_one
    Recovery(after.host, after.build, starts_guests=True).run()
    assert after.driver.power.state(other) is Power.RUNNING


def test_console_output_shows_the_last_lines(built: Worker) -> None:
    text = console_of(built).console_output(built.ctxt, server_id=SERVER, length=1)
    assert text == "web login:"


def test_failpoints_of_actions_are_reported_as_failures(built: Worker) -> None:
    failpoints.arm("stop.before=error")
    built.power.stop(built.ctxt, server_id=SERVER, order=at(2))
    failpoints.arm("")
    assert built.listener.failed[0][2] == "failpoint stop.before"


def console_of(worker: Worker) -> Console:
    return Console(worker.host, ConsoleServer(address="127.0.0.1", port=0, connect=worker.driver.consoles.connect))


def test_a_guest_that_is_off_has_no_console_to_open(built: Worker) -> None:
    built.driver.power.power_off_from_inside(SERVER)
    with pytest.raises(errors.Conflict, match="it is not running"):
        console_of(built).open_console(
            built.ctxt, server_id=SERVER, type=ConsoleType.SERIAL, token_hash="0", ttl_s=1)


@pytest.mark.parametrize(("said", "seconds"), [({"os_shutdown_timeout": "7"}, 7), ({}, 60)])
def test_an_image_says_how_long_its_guests_take_to_power_off(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], seconds: float
) -> None:
    guest = make_guest()
    worker.build.build(worker.ctxt, order=at(1), guest=dataclasses.replace(guest, image=dataclasses.replace(guest.image, properties=said)))
    given: list[float] = []
    monkeypatch.setattr(worker.driver.power, "stop", lambda server_id, *, timeout_s: given.append(timeout_s))
    worker.power.stop(worker.ctxt, server_id=SERVER, order=at(2))
    assert given == [seconds]


def test_a_full_disk_is_named_as_the_reason(built: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, text: str, *, is_durable: bool = True) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "replace", write)
    built.power.pause(built.ctxt, server_id=SERVER, order=at(2))
    (_, _, reason), = built.listener.failed
    assert "No space left on device" in reason
    assert f"guests/{SERVER}" in reason
