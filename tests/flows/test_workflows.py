# SPDX-License-Identifier: Apache-2.0
"""What holds for every workflow: steps may run twice, a failure leaves nothing, a run that is cut goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from nova_lite.conductor import workflow as engine
from nova_lite.conductor.workflow import Run, Step, Workflow
from nova_lite.conductor.workflows import WORKFLOWS
from tests.flows.one_process import Broken, OneProcess

STEPS = [(name, step.name) for name, workflow in WORKFLOWS.items() for step in workflow.steps]
UNDOABLE = [(name, step) for name, step in STEPS if name != "delete"]


class Cut(BaseException):
    """The conductor's process ends here."""


def prepare(cloud: OneProcess, name: str) -> tuple[str, int]:
    """A server at the start of the workflow; (server id, action id)."""
    server_id, action_id = cloud.ask_for_server()
    if name == "delete":
        cloud.run(action_id)
        assert cloud.server(server_id).vm_state == "active"
        action_id = cloud.ask_for_delete(server_id)
    return server_id, action_id


def is_reached(cloud: OneProcess, name: str, server_id: str) -> bool:
    """Whether the workflow's end is there, with nothing missing and nothing left over."""
    server = cloud.server(server_id)
    if name == "delete":
        return server.deleted_at is not None and server.vm_state == "deleted" and cloud.leftovers(server_id) == {}
    assert name == "create"
    held = cloud.leftovers(server_id)
    return (server.vm_state, server.task_state) == ("active", None) and len(held["claims"]) == 1 and len(held["held"]) == 2


def change_steps(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Step], Step]) -> None:
    workflow = WORKFLOWS[name]
    changed: Workflow = dataclasses.replace(workflow, steps=tuple(change(step) for step in workflow.steps))
    monkeypatch.setitem(WORKFLOWS, name, changed)


def named(do: Callable[[Run], Any], name: str) -> Callable[[Run], Any]:
    do.__name__ = name
    return do


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_every_step_may_run_twice(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def twice(step: Step) -> Step:
        def do(run: Run) -> Any:
            step.do(run)
            return step.do(run)

        return dataclasses.replace(step, do=named(do, step.name))

    server_id, action_id = prepare(cloud, name)
    change_steps(monkeypatch, name, twice)
    cloud.run(action_id)
    assert is_reached(cloud, name, server_id)


@pytest.mark.parametrize(("name", "broken"), UNDOABLE)
def test_a_failure_after_each_step_leaves_nothing_though_undos_run_twice(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, broken: str
) -> None:
    def change(step: Step) -> Step:
        def do(run: Run) -> Any:
            result = step.do(run)
            if step.name == broken:
                run.saved.update(result or {})
                raise Broken(reason="broken by the test")
            return result

        def undo(run: Run) -> None:
            assert step.undo is not None
            step.undo(run)
            step.undo(run)

        return dataclasses.replace(step, do=named(do, step.name), undo=undo if step.undo else None)

    server_id, action_id = prepare(cloud, name)
    change_steps(monkeypatch, name, change)
    cloud.run(action_id)
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state) == ("error", None)
    assert server.fault is not None
    assert "broken by the test" in server.fault["message"]
    assert cloud.leftovers(server_id) == {}


@pytest.mark.parametrize(("name", "at"), STEPS)
@pytest.mark.parametrize("moment", ["before", "after", "journaled"])
def test_a_run_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str, moment: str
) -> None:
    server_id, action_id = prepare(cloud, name)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.{moment}")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.run(action_id)
    assert is_reached(cloud, name, server_id)


@pytest.mark.parametrize(("name", "at"), UNDOABLE)
def test_an_undo_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str
) -> None:
    last = WORKFLOWS[name].steps[-1].name

    def fail_at_the_end(step: Step) -> Step:
        def do(run: Run) -> Any:
            step.do(run)
            raise Broken(reason="broken by the test")

        return dataclasses.replace(step, do=named(do, step.name)) if step.name == last else step

    server_id, action_id = prepare(cloud, name)
    change_steps(monkeypatch, name, fail_at_the_end)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.undo")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "error"
    assert cloud.leftovers(server_id) == {}


def cut_once(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    pending = {point}

    def cut(name: str) -> None:
        if name in pending:
            pending.discard(name)
            raise Cut

    monkeypatch.setattr(engine, "fail", cut)
