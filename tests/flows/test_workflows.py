# SPDX-License-Identifier: Apache-2.0
"""What holds for every workflow: steps may run twice, a failure leaves nothing, a run that is cut goes on, errors may pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.engine import engine, execution
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import ControlStep, HostStep, HostUndo, RowStep, Run, Step, Workflow
from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.db.compute.actions import DONE, FAILED, SERVER
from nova_lite.rpc.conductor import Outcome, StepReport
from tests.support.flows.one_process import Broken, OneProcess
from tests.support.flows.scenarios import SCENARIOS

AnyStep = Step[Any]
# Nobody can send a password again: it is no workflow that the conductor carries out.
NAMES = sorted(set(WORKFLOWS) - {"change_password"})
STEPS = [(name, step.key) for name in NAMES for step in WORKFLOWS[name].steps]
CUTS = [(name, step.key, moment) for name in NAMES for step in WORKFLOWS[name].steps
        for moment in (("before", "journaled") if isinstance(step, RowStep) else ("before", "after", "journaled"))]


def reversible(workflow: Workflow[Any]) -> list[AnyStep]:
    """The steps that are undone when one of them fails: those before the pivot."""
    pivots = [position for position, step in enumerate(workflow.steps) if step.pivot]
    return list(workflow.steps[: pivots[0]] if pivots else workflow.steps)


UNDOABLE = [(name, step.key) for name in NAMES for step in reversible(WORKFLOWS[name])
            if SCENARIOS[name].is_undone is not None]
UNDONE = [(name, step.key) for name in NAMES for step in reversible(WORKFLOWS[name])
          if step.undo is not None and SCENARIOS[name].is_undone is not None]


class Cut(BaseException):
    """The conductor's process ends here."""


def is_undone(cloud: OneProcess, name: str, server_id: str) -> bool:
    """Whether all is as before, or says what was broken."""
    check = SCENARIOS[name].is_undone
    assert check is not None
    return check(cloud, server_id, "broken by the test")


def change_steps(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[AnyStep], AnyStep]) -> None:
    workflow = WORKFLOWS[name]
    monkeypatch.setitem(WORKFLOWS, name, dataclasses.replace(workflow, steps=tuple(change(step) for step in workflow.steps)))


def twice(act: Callable[[Services, Run[Any]], Any]) -> Callable[[Services, Run[Any]], Any]:
    def do(services: Services, run: Run[Any]) -> Any:
        act(services, run)
        return act(services, run)

    return do


def break_step(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, key: str, change: Callable[[AnyStep], AnyStep]) -> None:
    """The step fails after it has been done: in the conductor, in its rows, or by its worker's report."""
    number = WORKFLOWS[name].position(key)

    def broken(step: AnyStep) -> AnyStep:
        step = change(step)
        if step.key != key:
            return step
        if isinstance(step, ControlStep):
            done = step.do

            def do(services: Services, run: Run[Any]) -> Any:
                done(services, run)
                raise Broken(reason="broken by the test")

            return dataclasses.replace(step, do=do)
        if isinstance(step, HostStep):
            return dataclasses.replace(step, is_done=None)

        def record(session: sa.orm.Session, run: Run[Any]) -> None:
            raise Broken(reason="broken by the test")

        return dataclasses.replace(step, record=record)

    def report(real: StepReport) -> StepReport:
        if real.order.sequence == number and isinstance(WORKFLOWS[name].steps[number - 1], HostStep):
            return dataclasses.replace(real, outcome=Outcome.FAILED, reason="broken by the test")
        return real

    change_steps(monkeypatch, name, broken)
    monkeypatch.setattr(cloud, "change_report", report)


def undo_twice(step: AnyStep) -> AnyStep:
    if isinstance(step.undo, HostUndo):
        return dataclasses.replace(step, undo=dataclasses.replace(step.undo, send=twice(step.undo.send)))
    return dataclasses.replace(step, undo=twice(step.undo)) if step.undo else step


@pytest.mark.parametrize("name", NAMES)
def test_every_step_may_run_twice(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def change(step: AnyStep) -> AnyStep:
        if isinstance(step, ControlStep):
            return dataclasses.replace(step, do=twice(step.do))
        return dataclasses.replace(step, send=twice(step.send)) if isinstance(step, HostStep) and step.send else step

    server_id, action_id = SCENARIOS[name].prepare(cloud)
    change_steps(monkeypatch, name, change)
    cloud.run(action_id)
    assert SCENARIOS[name].is_reached(cloud, server_id)


@pytest.mark.parametrize(("name", "broken"), UNDOABLE)
def test_a_failure_after_each_step_leaves_nothing_though_undos_run_twice(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, broken: str
) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    break_step(cloud, monkeypatch, name, broken, undo_twice)
    cloud.run(action_id)
    assert is_undone(cloud, name, server_id)


@pytest.mark.parametrize(("name", "at", "moment"), CUTS)
def test_a_run_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str, moment: str
) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.{moment}")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.go_on(action_id)
    assert SCENARIOS[name].is_reached(cloud, server_id)


@pytest.mark.parametrize(("name", "at"), UNDONE)
def test_an_undo_that_is_cut_at_any_point_goes_on(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str
) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    break_step(cloud, monkeypatch, name, reversible(WORKFLOWS[name])[-1].key, lambda step: step)
    cut_once(monkeypatch, f"{WORKFLOWS[name].name}.{at}.undo")
    with pytest.raises(Cut):
        cloud.run(action_id)
    cloud.restart_conductor()
    cloud.go_on(action_id)
    assert is_undone(cloud, name, server_id)


@pytest.mark.parametrize(("name", "at"), STEPS)
def test_an_error_that_passes_is_not_final(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str, at: str
) -> None:
    pending = [sa.exc.OperationalError("COMMIT", None, Exception("the connection was cut"))]

    def once(act: Callable[[Services, Run[Any]], Any]) -> Callable[[Services, Run[Any]], Any]:
        def do(services: Services, run: Run[Any]) -> Any:
            if pending:
                raise pending.pop()
            return act(services, run)

        return do

    def change(step: AnyStep) -> AnyStep:
        if step.key != at:
            return step
        if isinstance(step, ControlStep):
            return dataclasses.replace(step, do=once(step.do))
        if isinstance(step, HostStep) and step.send:
            return dataclasses.replace(step, send=once(step.send))
        real = step.record or (lambda session, run: None)

        def record(session: sa.orm.Session, run: Run[Any]) -> Any:
            if pending:
                raise pending.pop()
            return real(session, run)

        return dataclasses.replace(step, record=record)

    server_id, action_id = SCENARIOS[name].prepare(cloud)
    change_steps(monkeypatch, name, change)
    cloud.run(action_id)
    cloud.go_on(action_id)
    assert not pending
    assert SCENARIOS[name].is_reached(cloud, server_id)


@pytest.mark.parametrize("name", NAMES)
def test_an_action_whose_worker_is_silent_ends_by_its_deadline(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server_id, action_id = SCENARIOS[name].prepare(cloud)
    hosts = [step for step in WORKFLOWS[name].steps if isinstance(step, HostStep)]
    change_steps(monkeypatch, name, lambda step: dataclasses.replace(step, send=lambda services, run: None, undo=None)
                 if isinstance(step, HostStep) else step)
    cloud.run(action_id)
    assert cloud.action(action_id).awaiting_step is not None
    cloud.advance(seconds=cloud.engine.deadline_s(name) + engine.GRACE_S + 1)
    for _ in hosts:
        cloud.engine.expire(action_id)
        cloud.bus.deliver()
    assert cloud.action(action_id).state == FAILED
    assert WORKFLOWS[name].resource_type != SERVER or cloud.server(server_id).task_state is None


def test_a_step_that_this_release_does_not_know_ends_its_action_with_a_fault(cloud: OneProcess) -> None:
    server_id, action_id = SCENARIOS["create"].prepare(cloud)
    with cloud.database.writer() as session:
        session.get_one(type(cloud.action(action_id)), action_id).step = "of_another_release"
    cloud.run(action_id)
    server = cloud.server(server_id)
    assert (cloud.action(action_id).state, server.vm_state) == (FAILED, "error")
    assert server.fault is not None
    assert "of_another_release" in server.fault["message"]


def test_a_report_that_comes_twice_changes_nothing_more(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[StepReport] = []
    monkeypatch.setattr(cloud, "change_report", lambda report: (reports.append(report), report)[1])
    server_id, action_id = SCENARIOS["stop"].prepare(cloud)
    cloud.run(action_id)
    cloud.run(cloud.begin_action(server_id, "start"))
    for report in list(reports):
        cloud.engine.report(report)
    assert (cloud.server(server_id).vm_state, cloud.action(action_id).state) == ("active", DONE)
    assert len(cloud.events(action_id)) == 2


def test_an_unavailable_service_is_waited_for(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cloud.services.scheduler.pick_host
    answers: list[Exception] = [errors.ServiceDown(service="nova-scheduler", host="any host", reason="no answer in time")]

    def pick_host(ctxt: Any, *, request: Any) -> Any:
        if answers:
            raise answers.pop()
        return real(ctxt, request=request)

    monkeypatch.setattr(cloud.services.scheduler, "pick_host", pick_host)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "building"
    cloud.go_on(action_id)
    assert cloud.server(server_id).vm_state == "active"


def cut_once(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    pending = {point}

    def cut(name: str) -> None:
        if name in pending:
            pending.discard(name)
            raise Cut

    monkeypatch.setattr(engine, "fail", cut)
    monkeypatch.setattr(execution, "fail", cut)
