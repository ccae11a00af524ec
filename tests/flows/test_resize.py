# SPDX-License-Identifier: Apache-2.0
"""What a resize does beyond its steps: stopped servers, full hosts, duplicates, resets, deletes, time that runs out."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.compute.operations.resize import Resize
from nova_lite.conductor.reconcilers import confirm_resizes
from nova_lite.db.base import utcnow
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Host
from nova_lite.lifecycle.servers import Power, status_of
from tests.support.flows import resizing
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.resizing import BOTH, LARGE, LARGE_SIZE, SMALL_SIZE, begin_resize, looks


def stopped(cloud: OneProcess) -> str:
    server_id = resizing.built(cloud)
    cloud.do(server_id, "stop")
    assert cloud.server(server_id).vm_state == "stopped"
    return server_id


@pytest.mark.parametrize(("ending", "size"), [("confirm_resize", LARGE_SIZE), ("revert_resize", SMALL_SIZE)])
def test_a_stopped_server_stays_off_through_all_of_it(cloud: OneProcess, ending: str, size: tuple[int, ...]) -> None:
    server_id = stopped(cloud)
    cloud.run(begin_resize(cloud, server_id))
    assert looks(cloud, server_id, power=Power.SHUTDOWN)[0] == "resized"
    cloud.run(cloud.begin_action(server_id, ending))
    assert looks(cloud, server_id, power=Power.SHUTDOWN)[::2] == ("stopped", size, {"confirm_resize": "confirmed"}.get(ending, "reverted"))


def test_a_full_host_leaves_the_server_as_it_was_and_says_why(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    with cloud.database.writer() as session:
        session.execute(sa.update(Host).values(ram_mb=Host.reserved_ram_mb + 200))
    action_id = begin_resize(cloud, server_id)
    cloud.run(action_id)
    assert resizing.is_as_before(cloud, server_id, "")
    with cloud.database.reader() as session:
        message = session.get_one(Action, action_id).message
    assert "No valid host was found." in str(message)
    assert "1 host: 1× not enough memory. Nearest fit: not enough memory: 256 MB requested, 200 MB free." in str(message)


def test_the_shown_states_are_novas(cloud: OneProcess) -> None:
    seen = []
    server_id, action_id = resizing.resize(cloud)

    def note(_session: object) -> None:
        server = cloud.server(server_id)
        seen.append((server.task_state, status_of(server.vm_state, server.task_state)))

    sa.event.listen(Session, "after_commit", note)
    try:
        cloud.run(action_id)
    finally:
        sa.event.remove(Session, "after_commit", note)
    assert list(dict.fromkeys(seen)) == [
        ("resize_prep", "RESIZE"), ("resize_migrating", "RESIZE"), ("resize_migrated", "RESIZE"),
        ("resize_finish", "RESIZE"), (None, "VERIFY_RESIZE")]
    assert status_of("resized", "resize_reverting") == "REVERT_RESIZE"


def test_late_duplicates_change_nothing_once_it_was_reverted(cloud: OneProcess) -> None:
    server_id, action_id = resizing.revert(cloud)
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    cloud.run(action_id)
    worker = Resize(cloud.compute_host)
    with pytest.raises(errors.StaleRequest):
        worker.prepare_resize(CTXT, server_id=server_id, order=record.order, resize_id=record.resized_by)
    with pytest.raises(errors.StaleRequest):
        worker.confirm_resize(CTXT, server_id=server_id, order=record.order)
    assert resizing.is_reverted(cloud, server_id)


def test_delete_wins_over_a_resize_between_its_steps(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, action_id = resizing.resize(cloud)
    driver = cloud.driver
    keep = driver.disks.set_aside

    def delete_meanwhile(of: str) -> None:
        keep(of)
        with cloud.database.writer() as session:
            session.execute(sa.update(Server).values(task_state="deleting"))
        cloud.compute_host.records.put_tombstone(server_id, cloud.order(cloud.begin_delete(server_id)))

    monkeypatch.setattr(driver.disks, "set_aside", delete_meanwhile)
    cloud.run(action_id)
    monkeypatch.undo()
    assert cloud.driver.power.state(server_id) is Power.SHUTDOWN
    assert cloud.server(server_id).task_state == "deleting"


@pytest.mark.parametrize("action", ["resize", "confirm_resize", "revert_resize"])
def test_delete_leaves_nothing_of_a_resized_server(cloud: OneProcess, action: str) -> None:
    server_id, _ = {"resize": resizing.resize, "confirm_resize": resizing.confirm, "revert_resize": resizing.revert}[action](cloud)
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}


def test_a_resize_after_an_operators_reset_starts_clean(cloud: OneProcess) -> None:
    server_id, action_id = resizing.resize(cloud)
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).values(vm_state="active"))
    cloud.run(begin_resize(cloud, server_id, dataclasses.replace(LARGE, id="3", name="huge", vcpus=4)))
    assert looks(cloud, server_id)[1:4] == ("huge", (4, 256, 3), (4, 256, 6))
    cloud.run(cloud.begin_action(server_id, "revert_resize"))
    assert looks(cloud, server_id)[:4] == ("active", "large", LARGE_SIZE, LARGE_SIZE)


def test_a_resize_is_confirmed_when_its_window_is_over_and_not_before(cloud: OneProcess) -> None:
    server_id, action_id = resizing.resize(cloud)
    cloud.run(action_id)
    confirm_resizes.confirm(cloud.services)
    cloud.conf.set_override("resize_confirm_window", 60, group="compute")
    confirm_resizes.confirm(cloud.services)
    assert looks(cloud, server_id)[3:] == (BOTH, "finished")
    cloud.now_is = lambda: utcnow() + datetime.timedelta(seconds=61)
    confirm_resizes.confirm(cloud.services)
    with cloud.database.reader() as session:
        action_id = session.scalars(sa.select(Action.id).order_by(Action.id.desc())).first() or 0
    cloud.restart_conductor()
    cloud.run(action_id)
    assert resizing.is_confirmed(cloud, server_id)
