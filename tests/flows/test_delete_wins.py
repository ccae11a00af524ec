# SPDX-License-Identifier: Apache-2.0
"""Delete wins from every state: at rest, and over every action that a user or operator can have begun."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.compute.actions import CANCELLED, DONE, Action
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import ACTIONS, TASKS_OF, Vm
from nova_lite.rpc.conductor import Outcome, StepReport
from tests.support.flows.one_process import OneProcess

AT_REST = sorted(set(Vm) - {Vm.DELETED})
UNDER_WAY = [(name, vm) for name, row in ACTIONS.items() for vm in sorted(row.allowed_in) if name not in ("delete",)]
ON_THE_WAY = [(name, task) for name, tasks in TASKS_OF.items() for task in tasks]


def _server(cloud: OneProcess, vm: Vm, task: str | None = None) -> str:
    """A server whose row says this; its guest is there, as it is in most of these states."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == server_id).values(vm_state=str(vm), task_state=task))
    return server_id


def _delete(cloud: OneProcess, server_id: str) -> None:
    cloud.run(cloud.begin_action(server_id, "delete"))
    gone = cloud.server(server_id)
    assert (gone.vm_state, gone.task_state) == ("deleted", None)
    assert gone.deleted_at is not None
    assert cloud.leftovers(server_id) == {}


def _state(cloud: OneProcess, action_id: int) -> str:
    with cloud.database.reader() as session:
        return session.get_one(Action, action_id).state


@pytest.mark.parametrize("vm", AT_REST)
def test_delete_wins_over_a_server_at_rest(cloud: OneProcess, vm: Vm) -> None:
    _delete(cloud, _server(cloud, vm))


@pytest.mark.parametrize(("name", "vm"), UNDER_WAY, ids=[f"{name} in {vm}" for name, vm in UNDER_WAY])
def test_delete_wins_over_an_action_under_way(cloud: OneProcess, name: str, vm: Vm) -> None:
    """What was under way ends, and a late report of it does not bring the server back."""
    server_id = _server(cloud, vm)
    action_id = cloud.begin_action(server_id, name)
    _delete(cloud, server_id)
    assert _state(cloud, action_id) == CANCELLED
    cloud.engine.report(StepReport(order=cloud.order(action_id), resource_type="server", resource_id=server_id, host="node-0",
                                   outcome=Outcome.DONE, power_state=1))
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}


@pytest.mark.parametrize(("name", "task"), ON_THE_WAY, ids=[f"{name} {task}" for name, task in ON_THE_WAY])
def test_delete_wins_at_every_stage_that_is_shown(cloud: OneProcess, name: str, task: str) -> None:
    vm = Vm.BUILDING if name == "create" else min(ACTIONS[name].allowed_in)
    _delete(cloud, _server(cloud, vm, task))


def test_delete_wins_over_a_build_that_has_not_begun(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    _delete(cloud, server_id)
    cloud.run(action_id)
    assert _state(cloud, action_id) == CANCELLED
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}


@pytest.mark.parametrize("name", [name for name in ACTIONS if name != "delete" and not ACTIONS[name].over_task])
def test_nothing_begins_over_a_delete(cloud: OneProcess, name: str) -> None:
    server_id = _server(cloud, min(ACTIONS[name].allowed_in, default=Vm.ACTIVE))
    cloud.begin_action(server_id, "delete")
    with pytest.raises(errors.WrongState):
        cloud.begin_action(server_id, name)


def test_a_second_delete_is_harmless(cloud: OneProcess) -> None:
    server_id = _server(cloud, Vm.ACTIVE)
    first = cloud.begin_action(server_id, "delete")
    second = cloud.begin_action(server_id, "delete")
    cloud.run(second)
    cloud.run(first)
    assert _state(cloud, second) == DONE
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}
