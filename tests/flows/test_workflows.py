# SPDX-License-Identifier: Apache-2.0
"""What holds for every workflow: steps may run twice, a failure leaves nothing, a run that is cut goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from nova_lite.conductor.engine import workflow as engine
from nova_lite.conductor.engine.workflow import Run, Step, Workflow
from nova_lite.conductor.workflows import WORKFLOWS
from tests.support.flows.one_process import Broken, OneProcess
from tests.support.flows.scenarios import SCENARIOS

STEPS = [(name, step.name) for name, workflow in WORKFLOWS.items() for step in workflow.steps]


def reversible(workflow: Workflow) -> list[Step]:
    """The steps that are undone when one of them fails: those before the pivot."""
    pivots = [position for position, step in enumerate(workflow.steps) if step.pivot]
    return list(workflow.steps[: pivots[0]] if pivots else workflow.steps)


UNDOABLE = [(name, step.name) for name, workflow in WORKFLOWS.items() for step in reversible(workflow)
            if SCENARIOS[name].is_undone is not None]
UNDONE = [(name, step.name) for name, workflow in WORKFLOWS.items() for step in reversible(workflow)
          if step.undo is not None and SCENARIOS[name].is_undone is not None]


class Cut(BaseException):
    """The conductor's process ends here."""


def is_undone(cloud: OneProcess, name: str, server_id: str) -> bool:
    """Whether all is as before, or says what was broken."""
    check = SCENARIOS[name].is_undone
    assert check is not None
    return check(cloud, server_id, "broken by the test")


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

    server_id, action_id = SCENARIOS[name].prepare(cloud)
    change_steps(monkeypatch, name, twice)
    cloud.run(action_id)
    assert SCENARIOS[name].is_reached(cloud, server_id)


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

    server_id, action_id = SCENARIOS[name].prepare(cloud)
    change_steps(monkeypatch, name, change)
    cloud.run(action_id)
    assert is_undone(cloud, name, server_id)


@pytest.mark.parametrize(("name", "at"), STEPS)
@pytest.mark.parametrize("moment", ["before", "after", "journaled"])
def test_a_run_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str, moment: str
) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.{moment}")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.run(action_id)
    assert SCENARIOS[name].is_reached(cloud, server_id)


@pytest.mark.parametrize(("name", "at"), UNDONE)
def test_an_undo_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str
) -> None:
    last = reversible(WORKFLOWS[name])[-1].name

    def fail_at_the_end(step: Step) -> Step:
        def do(run: Run) -> Any:
            step.do(run)
            raise Broken(reason="broken by the test")

        return dataclasses.replace(step, do=named(do, step.name)) if step.name == last else step

    server_id, action_id = SCENARIOS[name].prepare(cloud)
    change_steps(monkeypatch, name, fail_at_the_end)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.undo")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.run(action_id)
    assert is_undone(cloud, name, server_id)


def cut_once(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    pending = {point}

    def cut(name: str) -> None:
        if name in pending:
            pending.discard(name)
            raise Cut

    monkeypatch.setattr(engine, "fail", cut)
