# SPDX-License-Identifier: Apache-2.0
"""The state table: every row is whole, and what users are shown follows from it."""

from __future__ import annotations

import pytest

from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.lifecycle.events import EVENTS, event_of
from nova_lite.lifecycle.servers import ACTIONS, Power, Vm, states_of, status_of, vm_state_of


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_a_row_is_whole(name: str) -> None:
    row = ACTIONS[name]
    assert row.name == name
    assert row.is_instant or row.task or row.leads_to is None, "an action that changes the state shows a task"
    assert Vm.DELETED not in row.allowed_in


def test_no_two_actions_show_the_same_task() -> None:
    tasks = [row.task for row in ACTIONS.values() if row.task]
    assert len(tasks) == len(set(tasks))


def test_every_state_can_be_left_by_delete() -> None:
    assert ACTIONS["delete"].allowed_in == frozenset(Vm) - {Vm.DELETED}
    assert ACTIONS["delete"].over_task


def test_what_a_soft_delete_overtakes_is_what_one_host_does_alone() -> None:
    """A workflow would be torn, and what it has half done would be lost."""
    alone = {row.task for row in ACTIONS.values() if row.task and row.on_host}
    assert ACTIONS["soft_delete"].over_tasks == alone - {"soft-deleting", "restoring"}


def test_what_overtakes_knows_whom() -> None:
    assert ACTIONS["reboot_hard"].overtaken == {"reboot_soft", "reboot_hard", "pause", "unpause", "suspend", "resume"}
    assert not ACTIONS["stop"].overtaken


@pytest.mark.parametrize(("vm_state", "task", "status"), [
    ("active", None, "ACTIVE"), ("active", "rebooting", "REBOOT"), ("active", "rebooting_hard", "HARD_REBOOT"),
    ("stopped", "rebooting_hard", "HARD_REBOOT"), ("building", "spawning", "BUILD"), ("stopped", None, "SHUTOFF"),
    ("error", None, "ERROR"), ("suspended", "resuming", "SUSPENDED"), ("deleted", None, "DELETED"),
])
def test_the_status_shown(vm_state: str, task: str | None, status: str) -> None:
    assert status_of(vm_state, task) == status
    assert Vm(vm_state) in states_of(status)


def test_a_status_that_does_not_exist_selects_nothing() -> None:
    assert states_of("bogus") == []


def test_what_a_guests_own_change_leads_to() -> None:
    assert vm_state_of(Power.SHUTDOWN) is Vm.STOPPED
    assert vm_state_of(Power.NOSTATE) is None


def test_every_action_but_bookkeeping_has_events_in_novas_words() -> None:
    assert set(EVENTS) == {name for name, row in ACTIONS.items() if not row.is_instant}


@pytest.mark.parametrize("name", sorted(name for name, known in EVENTS.items() if isinstance(known, dict)))
def test_every_step_of_a_workflow_belongs_to_an_event(name: str) -> None:
    assert set(EVENTS[name]) == {step.key for step in WORKFLOWS[name].steps}


def test_a_shelved_server_that_stays_on_its_host_shows_no_offload() -> None:
    assert event_of("shelve", "destroy_guest") == "compute_shelve_offload_instance"
    assert event_of("shelve", "destroy_guest", stays_on_host=True) is None
    assert event_of("shelve", "power_off", stays_on_host=True) == "compute_shelve_instance"
