# SPDX-License-Identifier: Apache-2.0
"""Several conductors with one database: reports that reach another than the one that sent the step, and hosts that go down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oslo_messaging as messaging
import pytest
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK, Deadline, HostStep, HostUndo, Run, WhenDown, Workflow
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.context import Context
from nova_lite.db.compute.actions import DONE, FAILED, RUNNING, UNDOING
from nova_lite.payloads import service_reports
from nova_lite.rpc.conductor import Outcome, ServiceReport, StepReport
from nova_lite.rpc.order import Order
from tests.unit.engine.test_engine import CopyState, Tapes


class TwoConductors(Tapes):
    """Of a workflow whose first step's host waits for its undo when it is down, and whose last step may be left out."""

    def workflow(self) -> Workflow[CopyState]:
        def to(host: str) -> Callable[[Services, Run[CopyState]], None]:
            return lambda services, run: self.sent.append((host, run.order))

        def failed(session: Session, run: Run[CopyState], error: errors.NovaLiteError) -> None:
            self.failed.append(error.text)

        return Workflow(
            "copy_tape", CopyState,
            (
                HostStep("read", lambda run: "source", to("source"), undo=HostUndo(to("source"), when_down=WhenDown.WAIT)),
                HostStep("write", lambda run: "dest", to("dest"), undo=HostUndo(to("dest"), when_down=WhenDown.WAIT)),
                HostStep("erase", lambda run: "source", to("source"), when_down=WhenDown.SKIP),
            ),
            failed=failed, deadline=Deadline.QUICK, resource_type="tape")

    def report_to(self, conductor: Any, order: Order, outcome: Outcome = Outcome.DONE, **more: Any) -> None:
        conductor.report(StepReport(order=order, resource_type="tape", resource_id="tape-1", host="h", outcome=outcome, **more))

    def give_steps_to(self, binary: str) -> None:
        """Another kind of daemon does the steps."""
        workflow = self.engine.workflows["copy_tape"]
        self.engine.workflows = {"copy_tape": dataclasses.replace(workflow, steps=tuple(
            dataclasses.replace(step, binary=binary) if isinstance(step, HostStep) else step for step in workflow.steps))}

    def look_while_down(self, agent: str) -> None:
        """A look of the reconciler while the worker of this name is known to be down."""
        with self.database.writer() as session:
            now = self.database.clock()
            service_reports.register(
                session, ServiceReport(binary="nova-compute", agent=agent), names=[agent], now=now)
        self.offset += 10
        self.look(lambda binary, name: name == agent)

    def look_while_up(self, known_orders: Callable[..., tuple[Order, ...]]) -> None:
        """The first look of a conductor that has just started, at workers that answer so."""
        self.look(lambda binary, name: False, compute=lambda agent: SimpleNamespace(known_orders=known_orders))

    def look(self, is_down: Callable[[str, str], bool], **others: Any) -> None:
        services = dataclasses.replace(self.services, **others)
        object.__setattr__(services, "is_down", is_down)
        StalledActions(services, self.engine).look()


@pytest.fixture
def tapes(tmp_path: Path) -> TwoConductors:
    return TwoConductors(tmp_path)


def test_a_report_reaches_a_conductor_that_sent_an_earlier_step(tapes: TwoConductors) -> None:
    action_id, other = tapes.begin(), tapes.start_conductor("second")
    tapes.engine.start(action_id)
    tapes.report_to(other, tapes.sent[0][1])
    tapes.report_to(tapes.engine, tapes.sent[1][1])
    assert tapes.action(action_id).awaiting_step == "erase"


def test_a_step_that_another_conductor_undoes_does_not_end_by_its_late_report(tapes: TwoConductors) -> None:
    action_id, other = tapes.begin(), tapes.start_conductor("second")
    tapes.engine.start(action_id)
    other.expire(action_id)
    tapes.report_to(tapes.engine, tapes.sent[0][1])
    assert (tapes.action(action_id).state, tapes.action(action_id).awaiting_step) == (UNDOING, "read")
    tapes.report_to(tapes.engine, tapes.sent[1][1])
    assert (tapes.action(action_id).state, "has not reported" in tapes.failed[0]) == (FAILED, True)


def test_an_undo_waits_for_its_host(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1], Outcome.FAILED, reason="no tape")
    tapes.look_while_down("source")
    assert (tapes.action(action_id).state, tapes.failed) == (UNDOING, [])
    tapes.report(tapes.sent[1][1])
    assert (tapes.action(action_id).state, tapes.failed) == (FAILED, ["no tape"])


def test_a_step_that_may_be_left_out_ends_when_its_host_goes_down_meanwhile(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1])
    tapes.report(tapes.sent[1][1])
    tapes.look_while_down("source")
    assert (tapes.action(action_id).state, tapes.failed) == (DONE, [])


def test_the_first_failure_is_shown_not_that_of_its_undo(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1], Outcome.FAILED, reason="no tape")
    tapes.report(tapes.sent[1][1], Outcome.FAILED, reason="the host is busy")
    tapes.engine.resend(action_id)
    tapes.report(tapes.sent[1][1])
    assert (tapes.action(action_id).state, tapes.failed) == (FAILED, ["no tape"])


def test_an_action_that_is_done_shows_no_failure_that_passed(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1], Outcome.FAILED, reason="the database is away", may_pass=True)
    for _ in range(3):
        tapes.engine.resend(action_id)
        tapes.report(tapes.sent[-1][1])
    assert (tapes.action(action_id).state, tapes.action(action_id).message) == (DONE, None)


def _silent(ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
    raise errors.ServiceDown(service="nova-compute", host="source", reason="no answer in time")


def test_a_conductor_that_starts_does_not_end_what_a_host_is_at_work_on_past_its_deadline(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.offset += 200
    tapes.look_while_up(lambda ctxt, *, orders: orders)
    assert (tapes.action(action_id).awaiting_step, tapes.action(action_id).state) == ("read", RUNNING)


def _old(ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
    raise messaging.RemoteError("UnsupportedVersion", "Endpoint does not support RPC version 2.0")


@pytest.mark.parametrize("answer", [lambda ctxt, *, orders: (), _silent, _old], ids=["it does not have it", "silent", "of release 0.1"])
def test_what_a_host_is_not_at_work_on_ends_at_its_deadline(tapes: TwoConductors, answer: Callable[..., tuple[Order, ...]]) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.offset += 200
    tapes.look_while_up(answer)
    assert tapes.action(action_id).state == UNDOING


def test_what_takes_longer_than_any_action_may_ends_though_its_host_is_at_work(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.offset += tapes.services.conf.conductor.long_action_timeout + 1
    tapes.look_while_up(lambda ctxt, *, orders: orders)
    assert tapes.action(action_id).state == UNDOING


def test_a_lost_cast_is_sent_again_after_the_clock_was_set_back(tapes: TwoConductors) -> None:
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.report(tapes.sent[0][1], Outcome.FAILED, reason="the database is away", may_pass=True)
    tapes.offset -= 3600
    tapes.look_while_up(lambda ctxt, *, orders: ())
    assert [order for _, order in tapes.sent] == [tapes.sent[0][1]] * 2
    assert tapes.action(action_id).awaiting_step == "read"


def test_a_step_of_nova_network_is_looked_for_there_and_sent_again(tapes: TwoConductors) -> None:
    tapes.give_steps_to(NETWORK)
    queried: list[tuple[str, int]] = []

    def network(agent: str) -> SimpleNamespace:
        def known_orders(ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
            queried.append((agent, len(orders)))
            return ()

        return SimpleNamespace(known_orders=known_orders)

    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.offset += 10
    tapes.look(lambda binary, name: binary == COMPUTE, network=network)
    assert (queried, [order for _, order in tapes.sent]) == ([("source", 1)], [tapes.sent[0][1]] * 2)


def test_a_step_of_nova_network_fails_when_that_is_down_whatever_nova_compute_does(tapes: TwoConductors) -> None:
    tapes.give_steps_to(NETWORK)
    action_id = tapes.begin()
    tapes.engine.start(action_id)
    tapes.offset += 10
    tapes.look(lambda binary, name: binary == NETWORK)
    assert (tapes.action(action_id).state, tapes.action(action_id).message) == (UNDOING, "nova-network on source is down")
