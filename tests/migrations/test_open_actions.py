# SPDX-License-Identifier: Apache-2.0
"""Open actions of release 0.1, of every kind and cut at every step, end right after an upgrade."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import CANCELLED, DONE, FAILED, Action
from nova_lite.lifecycle.servers import ACTIONS, Power, Vm
from tests.migrations.release_0_1 import CASES, Upgraded
from tests.support.flows import shelving
from tests.support.flows.scenarios import SCENARIOS

# How long the cloud was stopped for its upgrade: within every deadline, and longer than all of them.
DOWNTIMES = {"a minute": 60.0, "a day": 86400.0}
SHORT = "a minute"
# What a step was made to fail with by the test that recorded it.
REASON = "was made to fail"


@dataclasses.dataclass(frozen=True)
class Case:
    """One recorded action: `kind` of it, where it was `cut`."""

    label: str
    kind: str
    variant: str
    cut: str

    @property
    def server_id(self) -> str:
        return str(CASES[self.label]["server"])

    @property
    def action_id(self) -> int:
        return int(CASES[self.label]["action"])


def _case(label: str) -> Case:
    name, cut = label.split(" ", 1)
    kind, _, variant = name.partition(":")
    return Case(label, kind, variant, cut)


@pytest.fixture(scope="module", params=DOWNTIMES)
def downtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def cloud(downtime: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    upgraded = Upgraded(tmp_path_factory.mktemp("upgraded"), after_s=DOWNTIMES[downtime])
    for _ in range(30):
        upgraded.reconcile(seconds=15)
    yield upgraded
    upgraded.database.close()


def _is_at_rest(cloud: Upgraded, case: Case, vm: Vm, power: Power | None) -> bool:
    server, state = cloud.server(case.server_id), cloud.driver.power.state(case.server_id)
    return (server.vm_state, server.task_state, server.fault) == (vm, None, None) and (power is None or state is power)


# What is to be seen of an action that one host did.
_AT_REST: dict[str, tuple[Vm, Power]] = {
    "start": (Vm.ACTIVE, Power.RUNNING), "stop": (Vm.STOPPED, Power.SHUTDOWN), "reboot_soft": (Vm.ACTIVE, Power.RUNNING),
    "reboot_hard": (Vm.ACTIVE, Power.RUNNING), "pause": (Vm.PAUSED, Power.PAUSED), "unpause": (Vm.ACTIVE, Power.RUNNING),
    "suspend": (Vm.SUSPENDED, Power.SUSPENDED), "resume": (Vm.ACTIVE, Power.RUNNING), "soft_delete": (Vm.SOFT_DELETED, Power.SHUTDOWN),
    "restore": (Vm.ACTIVE, Power.RUNNING), "trigger_crash_dump": (Vm.ACTIVE, Power.RUNNING),
}


def _is_done(cloud: Upgraded, case: Case) -> bool:
    """All is there that should be, and nothing more."""
    if case.variant == "offloaded":
        vm = Vm.SOFT_DELETED if case.kind == "soft_delete" else Vm.SHELVED_OFFLOADED
        return _is_at_rest(cloud, case, vm, None) and shelving.has_snapshot(cloud, case.server_id)
    if case.kind in _AT_REST:
        return _is_at_rest(cloud, case, *_AT_REST[case.kind])
    is_forced_right = case.variant != "forced" or cloud.server(case.server_id).host == "node-2"
    return SCENARIOS[case.kind].is_reached(cloud, case.server_id) and is_forced_right


def _is_undone(cloud: Upgraded, case: Case) -> bool:
    if case.variant == "here":
        return shelving.is_shelved(cloud, case.server_id)
    is_undone: Callable[..., bool] | None = SCENARIOS[case.kind].is_undone
    return is_undone is not None and is_undone(cloud, case.server_id, REASON)


def _fails(case: Case, downtime: str) -> bool:
    """Whether the action can only be undone: one that may try another host does so within its time."""
    if case.kind == "change_password":
        return True
    may_try_another_host = case.kind in ("create", "unshelve") and case.variant not in ("here", "forced")
    return case.cut.startswith("undoing") and not (may_try_another_host and downtime == SHORT)


def test_every_kind_is_there() -> None:
    kinds = {_case(label).kind for label in CASES}
    later = {"attach_volume", "detach_volume"}  # than release 0.1
    assert kinds == {name for name, row in ACTIONS.items() if not row.is_instant} - later


def test_no_action_stays_open_and_no_claim_is_left(cloud: Upgraded) -> None:
    assert cloud.open_actions() == []
    counted, claims = cloud.claimed()
    assert counted == claims


@pytest.mark.parametrize("label", [label for label in CASES if "waiting" not in label])
def test_an_open_action_ends_right(cloud: Upgraded, downtime: str, label: str) -> None:
    case = _case(label)
    action = cloud.action(case.action_id)
    if _fails(case, downtime):
        assert action.state == FAILED
        if case.kind == "change_password":
            assert _is_at_rest(cloud, case, Vm.ACTIVE, Power.RUNNING)
            assert "whether it was done is not known" in str(action.message)
        else:
            assert REASON in str(action.message)
            assert _is_undone(cloud, case)
    else:
        assert (action.state, action.message if action.state == FAILED else None) == (DONE, None)
        assert _is_done(cloud, case)


def test_a_delete_comes_after_the_build_that_was_under_way(cloud: Upgraded) -> None:
    case = _case("delete:over_create queued")
    with cloud.database.reader() as session:
        rows = session.execute(sa.select(Action.name, Action.state).where(Action.resource_id == case.server_id).order_by(Action.id)).all()
    assert [row.name for row in rows] == ["create", "delete"]
    assert rows[0].state in (DONE, CANCELLED)
    assert rows[1].state == DONE


def test_a_soft_delete_that_waited_begins_after_the_workflow(cloud: Upgraded) -> None:
    case = _case("soft_delete:waiting waiting")
    assert _is_at_rest(cloud, case, Vm.SOFT_DELETED, Power.SHUTDOWN)
    with cloud.database.reader() as session:
        done = session.execute(sa.select(Action.name, Action.state).where(Action.resource_id == case.server_id).order_by(Action.id)).all()
    assert [tuple(row) for row in done] == [("create_image", DONE), ("soft_delete", DONE)]


@pytest.mark.parametrize("label", [label for label in CASES if "waiting" not in label])
def test_each_step_has_one_event_that_has_ended(cloud: Upgraded, label: str) -> None:
    events = cloud.events(_case(label).action_id)
    assert events
    assert all(event.finish_time is not None and event.result for event in events)
