# SPDX-License-Identifier: Apache-2.0
"""A soft delete that comes in the middle of a workflow: it waits, whatever becomes of the workflow, and loses nothing."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.reconcilers import deferred_deletes
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import CANCELLED, DONE, WAITING, Action
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, Power
from nova_lite.runtime import failpoints
from tests.support.flows import disk_scenarios, resizing, shelving
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.scenarios import SCENARIOS

WORKFLOWS = sorted(name for name in SCENARIOS if name in ACTIONS and name not in ("create", "delete") and ACTIONS[name].task and not ACTIONS[name].on_host)


def keep_for_later(cloud: OneProcess, server_id: str) -> int:
    """As the Compute API writes it; its id."""
    with cloud.database.writer() as session:
        return actions.record(session, server_id=server_id, name="soft_delete", request_id="req-later", state=WAITING,
                              user_id=CTXT.user_id, project_id=CTXT.project_id)


def is_soft_deleted(cloud: OneProcess, server_id: str) -> bool:
    server = cloud.server(server_id)
    return (server.vm_state, server.task_state) == ("soft-delete", None) and server.soft_deleted_at is not None


def restore(cloud: OneProcess, server_id: str) -> tuple[str, str | None]:
    cloud.do(server_id, "restore")
    server = cloud.server(server_id)
    return server.vm_state, server.task_state


def deletes(cloud: OneProcess, server_id: str) -> list[Any]:
    with cloud.database.reader() as session:
        return [(action.name, action.state, action.request_id)
                for action in actions.of_server(session, server_id) if action.name in ("soft_delete", "delete")]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_it_begins_when_the_workflow_has_ended_and_can_be_taken_back(cloud: OneProcess, name: str) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    keep_for_later(cloud, server_id)
    task = cloud.server(server_id).task_state
    deferred_deletes.begin(cloud.services)
    assert (cloud.server(server_id).task_state, deletes(cloud, server_id)[0][1]) == (task, WAITING)
    cloud.run(action_id)
    assert SCENARIOS[name].is_reached(cloud, server_id)
    was = cloud.server(server_id).vm_state
    deferred_deletes.begin(cloud.services)
    deferred_deletes.begin(cloud.services)
    assert is_soft_deleted(cloud, server_id)
    assert deletes(cloud, server_id) == [("soft_delete", DONE, "req-later")]
    assert restore(cloud, server_id) == ("shelved_offloaded" if was == "shelved_offloaded" else "active", None)
    if was == "shelved_offloaded":
        assert shelving.is_offloaded(cloud, server_id)
        cloud.run(cloud.begin_action(server_id, "unshelve"))
        assert shelving.is_back(cloud, server_id)
    assert cloud.driver.power.state(server_id) is Power.RUNNING


def test_what_was_shelved_and_left_its_host_is_reclaimed_with_its_snapshot(cloud: OneProcess) -> None:
    server_id, action_id = shelving.prepare_shelve(cloud)
    keep_for_later(cloud, server_id)
    cloud.run(action_id)
    deferred_deletes.begin(cloud.services)
    assert is_soft_deleted(cloud, server_id)
    cloud.run(cloud.begin_delete(server_id))
    assert cloud.server(server_id).vm_state == "deleted"
    assert (cloud.leftovers(server_id), shelving.snapshots_of(cloud, server_id)) == ({}, [])


def test_it_begins_when_the_workflow_has_failed_too(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(server_id: str) -> None:
        raise errors.HypervisorFailed(host="node-0", action="set disks aside", reason="no room")

    monkeypatch.setattr(cloud.driver.disks, "set_aside", fail)
    server_id, action_id = resizing.resize(cloud)
    keep_for_later(cloud, server_id)
    cloud.run(action_id)
    assert cloud.server(server_id).task_state is None
    deferred_deletes.begin(cloud.services)
    assert is_soft_deleted(cloud, server_id)
    assert restore(cloud, server_id) == ("active", None)


def test_it_overtakes_a_power_action_that_came_between(cloud: OneProcess) -> None:
    server_id, action_id = disk_scenarios.create_image(cloud)
    keep_for_later(cloud, server_id)
    cloud.run(action_id)
    stop_id = cloud.begin_action(server_id, "stop")
    deferred_deletes.begin(cloud.services)
    assert is_soft_deleted(cloud, server_id)
    with cloud.database.reader() as session:
        assert session.get_one(Action, stop_id).state == CANCELLED


def test_a_delete_for_good_ends_the_waiting(cloud: OneProcess) -> None:
    server_id, _ = disk_scenarios.rescue(cloud)
    waiting_id = keep_for_later(cloud, server_id)
    cloud.run(cloud.begin_action(server_id, "delete"))
    deferred_deletes.begin(cloud.services)
    assert (cloud.server(server_id).vm_state, cloud.leftovers(server_id)) == ("deleted", {})
    with cloud.database.reader() as session:
        assert session.get_one(Action, waiting_id).state == CANCELLED


def test_what_another_request_has_soft_deleted_is_not_deleted_again(cloud: OneProcess) -> None:
    server_id, action_id = disk_scenarios.create_image(cloud)
    keep_for_later(cloud, server_id)
    cloud.run(action_id)
    cloud.do(server_id, "soft_delete")
    deferred_deletes.begin(cloud.services)
    assert restore(cloud, server_id) == ("active", None)
    deferred_deletes.begin(cloud.services)
    assert cloud.server(server_id).vm_state == "active"


@pytest.mark.parametrize("prepare", [disk_scenarios.create_image, shelving.prepare_shelve], ids=["on a host", "on none"])
def test_a_conductor_that_dies_before_it_casts_to_the_host_loses_nothing(cloud: OneProcess, prepare: Any) -> None:
    server_id, action_id = prepare(cloud)
    keep_for_later(cloud, server_id)
    cloud.run(action_id)
    failpoints.arm("waiting_delete.after=error")
    with contextlib.suppress(errors.NovaLiteError):
        deferred_deletes.begin(cloud.services)
    failpoints.arm("")
    assert cloud.server(server_id).task_state == "soft-deleting"
    with cloud.database.writer() as session:
        session.execute(sa.update(Action).values(updated_at=utcnow() - datetime.timedelta(hours=1)))
        assert session.scalar(sa.select(sa.func.count()).select_from(Server)) == 1
    StalledActions(cloud.services, cloud.engine).look()
    assert is_soft_deleted(cloud, server_id)
